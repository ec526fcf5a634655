"""Whoever something is done for that they did not ask for just now: what a schedule starts, and what runs start."""

from pupload import errors
from pupload.domain.access import ANYBODY, Caller
from pupload.ports import Accounts


async def of(account: int | None, accounts: Accounts | None) -> Caller:
    """
    The account's owner, with all that they may do; nobody's is anybody's.

    Raises `errors.Forbidden` where the account is closed, or not there any more: nothing is done for it.
    """
    if account is None:
        return ANYBODY
    try:
        user = None if accounts is None else await accounts.get(account)
    except errors.UnknownAccount:
        user = None
    if user is None or not user.active:
        raise errors.Forbidden(reason="the account that it would be done for is closed")
    return Caller(user=user.id, name=user.name, role=user.role)
