"""Credentials: what opens something elsewhere, shown masked."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
from aiohttp import web
from pydantic import Field, field_validator

from pupload import errors
from pupload.api import web as shared
from pupload.api.pipelit import bodies, models, problems, wire
from pupload.api.pipelit.bodies import Body
from pupload.api.web import SERVICES, Route
from pupload.domain import credential
from pupload.domain.access import Permission

# ── What requests hold ───────────────────────────────────────────────────────────────────────────────────────────


class NewCredential(Body):
    """A credential; what `detail` does not say has the type's default."""

    name: str
    credential_type: str
    detail: dict[str, Any] | None = None

    @field_validator("credential_type")
    @classmethod
    def known(cls, value: str) -> str:
        """One of the types that there are."""
        if value not in credential.TYPES:
            raise ValueError(f"one of {', '.join(credential.TYPES)} is expected")
        return value


class CredentialChange(Body):
    """What is to be otherwise; of `detail` the keys that are given. A value that is its own mask stays as it was."""

    name: str = ""
    detail: dict[str, Any] = Field(default_factory=dict)


class CredentialIds(Body):
    """Which are meant."""

    ids: list[int]


# ── What answers hold ────────────────────────────────────────────────────────────────────────────────────────────


class Credential(models.Answer, frozen=True, kw_only=True):
    """A credential; of what opens something the ends are shown where it is long, else `****`."""

    id: int
    name: str
    credential_type: str
    detail: dict[str, Any]
    created_at: models.Moment
    updated_at: models.Moment


class CredentialPage(models.Answer, frozen=True, kw_only=True):
    """Some of the credentials, by number."""

    items: list[Credential]
    total: int


class CredentialTest(models.Answer, frozen=True, kw_only=True):
    """Whether a provider takes it, and why not."""

    ok: bool
    error: str


class ModelLine(models.Answer, frozen=True, kw_only=True):
    """A language model that a provider has."""

    id: str
    name: str


# ── Routes ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def list_credentials(request: web.Request) -> web.Response:
    limit, offset = bodies.page(request)
    page = await request.app[SERVICES].credentials.list(limit=limit, offset=offset)
    return wire.answer(CredentialPage(items=[_view(each) for each in page.credentials], total=page.total))


async def create_credential(request: web.Request) -> web.Response:
    asked = await bodies.read(request, NewCredential)
    with _fitting():
        made = await request.app[SERVICES].credentials.create(asked.name, asked.credential_type, asked.detail or {})
    return wire.answer(_view(made), status=201)


async def get_credential(request: web.Request) -> web.Response:
    return wire.answer(_view(await request.app[SERVICES].credentials.get(_id(request))))


async def change_credential(request: web.Request) -> web.Response:
    asked = await bodies.read(request, CredentialChange)
    with _fitting():
        after = await request.app[SERVICES].credentials.change(_id(request), **asked.said)
    return wire.answer(_view(after))


async def remove_credential(request: web.Request) -> web.Response:
    await request.app[SERVICES].credentials.remove(_id(request))
    return wire.nothing()


async def remove_credentials(request: web.Request) -> web.Response:
    await request.app[SERVICES].credentials.remove_all((await bodies.read(request, CredentialIds)).ids)
    return wire.nothing()


async def try_credential(request: web.Request) -> web.Response:
    trial = await request.app[SERVICES].credentials.try_out(_id(request))
    return wire.answer(CredentialTest(ok=not trial.error, error=trial.error))


async def list_models(request: web.Request) -> web.Response:
    trial = await request.app[SERVICES].credentials.try_out(_id(request))
    return shared.json_bytes(msgspec.json.encode([ModelLine(id=each.id, name=each.name) for each in trial.models]))


def _id(request: web.Request) -> int:
    number = credential.number(request.match_info["credential_id"])
    if number is None:
        raise problems.unfit("path.credential_id: a credential's id is a whole number")
    return number


@contextmanager
def _fitting() -> Iterator[None]:
    """What can be no credential does not fit, all that is wrong with it."""
    try:
        yield
    except errors.Malformed as error:
        raise problems.unfit(*(f"body: {each}" for each in error.facts.get("objections", (error.message,)))) from None


def _view(this: credential.Credential) -> Credential:
    return Credential(
        id=this.id,
        name=this.name,
        credential_type=this.type,
        detail=credential.masked(this),
        created_at=wire.moment(this.created_at),
        updated_at=wire.moment(this.updated_at),
    )


# ── The table ────────────────────────────────────────────────────────────────────────────────────────────────────

_CREDENTIALS = f"{wire.PREFIX}/credentials"
_ONE = f"{_CREDENTIALS}/{{credential_id}}"

ROUTES = (
    Route(
        method="GET",
        path=_CREDENTIALS,
        handler=list_credentials,
        needs=Permission.CREDENTIALS_VIEW,
        summary="The caller's credentials, masked; an administrator's everybody's",
        answers=CredentialPage,
        parameters=bodies.PAGE,
    ),
    Route(
        method="POST",
        path=_CREDENTIALS,
        handler=create_credential,
        needs=Permission.CREDENTIALS_EDIT,
        summary="Keep a credential",
        reads=NewCredential,
        answers=Credential,
        status=201,
        optional_body=False,
    ),
    Route(
        method="POST",
        path=f"{_CREDENTIALS}/batch-delete",
        handler=remove_credentials,
        needs=Permission.CREDENTIALS_EDIT,
        summary="Remove credentials; those that are not there are passed over",
        reads=CredentialIds,
        status=204,
        optional_body=False,
    ),
    Route(
        method="GET",
        path=_ONE,
        handler=get_credential,
        needs=Permission.CREDENTIALS_VIEW,
        summary="A credential, masked",
        answers=Credential,
    ),
    Route(
        method="PATCH",
        path=_ONE,
        handler=change_credential,
        needs=Permission.CREDENTIALS_EDIT,
        summary="Change a credential: its name, keys of its detail",
        reads=CredentialChange,
        answers=Credential,
        optional_body=False,
    ),
    Route(
        method="DELETE",
        path=_ONE,
        handler=remove_credential,
        needs=Permission.CREDENTIALS_EDIT,
        summary="Remove a credential",
        status=204,
    ),
    Route(
        method="POST",
        path=f"{_ONE}/test",
        handler=try_credential,
        needs=Permission.CREDENTIALS_EDIT,
        summary="Whether the provider of a language model takes the credential: 200, also where it does not",
        answers=CredentialTest,
    ),
    Route(
        method="GET",
        path=f"{_ONE}/models",
        handler=list_models,
        needs=Permission.CREDENTIALS_VIEW,
        summary="The models that the provider of a language model has; none where it does not answer",
        answers=list[ModelLine],
    ),
)
