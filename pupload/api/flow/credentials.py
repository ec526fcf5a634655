"""Credentials over the wire: kept, shown with masks, tried out."""

from typing import Any

from aiohttp import web

from pupload.api import web as shared
from pupload.api.flow import answering, credential_models, reading
from pupload.api.web import SERVICES, Parameter, Route
from pupload.domain import credential
from pupload.domain.access import Permission
from pupload.service import credentials

MOST = 1000
"""On one page."""


async def list_credentials(request: web.Request) -> web.Response:
    page = await request.app[SERVICES].credentials.list(
        type_=request.query.get("type") or None,
        limit=shared.whole_number(request, "limit", default=50, most=MOST),
        offset=shared.whole_number(request, "offset", default=0),
    )
    views = [_view(each) for each in page.credentials]
    return answering.answer(credential_models.CredentialList(Credentials=views, Total=page.total))


async def add_credential(request: web.Request) -> web.Response:
    asked = await shared.read_document(request, _read_new)
    made = await request.app[SERVICES].credentials.create(asked.Name, asked.Type, asked.Detail)
    return answering.answer(_view(made))


async def get_credential(request: web.Request) -> web.Response:
    return answering.answer(_view(await _found(request)))


async def change_credential(request: web.Request) -> web.Response:
    asked = await shared.read_document(request, _read_change)
    found = await _found(request)
    after = await request.app[SERVICES].credentials.change(found.id, name=asked.Name, detail=asked.Detail)
    return answering.answer(_view(after))


async def remove_credential(request: web.Request) -> web.Response:
    await request.app[SERVICES].credentials.remove((await _found(request)).id)
    return web.Response(status=204)


async def try_credential(request: web.Request) -> web.Response:
    trial = await request.app[SERVICES].credentials.try_out((await _found(request)).id)
    return answering.answer(_trial(trial))


async def _found(request: web.Request) -> credential.Credential:
    return await request.app[SERVICES].credentials.find(request.match_info["credential"])


def _read_new(document: Any) -> credential_models.AddCredential:
    return reading.read(credential_models.AddCredential, document, warnings=[])


def _read_change(document: Any) -> credential_models.ChangeCredential:
    return reading.read(credential_models.ChangeCredential, document, warnings=[])


def _view(this: credential.Credential) -> credential_models.Credential:
    return credential_models.Credential(
        ID=this.id,
        Name=this.name,
        Type=this.type,
        Detail=credential.masked(this),
        Account=this.account,
        CreatedAt=this.created_at,
        UpdatedAt=this.updated_at,
    )


def _trial(this: credentials.Trial) -> credential_models.CredentialTrial:
    models = [credential_models.Model(ID=each.id, Name=each.name) for each in this.models]
    return credential_models.CredentialTrial(OK=not this.error, Error=this.error, Models=models)


# ── The table ────────────────────────────────────────────────────────────────────────────────────────────────────

_CREDENTIALS = "/api/v1/flow/credentials"
_ONE = f"{_CREDENTIALS}/{{credential}}"

ROUTES = (
    Route(
        method="GET",
        path=_CREDENTIALS,
        handler=list_credentials,
        needs=Permission.CREDENTIALS_VIEW,
        summary="What opens things elsewhere, masked",
        answers=credential_models.CredentialList,
        parameters=(
            Parameter(name="type", about="Only credentials of this type.", choices=tuple(credential.TYPES)),
            Parameter(name="limit", type="integer", about=f"So many at most, 50 when not given, {MOST} at most."),
            Parameter(name="offset", type="integer", about="How many to pass over."),
        ),
    ),
    Route(
        method="POST",
        path=_CREDENTIALS,
        handler=add_credential,
        needs=Permission.CREDENTIALS_EDIT,
        summary="Keep a credential",
        reads=credential_models.AddCredential,
        answers=credential_models.Credential,
        optional_body=False,
    ),
    Route(
        method="GET",
        path=_ONE,
        handler=get_credential,
        needs=Permission.CREDENTIALS_VIEW,
        summary="A credential by its number or name, masked",
        answers=credential_models.Credential,
    ),
    Route(
        method="PATCH",
        path=_ONE,
        handler=change_credential,
        needs=Permission.CREDENTIALS_EDIT,
        summary="Let a credential be otherwise: what is not said stays as it was",
        reads=credential_models.ChangeCredential,
        answers=credential_models.Credential,
        optional_body=False,
    ),
    Route(
        method="DELETE",
        path=_ONE,
        handler=remove_credential,
        needs=Permission.CREDENTIALS_EDIT,
        summary="Remove a credential: nodes that name it are not given it any more",
    ),
    Route(
        method="POST",
        path=f"{_ONE}/test",
        handler=try_credential,
        needs=Permission.CREDENTIALS_EDIT,
        summary="Ask the provider of an `llm` credential what models there are; one GET, where callbacks may go",
        answers=credential_models.CredentialTrial,
    ),
)
