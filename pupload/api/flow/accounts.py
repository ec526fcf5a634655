"""Accounts over the wire: how people come in, what is theirs, and what administrators do about others'."""

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import msgspec
from aiohttp import web

from pupload import errors
from pupload.api import access
from pupload.api import web as shared
from pupload.api.flow import account_models as models
from pupload.api.flow import answering, reading
from pupload.api.flow.models import Request
from pupload.api.web import SERVICES, Parameter, Route
from pupload.domain import account
from pupload.domain.access import Permission, Role
from pupload.service.callers import Callers

M = TypeVar("M", bound=Request)

MOST = 1000
"""Accounts on one page."""


# ── Coming in ────────────────────────────────────────────────────────────────────────────────────────────────────


async def setup_status(request: web.Request) -> web.Response:
    needed = not await _callers(request).are_set_up()
    return answering.answer(models.SetupStatus(NeedsSetup=needed, Local=access.is_local(request)))


async def set_up(request: web.Request) -> web.Response:
    asked = await _body(request, models.Credentials)
    return answering.answer(models.Token(Token=await access.set_up(request, asked.Name, asked.Password)))


async def log_in(request: web.Request) -> web.Response:
    asked = await _body(request, models.Credentials)
    login = await _callers(request).log_in(asked.Name, asked.Password, address=access.counted_as(request))
    return answering.answer(models.Login(Token=login.token, NeedsCode=login.needs_code))


async def give_code(request: web.Request) -> web.Response:
    asked = await _body(request, models.LoginCode)
    token = await _callers(request).give_code(asked.Name, asked.Code, address=access.counted_as(request))
    return answering.answer(models.Token(Token=token))


# ── One's own account ────────────────────────────────────────────────────────────────────────────────────────────


async def me(request: web.Request) -> web.Response:
    who = access.caller(request)
    found = await _callers(request).me(who)
    return answering.answer(models.Me(Account=_account(found), Permissions=sorted(who.permissions)))


async def change_password(request: web.Request) -> web.Response:
    asked = await _body(request, models.ChangePassword)
    await _callers(request).change_password(access.caller(request), asked.Old, asked.New)
    return web.Response(status=204)


async def propose_code(request: web.Request) -> web.Response:
    secret, uri = await _callers(request).propose_code(access.caller(request))
    return answering.answer(models.Proposal(Secret=secret, URI=uri))


async def enable_code(request: web.Request) -> web.Response:
    asked = await _body(request, models.Code)
    await _callers(request).enable_code(access.caller(request), asked.Code)
    return web.Response(status=204)


async def disable_code(request: web.Request) -> web.Response:
    asked = await _body(request, models.Code)
    await _callers(request).disable_code(access.caller(request), asked.Code)
    return web.Response(status=204)


async def reset_code(request: web.Request) -> web.Response:
    if not access.is_local(request):
        raise errors.Forbidden(reason="a second factor is reset only from the server's own machine")
    await _callers(request).reset_code(access.caller(request))
    return web.Response(status=204)


# ── Keys ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def list_keys(request: web.Request) -> web.Response:
    found = await _callers(request).keys(access.caller(request), user_id=_account_id(request))
    return answering.answer(models.KeyList(Keys=[_key(each) for each in found]))


async def make_key(request: web.Request) -> web.Response:
    asked = await _body(request, models.MakeKey)
    made = await _callers(request).make_key(
        access.caller(request),
        asked.Name,
        scopes=asked.Scopes,
        expires_at=reading.moment("ExpiresAt", asked.ExpiresAt),
        user_id=_account_id(request),
    )
    return answering.answer(models.NewKey(Key=_key(made.key), Token=made.token))


async def revoke_key(request: web.Request) -> web.Response:
    key, user = request.match_info["keyID"], _account_id(request)
    await _callers(request).revoke_key(access.caller(request), key, user_id=user)
    return web.Response(status=204)


async def list_keys_of(request: web.Request) -> web.Response:
    return await list_keys(request)


async def make_key_for(request: web.Request) -> web.Response:
    return await make_key(request)


async def revoke_key_of(request: web.Request) -> web.Response:
    return await revoke_key(request)


# ── Everybody's ──────────────────────────────────────────────────────────────────────────────────────────────────


async def list_accounts(request: web.Request) -> web.Response:
    found, total = await _callers(request).list(
        service=shared.flag(request, "service", default=False) if request.query.get("service") else None,
        limit=shared.whole_number(request, "limit", default=100, most=MOST),
        offset=shared.whole_number(request, "offset", default=0),
    )
    return answering.answer(models.AccountList(Accounts=[_account(each) for each in found], Total=total))


