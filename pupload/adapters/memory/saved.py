"""Saved flows, in memory."""

import asyncio
from collections.abc import Mapping, Sequence

from pupload import errors, ports
from pupload.domain import saved


class SavedFlows:
    """`ports.SavedFlows` in memory."""

    def __init__(self) -> None:
        self._flows: dict[str, saved.SavedFlow] = {}
        self._versions: dict[str, list[tuple[saved.FlowVersion, saved.Content]]] = {}

    async def put(
        self, this: saved.SavedFlow, version: saved.FlowVersion | None = None, content: saved.Content | None = None
    ) -> None:
        """See `ports.SavedFlows.put`."""
        await asyncio.sleep(0)
        before = self._flows.get(this.id)
        if this.revision == 1:
            if any((each.full_name, each.account) == (this.full_name, this.account) for each in self._flows.values()):
                raise errors.NameTaken(flow=this.full_name)
        elif before is None:
            raise errors.UnknownSavedFlow(flow=this.id)
        elif before.revision != this.revision - 1:
            raise errors.FlowChanged(flow=this.full_name)
        self._flows[this.id] = this
        if version is not None and content is not None:
            self._versions.setdefault(this.id, []).append((version, content))

    async def get(self, flow_id: str) -> saved.SavedFlow:
        """See `ports.SavedFlows.get`."""
        await asyncio.sleep(0)
        try:
            return self._flows[flow_id]
        except KeyError:
            raise errors.UnknownSavedFlow(flow=flow_id) from None

    async def called(self, namespace: str, name: str) -> Sequence[saved.SavedFlow]:
        """See `ports.SavedFlows.called`."""
        await asyncio.sleep(0)
        found = [each for each in self._flows.values() if (each.namespace, each.name) == (namespace, name)]
        return sorted(found, key=lambda each: each.account or 0)

    async def list(
        self,
        *,
        namespace: str | None = None,
        source: str | None = None,
        text: str = "",
        enabled: bool | None = None,
        account: int | None = None,
        limit: int = 100,
        offset: int = 0,
    ) -> ports.SavedPage:
        """See `ports.SavedFlows.list`."""
        await asyncio.sleep(0)
        found = [
            each
            for each in self._flows.values()
            if namespace in (None, each.namespace)
            and source in (None, each.source)
            and enabled in (None, each.enabled)
            and text.casefold() in saved.words(each)
            and (each.public or account in (None, each.account))
        ]
        found.sort(key=lambda each: (each.namespace, each.name, each.account or 0))
        return ports.SavedPage(flows=found[offset : offset + limit], total=len(found))

    async def versions(self, flow_id: str, *, limit: int = 100, offset: int = 0) -> Sequence[saved.FlowVersion]:
        """See `ports.SavedFlows.versions`."""
        await asyncio.sleep(0)
        latest = [version for version, _ in reversed(self._versions.get(flow_id, []))]
        return latest[offset : offset + limit]

    async def version(self, flow_id: str, number: int) -> tuple[saved.FlowVersion, saved.Content]:
        """See `ports.SavedFlows.version`."""
        await asyncio.sleep(0)
        for version, content in self._versions.get(flow_id, []):
            if version.number == number:
                return version, content
        raise errors.UnknownVersion(flow=flow_id, number=number)

    async def revisions(self) -> Mapping[str, int]:
        """See `ports.SavedFlows.revisions`."""
        await asyncio.sleep(0)
        return {flow_id: each.revision for flow_id, each in self._flows.items()}

    async def latest(
        self, *, after: str = "", limit: int = 200
    ) -> Sequence[tuple[str, saved.SavedFlow | None, saved.Content | None]]:
        """See `ports.SavedFlows.latest`."""
        await asyncio.sleep(0)
        ids = sorted(flow_id for flow_id in self._flows if flow_id > after)[:limit]
        return [(flow_id, self._flows[flow_id], self._versions[flow_id][-1][1]) for flow_id in ids]

    async def remove(self, flow_id: str) -> None:
        """See `ports.SavedFlows.remove`."""
        await self.get(flow_id)
        del self._flows[flow_id]
        self._versions.pop(flow_id, None)
