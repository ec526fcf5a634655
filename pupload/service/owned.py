"""
What there is, as whoever asks sees it: their own, and what is public; to administrators everything is there.

A row is its account's. What one may not see is not there: whoever asks for it is told what they would be told of
anything that there never was. Every store that holds rows of accounts is asked through here, and nowhere else in the
service; who asks is known (`pupload.service.asking`), so that nobody can forget to say it.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import date, datetime
from typing import Any, Protocol, TypeVar

from pupload import errors, ports
from pupload.domain import credential, ids, saved, schedule
from pupload.domain.access import Role
from pupload.domain.run import Run, Status
from pupload.engine.engine import Engine
from pupload.service import asking


class Row(Protocol):
    """What is somebody's."""

    @property
    def account(self) -> int | None:
        """The account's number; None: nobody's."""


R = TypeVar("R", bound=Row)

NO_ACCOUNT = 0
"""The number of none: what a caller is shown who has no account and may not see everything."""


def mine() -> int | None:
    """Whose it is what the caller makes: their account's; None: nobody's."""
    return asking.caller().user


def shown() -> int | None:
    """The account whose rows the caller is shown; None: everybody's."""
    who = asking.caller()
    return None if who.sees_all else who.user or NO_ACCOUNT


def sees(row: Row) -> bool:
    """Whether it is there for the caller."""
    return asking.caller().sees(row.account, public=getattr(row, "public", False))


def changes(row: Row) -> bool:
    """Whether the caller may change it, and not only look at it because it is public."""
    return asking.caller().sees(row.account)


def chosen(found: Sequence[R]) -> R | None:
    """Of those that have one name, the caller's own, else the first that is there for them; None where none is."""
    there = [row for row in found if sees(row)]
    return next((row for row in there if row.account == mine()), there[0] if there else None)


def key(idempotency_key: str | None, account: int | None) -> str | None:
    """The key as it is kept: what one account asks with is another's key when another asks with it."""
    if idempotency_key is None or account is None:
        return idempotency_key
    return f"account {account} {idempotency_key}"


class Runs:
    """The runs that are there for the caller."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._runs = engine.world.runs

    async def find(self, run_id: str) -> Run:
        """The run of this id, in whatever spelling. Raises `errors.UnknownRun`."""
        canonical = ids.canonical_run_id(run_id)
        if canonical is None:
            raise errors.UnknownRun(run=run_id[:64])
        found = await self._engine.driver.look(canonical)
        if found.plan.ephemeral or not sees(found.plan):  # a dry run is looked at by who began it, and nobody else
            raise errors.UnknownRun(run=run_id[:64])
        return found

    async def list(
        self,
        *,
        status: Status | None = None,
        flow: str | None = None,
        flow_id: str | None = None,
        started: bool | None = None,
        limit: int = 100,
        offset: int = 0,
    ) -> ports.RunPage:
        """See `ports.RunStore.list`."""
        return await self._runs.list(
            status=status,
            flow=flow,
            flow_id=flow_id,
            started=started,
            account=shown(),
            limit=limit,
            offset=offset,
        )

    async def days(self, since: datetime) -> Mapping[date, Mapping[Status, int]]:
        """See `ports.Overview.days`."""
        return await self._runs.days(since, account=shown())

    async def statuses(self, since: datetime) -> Mapping[Status, int]:
        """See `ports.Overview.statuses`."""
        return await self._runs.statuses(since, account=shown())

    async def failing(self, since: datetime, *, limit: int = 100) -> Sequence[tuple[str, int]]:
        """See `ports.Overview.failing`."""
        return await self._runs.failing(since, account=shown(), limit=limit)

    async def under_way(self, *, limit: int = 1000) -> Sequence[str]:
        """See `ports.Overview.under_way`."""
        return await self._runs.under_way(account=shown(), limit=limit)

    async def active(self) -> int:
        """See `ports.Overview.active`."""
        return await self._runs.active(account=shown())

    async def size(self) -> int:
        """See `ports.Overview.size`: that of everybody's."""
        return await self._runs.size()

    async def kin(self, run_id: str, *, limit: int = 100) -> Sequence[str]:
        """See `ports.Overview.kin`."""
        return await self._runs.kin(run_id, account=shown(), limit=limit)

    async def artifacts(self, *, after: tuple[str, str] | None = None, limit: int = 100) -> Sequence[ports.Kept]:
        """See `ports.ArtifactIndex.artifacts`."""
        return await self._runs.artifacts(after=after, account=shown(), limit=limit)

    async def edges(self, first: str, last: str) -> Sequence[tuple[str, str]]:
        """See `ports.ArtifactIndex.edges`; of everybody's runs, for ids alone tell nothing: `find` comes next."""
        return await self._runs.edges(first, last)