async def get_account(request: web.Request) -> web.Response:
    return answering.answer(_account(await _callers(request).get(_account_id(request) or 0)))


async def make_account(request: web.Request) -> web.Response:
    asked = await _body(request, models.MakeAccount)
    by, role = access.caller(request), read_role(asked.Role)
    return answering.answer(_account(await _callers(request).create(asked.Name, asked.Password, role=role, by=by)))


async def make_service(request: web.Request) -> web.Response:
    asked = await _body(request, models.MakeService)
    by, role = access.caller(request), read_role(asked.Role)
    made = await _callers(request).create_service(asked.Name, purpose=asked.Purpose, role=role, by=by)
    found = await _callers(request).get(made.key.user)
    return answering.answer(models.NewService(Account=_account(found), Token=made.token))


async def change_account(request: web.Request) -> web.Response:
    asked = await _body(request, models.ChangeAccount)
    role = None if asked.Role is None else read_role(asked.Role)
    changed = await _callers(request).change(_account_id(request) or 0, role=role, active=asked.Active)
    return answering.answer(_account(changed))


async def reset_code_of(request: web.Request) -> web.Response:
    await _callers(request).reset_code(access.caller(request), user_id=_account_id(request))
    return web.Response(status=204)


# ── Reading and writing ──────────────────────────────────────────────────────────────────────────────────────────


def _callers(request: web.Request) -> Callers:
    return request.app[SERVICES].callers


async def _body(request: web.Request, model: type[M]) -> M:
    read: Callable[[Any], M] = partial(reading.read, model, warnings=[])
    return await shared.read_document(request, read)


def _account_id(request: web.Request) -> int | None:
    """The account in the path; None where it is the caller's. Raises `errors.UnknownAccount`."""
    text = request.match_info.get("account")
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 19):
        raise errors.UnknownAccount(name=text[: account.MOST_NAME])
    return int(text)


def read_role(text: str) -> Role:
    """The role of this name. Raises `errors.Malformed`."""
    try:
        return Role(text)
    except ValueError:
        said = ", ".join(f'"{each}"' for each in Role)
        raise errors.Malformed(reason=f'Role is one of {said}, not "{text[:32]}"') from None


def _account(this: account.User) -> models.Account:
    return models.Account(
        ID=this.id,
        Name=this.name,
        Role=this.role,
        Service=this.service,
        Purpose=this.purpose,
        Active=this.active,
        AsksCode=this.second.on,
        CreatedAt=this.created_at,
    )


def _key(this: account.Key) -> models.Key:
    return models.Key(
        ID=this.id,
        Name=this.name,
        First=this.first,
        Last=this.last,
        Scopes=msgspec.UNSET if this.scopes is None else sorted(this.scopes),
        CreatedAt=this.created_at,
        ExpiresAt=this.expires_at or msgspec.UNSET,
        UsedAt=this.used_at or msgspec.UNSET,
        RevokedAt=this.revoked_at or msgspec.UNSET,
    )


# ── The table ────────────────────────────────────────────────────────────────────────────────────────────────────

_FLOW = "/api/v1/flow"
_ACCOUNT = f"{_FLOW}/accounts/{{account}}"
_OWN, _ALL = Permission.OWN_ACCOUNT, Permission.USERS_MANAGE

_ENTERING = (
    Route(
        method="GET",
        path=f"{_FLOW}/setup-status",
        handler=setup_status,
        needs=None,
        summary="Whether nobody has an account yet",
        answers=models.SetupStatus,
    ),
    Route(
        method="POST",
        path=f"{_FLOW}/setup",
        handler=set_up,
        needs=None,
        summary="Make the first account, an administrator's: on the server's machine, or with its set-up token",
        reads=models.Credentials,
        answers=models.Token,
        parameters=(Parameter(name=access.SETUP_HEADER, place="header", about="What the server told when it began."),),
        optional_body=False,
    ),
    Route(
        method="POST",
        path=f"{_FLOW}/login",
        handler=log_in,
        needs=None,
        summary="A token for a name and its password, in place of that of the login before; or a code is due",
        reads=models.Credentials,
        answers=models.Login,
        optional_body=False,
    ),
    Route(
        method="POST",
        path=f"{_FLOW}/login/code",
        handler=give_code,
        needs=None,
        summary="A token for the code that is due",
        reads=models.LoginCode,
        answers=models.Token,
        optional_body=False,
    ),
)

