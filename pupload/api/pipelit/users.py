"""Users: agents, which are accounts of programs, people's accounts, and keys beside those of logins."""

from collections.abc import Iterable
from datetime import UTC, datetime

import msgspec
from aiohttp import web

from pupload import errors
from pupload.api import access
from pupload.api.pipelit import account_models as models
from pupload.api.pipelit import auth, bodies, problems, wire
from pupload.api.web import Handler, Route
from pupload.domain import account
from pupload.domain.access import ALLOWED, Permission, Role

NORMAL = "normal"
"""What everybody is who is no administrator; who is made so is an editor."""


# ── Agents ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def list_agents(request: web.Request) -> web.Response:
    limit, offset = bodies.page(request)
    found = await auth.callers(request).services(access.caller(request))
    items = [await _agent(request, user) for user in found[offset : offset + limit]]
    return wire.answer(models.AgentPage(items=items, total=len(found)))


async def create_agent(request: web.Request) -> web.Response:
    asked, by = await bodies.read(request, models.NewAgent), access.caller(request)
    auth.check_fit(asked.username, "it has none")
    role = next(role for role in (Role.OPERATOR, Role.VIEWER) if ALLOWED[role] <= by.permissions or role is Role.VIEWER)
    made = await auth.callers(request).create_service(asked.username, purpose=asked.purpose, role=role, by=by)
    user = await auth.callers(request).get(made.key.user)
    return wire.answer(await _agent(request, user, key=made.token), status=201)


async def delete_agent(request: web.Request) -> web.Response:
    try:
        await auth.callers(request).close_service(_id(request), by=access.caller(request))
    except errors.UnknownAccount as error:
        raise errors.UnknownAgent(name=error.facts.get("name")) from None
    return wire.nothing()


async def delete_agents(request: web.Request) -> web.Response:
    asked, callers = await bodies.read(request, models.Ids), auth.callers(request)
    there = {user.id for user in await callers.services(access.caller(request))}
    for user_id in there.intersection(asked.ids):
        await callers.close_service(user_id, by=access.caller(request))
    return wire.nothing()


async def _agent(request: web.Request, user: account.User, *, key: str = "") -> models.Agent:
    keys = await auth.callers(request).keys_of(user.id)
    last = next((each.last for each in keys if each.revoked_at is None), "")
    by = await auth.callers(request).name_of(user.made_by)
    return models.Agent(
        id=user.id,
        username=user.name,
        purpose=user.purpose,
        api_key_preview=f"...{last}" if last else "",
        created_at=wire.moment(user.created_at),
        created_by=by,
        key=key or msgspec.UNSET,
    )


# ── People ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def list_users(request: web.Request) -> web.Response:
    limit, offset = bodies.page(request)
    found, total = await auth.callers(request).list(service=False, limit=limit, offset=offset)
    return wire.answer(models.UserPage(items=[_user(each) for each in found], total=total))


async def create_user(request: web.Request) -> web.Response:
    asked = await bodies.read(request, models.NewUser)
    auth.check_fit(asked.username, asked.password)
    role, by = _role(asked.role), access.caller(request)
    return wire.answer(
        _user(await auth.callers(request).create(asked.username, asked.password, role=role, by=by)), status=201
    )


async def get_user(request: web.Request) -> web.Response:
    return wire.answer(_user(await auth.callers(request).get(_id(request))))


async def change_user(request: web.Request) -> web.Response:
    asked = await bodies.read(request, models.UserChange)
    _check_said(asked)
    role = _role(asked.role) if asked.role is not None else None
    return wire.answer(_user(await auth.callers(request).change(_id(request), role=role, active=asked.is_active)))


async def delete_user(request: web.Request) -> web.Response:
    await auth.callers(request).change(_id(request), active=False)
    return wire.nothing()


async def get_me(request: web.Request) -> web.Response:
    return wire.answer(_user(await auth.callers(request).me(access.caller(request))))


async def change_me(request: web.Request) -> web.Response:
    asked, who = await bodies.read(request, models.MyChange), access.caller(request)
    _check_said(asked)
    if asked.password is not None:
        auth.check_fit("me", asked.password)
        await auth.callers(request).change_password(who, asked.current_password, asked.password)
    return wire.answer(_user(await auth.callers(request).me(who)))


def _check_said(asked: bodies.Body) -> None:
    """Raises what is answered with 422 for what was said to be null, and cannot."""
    if wrong := [f"body.{name}: cannot be null" for name, value in sorted(asked.said.items()) if value is None]:
        raise problems.unfit(*wrong)


def _role(text: str) -> Role:
    """Raises what is answered with 422."""
    if text == NORMAL:
        return Role.EDITOR
    if text in set(Role):
        return Role(text)
    raise problems.unfit("body.role: must be 'admin' or 'normal'")


def _user(this: account.User) -> models.User:
    return models.User(
        id=this.id,
        username=this.name,
        role=this.role if this.role is Role.ADMIN else NORMAL,
        is_active=this.active,
        mfa_enabled=this.second.on,
        created_at=wire.moment(this.created_at),
    )


def _id(request: web.Request) -> int:
    """The account in the path. Raises `errors.UnknownAccount`."""
    text = request.match_info["user_id"]
    if not (text.isascii() and text.isdecimal() and len(text) < 19):
        raise errors.UnknownAccount(name=text[: account.MOST_NAME])
    return int(text)


# ── Keys ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def list_keys(request: web.Request) -> web.Response:
    limit, offset = bodies.page(request)
    found = await auth.callers(request).keys(access.caller(request), user_id=_whose(request))
    named = [each for each in found if each.name]
    items = list(_keys(request, named[offset : offset + limit]))
    return wire.answer(models.KeyPage(items=items, total=len(named)))