class SavedFlows:
    """The saved flows that are there for the caller."""

    def __init__(self, engine: Engine) -> None:
        self.everybodys = engine.world.saved
        """For what is kept of all flows at once, and told to each as `sees` says."""

    async def get(self, flow_id: str) -> saved.SavedFlow:
        """The flow of this id. Raises `errors.UnknownSavedFlow`."""
        found = await self.everybodys.get(flow_id)
        if not sees(found):
            raise errors.UnknownSavedFlow(flow=flow_id)
        return found

    async def find(self, namespace: str, name: str) -> saved.SavedFlow:
        """The caller's own of this name, else one that is public. Raises `errors.UnknownSavedFlow`."""
        found = chosen(await self.everybodys.called(namespace, name))
        if found is None:
            raise errors.UnknownSavedFlow(flow=f"{namespace}/{name}")
        return found

    async def kept(self, namespace: str, name: str, account: int | None) -> saved.SavedFlow | None:
        """
        The flow of this name that is changed when the account saves one; None where it would be new.

        Where an administrator has none of the name, that is nobody's, from before there were accounts.
        """
        found = await self.everybodys.called(namespace, name)
        own = next((flow for flow in found if flow.account == account), None)
        nobodys = (flow for flow in found if flow.account is None and asking.caller().sees_all)
        return own or next(nobodys, None)

    async def list(self, **wanted: Any) -> ports.SavedPage:
        """See `ports.SavedFlows.list`."""
        return await self.everybodys.list(**wanted, account=shown())

    async def versions(self, this: saved.SavedFlow, *, limit: int, offset: int) -> Sequence[saved.FlowVersion]:
        """See `ports.SavedFlows.versions`, of a flow that was found here."""
        return await self.everybodys.versions(this.id, limit=limit, offset=offset)

    async def version(self, this: saved.SavedFlow, number: int) -> tuple[saved.FlowVersion, saved.Content]:
        """See `ports.SavedFlows.version`, of a flow that was found here."""
        return await self.everybodys.version(this.id, number)

    async def put(
        self, this: saved.SavedFlow, version: saved.FlowVersion | None = None, content: saved.Content | None = None
    ) -> None:
        """See `ports.SavedFlows.put`. Raises `errors.Forbidden` for a flow that is somebody else's."""
        self.check_change(this)
        await self.everybodys.put(this, version, content)

    async def remove(self, this: saved.SavedFlow) -> None:
        """See `ports.SavedFlows.remove`. Raises `errors.Forbidden` for a flow that is somebody else's."""
        self.check_change(this)
        await self.everybodys.remove(this.id)

    def check_change(self, this: saved.SavedFlow) -> None:
        """Raises `errors.Forbidden` for a flow that is somebody else's: it is there, for it is public."""
        if not changes(this):
            raise errors.Forbidden(reason=f"flow {this.full_name} is somebody else's: save it under a name of yours")


class Schedules:
    """The schedules that are there for the caller."""

    def __init__(self, engine: Engine) -> None:
        self.everybodys = engine.world.schedules
        """For who starts what is due."""

    async def get(self, schedule_id: str) -> schedule.Schedule:
        """The schedule of this id. Raises `errors.UnknownSchedule`."""
        found = await self.everybodys.get(schedule_id)
        if not sees(found):
            raise errors.UnknownSchedule(name=schedule_id[:64])
        return found

    async def list(self, *, flow_id: str | None = None, enabled: bool | None = None) -> Sequence[schedule.Schedule]:
        """See `schedule.Schedules.list`."""
        return await self.everybodys.list(flow_id=flow_id, enabled=enabled, account=shown())

    async def put(self, this: schedule.Schedule) -> schedule.Schedule | None:
        """See `schedule.Schedules.put`, of one that was found here, or is the caller's own."""
        return await self.everybodys.put(this)

    async def remove(self, schedule_id: str) -> None:
        """See `schedule.Schedules.remove`."""
        await self.everybodys.remove((await self.get(schedule_id)).id)


class Secrets:
    """The secrets that are there for the caller, and those that runs are given."""

    def __init__(self, store: ports.SecretStore, credentials: ports.Credentials | None = None) -> None:
        """With `credentials`, what runs can name of those is known, too."""
        self._secrets = store
        self._credentials = credentials

    async def put(self, name: str, value: str, *, at: datetime) -> None:
        """The caller's own of this name. See `ports.SecretStore.put`."""
        await self._secrets.put(name, value, account=mine(), at=at)

    async def list(self) -> Sequence[ports.SecretInfo]:
        """See `ports.SecretStore.list`."""
        return [info for info in await self._secrets.list() if sees(info)]

    async def remove(self, name: str) -> None:
        """The one of this name. Raises `errors.UnknownSecret`."""
        found = chosen([info for info in await self._secrets.list() if info.name == name])
        if found is None:
            raise errors.UnknownSecret(name=name)
        await self._secrets.remove(name, account=found.account)

    async def reveal(self, name: str, *, account: int | None) -> str | None:
        """For a run of this account: its own secret and nobody else's, whoever asks."""
        return await self._secrets.reveal(name, account=account)

    async def names(self, account: int | None) -> frozenset[str]:
        """What a run of this account can name."""
        names = frozenset(info.name for info in await self._secrets.list() if info.account == account)
        of = await self._credentials.owned(account) if self._credentials is not None else ()
        return names | credential.names(of)

    async def reveal_to_operator(self, name: str, accounts: ports.Accounts | None) -> str | None:
        """For what the operator names it in: nobody's, else an administrator's, of several that of the first."""
        for info in await self._secrets.list():
            if info.name == name and await _is_operators(info.account, accounts):
                return await self._secrets.reveal(name, account=info.account)
        return None

    async def reseal(self, *, new_key: bool) -> str:
        """See `ports.SecretStore.reseal`: everybody's."""
        return await self._secrets.reseal(new_key=new_key)


class Projects:
    """The projects that are there for the caller."""

    def __init__(self, store: ports.FlowStore) -> None:
        self._projects = store

    async def get(self, project_id: str) -> ports.Project:
        """The caller's own of this id, else, for administrators, anybody's. Raises `errors.UnknownProject`."""
        found = chosen(await self._projects.projects(project_id))
        if found is None:
            raise errors.UnknownProject(name=project_id)
        return found

    async def put(self, project: ports.Project) -> None:
        """Saves it as the caller's own, in place of theirs of the same id."""
        await self._projects.put_project(replace(project, account=mine()))


async def _is_operators(account: int | None, accounts: ports.Accounts | None) -> bool:
    if account is None:
        return True
    with suppress(errors.UnknownAccount):
        owner = None if accounts is None else await accounts.get(account)
        return owner is not None and owner.active and owner.role is Role.ADMIN
    return False