_MINE = (
    Route(
        method="GET",
        path=f"{_FLOW}/me",
        handler=me,
        needs=_OWN,
        summary="The account that asks, and what it may do",
        answers=models.Me,
    ),
    Route(
        method="PUT",
        path=f"{_FLOW}/me/password",
        handler=change_password,
        needs=_OWN,
        summary="Change one's password; tokens of logins are void",
        reads=models.ChangePassword,
        optional_body=False,
    ),
    Route(
        method="POST",
        path=f"{_FLOW}/me/code",
        handler=propose_code,
        needs=_OWN,
        summary="A new secret for an authenticator, which counts once a code of it was shown",
        answers=models.Proposal,
    ),
    Route(
        method="POST",
        path=f"{_FLOW}/me/code/enable",
        handler=enable_code,
        needs=_OWN,
        summary="Have codes asked for from now on",
        reads=models.Code,
        optional_body=False,
    ),
    Route(
        method="POST",
        path=f"{_FLOW}/me/code/disable",
        handler=disable_code,
        needs=_OWN,
        summary="Have no codes asked for any more",
        reads=models.Code,
        optional_body=False,
    ),
    Route(
        method="POST",
        path=f"{_FLOW}/me/code/reset",
        handler=reset_code,
        needs=_OWN,
        summary="The same without a code, on the server's own machine",
    ),
)

_KEYS = (
    Route(
        method="GET",
        path=f"{_FLOW}/keys",
        handler=list_keys,
        needs=_OWN,
        summary="One's keys",
        answers=models.KeyList,
    ),
    Route(
        method="POST",
        path=f"{_FLOW}/keys",
        handler=make_key,
        needs=_OWN,
        summary="Make a key, which may do less than its owner, and expire",
        reads=models.MakeKey,
        answers=models.NewKey,
        optional_body=False,
    ),
    Route(
        method="DELETE",
        path=f"{_FLOW}/keys/{{keyID}}",
        handler=revoke_key,
        needs=_OWN,
        summary="Have a key open nothing any more",
    ),
)

_OTHERS = (
    Route(
        method="GET",
        path=f"{_FLOW}/accounts",
        handler=list_accounts,
        needs=_ALL,
        summary="Accounts, by number",
        answers=models.AccountList,
        parameters=(
            Parameter(name="service", type="boolean", about="Only services, or only people."),
            Parameter(name="limit", type="integer", about=f"At most so many; 100, {MOST} at most."),
            Parameter(name="offset", type="integer", about="How many to pass over."),
        ),
    ),
    Route(
        method="POST",
        path=f"{_FLOW}/accounts",
        handler=make_account,
        needs=_ALL,
        summary="Make somebody an account",
        reads=models.MakeAccount,
        answers=models.Account,
        optional_body=False,
    ),
    Route(
        method="POST",
        path=f"{_FLOW}/accounts/service",
        handler=make_service,
        needs=_ALL,
        summary="Make a service an account, with one key",
        reads=models.MakeService,
        answers=models.NewService,
        optional_body=False,
    ),
    Route(
        method="GET",
        path=_ACCOUNT,
        handler=get_account,
        needs=_ALL,
        summary="An account, by its number",
        answers=models.Account,
    ),
    Route(
        method="POST",
        path=_ACCOUNT,
        handler=change_account,
        needs=_ALL,
        summary="Change an account's role, or open or close it",
        reads=models.ChangeAccount,
        answers=models.Account,
        optional_body=False,
    ),
    Route(
        method="POST",
        path=f"{_ACCOUNT}/code/reset",
        handler=reset_code_of,
        needs=_ALL,
        summary="Have no codes asked for of an account any more",
    ),
    Route(
        method="GET",
        path=f"{_ACCOUNT}/keys",
        handler=list_keys_of,
        needs=_ALL,
        summary="The keys of an account",
        answers=models.KeyList,
    ),
    Route(
        method="POST",
        path=f"{_ACCOUNT}/keys",
        handler=make_key_for,
        needs=_ALL,
        summary="Make an account a key",
        reads=models.MakeKey,
        answers=models.NewKey,
        optional_body=False,
    ),
    Route(
        method="DELETE",
        path=f"{_ACCOUNT}/keys/{{keyID}}",
        handler=revoke_key_of,
        needs=_ALL,
        summary="Have a key of an account open nothing any more",
    ),
)

ROUTES = (*_ENTERING, *_MINE, *_KEYS, *_OTHERS)