async def create_key(request: web.Request) -> web.Response:
    asked = await bodies.read(request, models.NewKey)
    if not asked.name or len(asked.name) > account.MOST_NAME:
        raise problems.unfit(f"body.name: must have 1 to {account.MOST_NAME} letters")
    made = await auth.callers(request).make_key(
        access.caller(request), asked.name, expires_at=_moment(asked.expires_at), user_id=_whose(request)
    )
    (written,) = _keys(request, [made.key])
    return wire.answer(msgspec.structs.replace(written, key=made.token), status=201)


async def delete_key(request: web.Request) -> web.Response:
    key = request.match_info["key_id"]
    await auth.callers(request).revoke_key(access.caller(request), key, user_id=_whose(request))
    return wire.nothing()


async def list_user_keys(request: web.Request) -> web.Response:
    return await list_keys(request)


async def create_user_key(request: web.Request) -> web.Response:
    return await create_key(request)


async def delete_user_key(request: web.Request) -> web.Response:
    return await delete_key(request)


def _whose(request: web.Request) -> int | None:
    return _id(request) if "user_id" in request.match_info else None


def _moment(text: str | None) -> datetime | None:
    """Raises what is answered with 422."""
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise problems.unfit("body.expires_at: must be a time, such as 2026-03-01T12:00:00") from None


def _keys(request: web.Request, keys: Iterable[account.Key]) -> Iterable[models.Key]:
    now = auth.callers(request).now()
    for this in keys:
        yield models.Key(
            id=this.id,
            name=this.name,
            prefix=this.first,
            created_at=wire.moment(this.created_at),
            expires_at=wire.maybe_moment(this.expires_at),
            last_used_at=wire.maybe_moment(this.used_at),
            is_active=this.opens(now),
        )


# ── The table ────────────────────────────────────────────────────────────────────────────────────────────────────

_USERS = f"{wire.PREFIX}/users"
_USER = f"{_USERS}/{{user_id}}"
_OWN, _ALL = Permission.OWN_ACCOUNT, Permission.USERS_MANAGE

_AGENTS = (
    Route(
        method="GET",
        path=f"{_USERS}/agents",
        handler=list_agents,
        needs=_OWN,
        summary="The agents that one made, or all of them for an administrator",
        answers=models.AgentPage,
        parameters=bodies.PAGE,
    ),
    Route(
        method="POST",
        path=f"{_USERS}/agents",
        handler=create_agent,
        needs=_OWN,
        summary="Make an agent, with a key that is shown once; it may run what is saved, and no more than who makes it",
        reads=models.NewAgent,
        answers=models.Agent,
        status=201,
        optional_body=False,
    ),
    Route(
        method="POST",
        path=f"{_USERS}/agents/batch-delete",
        handler=delete_agents,
        needs=_OWN,
        summary="Remove agents; those that are not there are passed over",
        reads=models.Ids,
        optional_body=False,
    ),
    Route(
        method="DELETE",
        path=f"{_USERS}/agents/{{user_id}}",
        handler=delete_agent,
        needs=_OWN,
        summary="Remove an agent: nothing of it opens anything any more",
    ),
)

_MINE = (
    Route(
        method="GET",
        path=f"{_USERS}/me",
        handler=get_me,
        needs=_OWN,
        summary="One's account",
        answers=models.User,
    ),
    Route(
        method="PATCH",
        path=f"{_USERS}/me",
        handler=change_me,
        needs=_OWN,
        summary="Change one's password; keys of logins are void",
        reads=models.MyChange,
        answers=models.User,
        optional_body=False,
    ),
)


def _key_routes(place: str, needs: Permission, listed: Handler, made: Handler, gone: Handler) -> tuple[Route, ...]:
    return (
        Route(
            method="GET",
            path=f"{place}/keys",
            handler=listed,
            needs=needs,
            summary="Keys beside that of the login, the latest first",
            answers=models.KeyPage,
            parameters=bodies.PAGE,
        ),
        Route(
            method="POST",
            path=f"{place}/keys",
            handler=made,
            needs=needs,
            summary="Make a key, which is shown once",
            reads=models.NewKey,
            answers=models.Key,
            status=201,
            optional_body=False,
        ),
        Route(
            method="DELETE",
            path=f"{place}/keys/{{key_id}}",
            handler=gone,
            needs=needs,
            summary="Have a key open nothing any more",
        ),
    )


_PEOPLE = (
    Route(
        method="GET",
        path=_USERS,
        handler=list_users,
        needs=_ALL,
        summary="Everybody's accounts, by number",
        answers=models.UserPage,
        parameters=bodies.PAGE,
    ),
    Route(
        method="POST",
        path=_USERS,
        handler=create_user,
        needs=_ALL,
        summary="Make somebody an account",
        reads=models.NewUser,
        answers=models.User,
        status=201,
        optional_body=False,
    ),
    Route(
        method="GET",
        path=_USER,
        handler=get_user,
        needs=_ALL,
        summary="Somebody's account",
        answers=models.User,
    ),
    Route(
        method="PATCH",
        path=_USER,
        handler=change_user,
        needs=_ALL,
        summary="Change somebody's role, or open or close their account",
        reads=models.UserChange,
        answers=models.User,
        optional_body=False,
    ),
    Route(
        method="DELETE",
        path=_USER,
        handler=delete_user,
        needs=_ALL,
        summary="Close somebody's account: nothing of it opens anything any more",
    ),
)

ROUTES = (
    *_AGENTS,
    *_MINE,
    *_key_routes(f"{_USERS}/me", _OWN, list_keys, create_key, delete_key),
    *_PEOPLE,
    *_key_routes(_USER, _ALL, list_user_keys, create_user_key, delete_user_key),
)
