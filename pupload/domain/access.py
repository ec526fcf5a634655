"""
Who may do what.

Everything that can be asked of pupload needs one permission; a role has those of the roles below it and some of its
own; a key may be narrower than its owner. What may be done says nothing about with what: rows belong to somebody, and
who is no administrator finds only their own.
"""

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import StrEnum


class Permission(StrEnum):
    """What may be allowed: a kind of thing, and what is done with it."""

    FLOWS_VIEW = "flows.view"
    FLOWS_EDIT = "flows.edit"
    FLOWS_RUN = "flows.run"
    """Start runs of flows that are saved."""
    RUNS_VIEW = "runs.view"
    RUNS_START = "runs.start"
    """Start runs of flows that come with the request: any image, any command that the policy allows."""
    RUNS_UPLOAD = "runs.upload"
    RUNS_CANCEL = "runs.cancel"
    RUNS_RESUME = "runs.resume"
    RUNS_BACKFILL = "runs.backfill"
    RUNS_PURGE = "runs.purge"
    SCHEDULES_VIEW = "schedules.view"
    SCHEDULES_EDIT = "schedules.edit"
    CREDENTIALS_VIEW = "credentials.view"
    """Names and masks; a value is given to nobody."""
    CREDENTIALS_EDIT = "credentials.edit"
    SETTINGS_VIEW = "settings.view"
    SETTINGS_EDIT = "settings.edit"
    USERS_MANAGE = "settings.manage_users"
    OWN_ACCOUNT = "account.own"
    """What everybody may do with their own account."""


class Role(StrEnum):
    """From the most to the least that is allowed."""

    ADMIN = "admin"
    EDITOR = "editor"
    OPERATOR = "operator"
    VIEWER = "viewer"


_P = Permission

_VIEWER = frozenset(
    {_P.FLOWS_VIEW, _P.RUNS_VIEW, _P.SCHEDULES_VIEW, _P.SETTINGS_VIEW, _P.CREDENTIALS_VIEW, _P.OWN_ACCOUNT}
)
_OPERATOR = _VIEWER | {_P.FLOWS_RUN, _P.RUNS_UPLOAD, _P.RUNS_CANCEL, _P.RUNS_RESUME, _P.RUNS_BACKFILL}
_EDITOR = _OPERATOR | {_P.FLOWS_EDIT, _P.RUNS_START, _P.SCHEDULES_EDIT, _P.CREDENTIALS_EDIT}

ALLOWED: Mapping[Role, frozenset[Permission]] = {
    Role.ADMIN: frozenset(Permission),
    Role.EDITOR: _EDITOR,
    Role.OPERATOR: _OPERATOR,
    Role.VIEWER: _VIEWER,
}
"""What each role may do. Purging, settings and other people's accounts are the administrators'."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks."""

    user: int | None
    """The account's number; None where nobody has one yet, which only loopback may use."""
    name: str
    role: Role
    scopes: frozenset[Permission] | None = None
    """What the key is for; None: all that its owner may do."""
    key: str = ""
    """The id of the key that was shown."""

    @property
    def permissions(self) -> frozenset[Permission]:
        """What this caller may do."""
        allowed = ALLOWED[self.role]
        return allowed if self.scopes is None else allowed & (self.scopes | {Permission.OWN_ACCOUNT})

    def may(self, permission: Permission) -> bool:
        """Whether that is allowed."""
        return permission in self.permissions

    @property
    def sees_all(self) -> bool:
        """Whether what belongs to others, or to nobody, is there for this caller."""
        return self.role is Role.ADMIN

    def sees(self, owner: int | None, *, public: bool = False) -> bool:
        """Whether a row of this owner is there for this caller; None owns what was made before there were accounts."""
        return public or self.sees_all or (owner is not None and owner == self.user)


ANYBODY = Caller(user=None, name="", role=Role.ADMIN)
"""Whoever reaches a server that listens on loopback alone and has no accounts yet."""


def scopes(names: Iterable[str]) -> frozenset[Permission]:
    """The permissions of these names. Raises `ValueError` with the first that there is not."""
    found = set()
    for name in names:
        try:
            found.add(Permission(name))
        except ValueError:
            raise ValueError(name) from None
    return frozenset(found)


def beyond(role: Role, wanted: AbstractSet[Permission]) -> frozenset[Permission]:
    """What of this the role itself may not do."""
    return frozenset(wanted - ALLOWED[role])
