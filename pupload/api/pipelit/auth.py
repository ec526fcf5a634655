"""Authentication: setting up, logging in, the second factor; and whether the server is well."""

from aiohttp import web

from pupload import errors
from pupload.api import access
from pupload.api.pipelit import account_models as models
from pupload.api.pipelit import bodies, problems, wire
from pupload.api.web import SERVER, SERVICES, Parameter, Route
from pupload.domain import account
from pupload.domain.access import Permission
from pupload.service.callers import Callers

ISSUER = "pupload"


def callers(request: web.Request) -> Callers:
    """Accounts and their keys."""
    return request.app[SERVICES].callers


# ── Coming in ────────────────────────────────────────────────────────────────────────────────────────────────────


async def setup_status(request: web.Request) -> web.Response:
    return wire.answer(models.SetupStatus(needs_setup=not await callers(request).are_set_up()))


async def setup(request: web.Request) -> web.Response:
    asked = await bodies.read(request, models.Credentials)
    if not await callers(request).are_set_up():
        check_fit(asked.username, asked.password)
    return _key(await access.set_up(request, asked.username, asked.password))


async def token(request: web.Request) -> web.Response:
    asked = await bodies.read(request, models.Credentials)
    login = await callers(request).log_in(asked.username, asked.password, address=access.counted_as(request))
    return _key(login.token, requires_mfa=login.needs_code)


async def login_verify(request: web.Request) -> web.Response:
    asked = await bodies.read(request, models.LoginCode)
    return _key(await callers(request).give_code(asked.username, asked.code, address=access.counted_as(request)))


def check_fit(username: str, password: str) -> None:
    """Raises what is answered with 422 for what is no name or password."""
    found = {"username": account.objection_to_name(username), "password": account.objection_to_password(password)}
    if any(found.values()):
        raise problems.unfit(*(f"body.{name}: {said}" for name, said in found.items() if said))


def _key(text: str, *, requires_mfa: bool = False) -> web.Response:
    return wire.answer(models.ApiKey(key=text, requires_mfa=requires_mfa))


# ── One's own account ────────────────────────────────────────────────────────────────────────────────────────────


async def me(request: web.Request) -> web.Response:
    found = await callers(request).me(access.caller(request))
    return wire.answer(models.Whoami(username=found.name, mfa_enabled=found.second.on))


async def mfa_status(request: web.Request) -> web.Response:
    found = await callers(request).me(access.caller(request))
    return wire.answer(models.MfaStatus(mfa_enabled=found.second.on))


async def mfa_setup(request: web.Request) -> web.Response:
    secret, uri = await callers(request).propose_code(access.caller(request), issuer=ISSUER)
    return wire.answer(models.MfaSetup(secret=secret, provisioning_uri=uri))


async def mfa_verify(request: web.Request) -> web.Response:
    asked = await bodies.read(request, models.TotpCode)
    await callers(request).enable_code(access.caller(request), asked.code)
    return wire.answer(models.MfaStatus(mfa_enabled=True))


async def mfa_disable(request: web.Request) -> web.Response:
    asked = await bodies.read(request, models.TotpCode)
    await callers(request).disable_code(access.caller(request), asked.code)
    return wire.answer(models.MfaStatus(mfa_enabled=False))


async def mfa_reset(request: web.Request) -> web.Response:
    if not access.is_local(request):
        raise errors.Forbidden(reason="MFA reset only allowed from localhost.")
    await callers(request).reset_code(access.caller(request))
    return wire.answer(models.MfaStatus(mfa_enabled=False))


# ── Health ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def health(request: web.Request) -> web.Response:
    well = {line.name: line.ok for line in await request.app[SERVICES].health.check()}

    def said(name: str) -> str:
        return "ok" if well[name] else "error"

    return wire.answer(
        models.Health(
            status="ok" if all(well.values()) else "degraded",
            version=request.app[SERVER].version,
            redis=said("database"),
            database=said("database"),
            store=said("store"),
            docker=said("engine"),
        )
    )


# ── The table ────────────────────────────────────────────────────────────────────────────────────────────────────

_AUTH = f"{wire.PREFIX}/auth"
_OWN = Permission.OWN_ACCOUNT

ROUTES = (
    Route(
        method="GET",
        path=f"{_AUTH}/setup-status",
        handler=setup_status,
        needs=None,
        summary="Whether nobody has an account yet",
        answers=models.SetupStatus,
    ),
    Route(
        method="POST",
        path=f"{_AUTH}/setup",
        handler=setup,
        needs=None,
        summary="Make the first account, an administrator's: on the server's machine, or with its set-up token",
        reads=models.Credentials,
        answers=models.ApiKey,
        parameters=(Parameter(name=access.SETUP_HEADER, place="header", about="What the server told when it began."),),
        optional_body=False,
    ),
    Route(
        method="POST",
        path=f"{_AUTH}/token",
        handler=token,
        needs=None,
        summary="Log in: a key in place of that of the login before, or a code is due",
        reads=models.Credentials,
        answers=models.ApiKey,
        optional_body=False,
    ),
    Route(
        method="POST",
        path=f"{_AUTH}/mfa/login-verify",
        handler=login_verify,
        needs=None,
        summary="Log in with the code that is due",
        reads=models.LoginCode,
        answers=models.ApiKey,
        optional_body=False,
    ),
    Route(
        method="GET",
        path=f"{_AUTH}/me",
        handler=me,
        needs=_OWN,
        summary="The account that asks",
        answers=models.Whoami,
    ),
    Route(
        method="GET",
        path=f"{_AUTH}/mfa/status",
        handler=mfa_status,
        needs=_OWN,
        summary="Whether a code is asked for after the password",
        answers=models.MfaStatus,
    ),
    Route(
        method="POST",
        path=f"{_AUTH}/mfa/setup",
        handler=mfa_setup,
        needs=_OWN,
        summary="A new secret for an authenticator, in place of the last; it counts once a code of it was verified",
        answers=models.MfaSetup,
    ),
    Route(
        method="POST",
        path=f"{_AUTH}/mfa/verify",
        handler=mfa_verify,
        needs=_OWN,
        summary="Have codes asked for from now on",
        reads=models.TotpCode,
        answers=models.MfaStatus,
        optional_body=False,
    ),
    Route(
        method="POST",
        path=f"{_AUTH}/mfa/disable",
        handler=mfa_disable,
        needs=_OWN,
        summary="Have no codes asked for any more",
        reads=models.TotpCode,
        answers=models.MfaStatus,
        optional_body=False,
    ),
    Route(
        method="POST",
        path=f"{_AUTH}/mfa/reset",
        handler=mfa_reset,
        needs=_OWN,
        summary="The same without a code, on the server's own machine",
        answers=models.MfaStatus,
    ),
    Route(
        method="GET",
        path="/health",
        handler=health,
        needs=None,
        summary="Whether all that the server needs answers",
        answers=models.Health,
        uncounted=True,
    ),
)
