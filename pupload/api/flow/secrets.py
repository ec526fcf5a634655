"""Secrets over the wire: they are set and never given back."""

from typing import Any

from aiohttp import web

from pupload import ports
from pupload.api import web as shared
from pupload.api.flow import models, reading, wire
from pupload.api.web import SERVICES


async def list_secrets(request: web.Request) -> web.Response:
    found = await request.app[SERVICES].secrets.list()
    return shared.json_bytes(wire.encode(models.SecretList(Secrets=[_line(each) for each in found])))


async def put_secret(request: web.Request) -> web.Response:
    value = await shared.read_document(request, _value)
    put = await request.app[SERVICES].secrets.put(request.match_info["name"], value)
    return shared.json_bytes(wire.encode(_line(put)))


async def remove_secret(request: web.Request) -> web.Response:
    await request.app[SERVICES].secrets.remove(request.match_info["name"])
    return web.Response(status=204)


async def rotate_secrets(request: web.Request) -> web.Response:
    new_key = await shared.read_document(request, _wants_new_key, optional=True)
    key = await request.app[SERVICES].secrets.rotate(new_key=new_key)
    return shared.json_bytes(wire.encode(models.Rotated(KeyID=key)))


def _value(document: Any) -> str:
    return reading.read(models.SecretValue, document, warnings=[]).Value


def _wants_new_key(document: Any) -> bool:
    return reading.read(models.Rotation, document, warnings=[]).NewKey


def _line(info: ports.SecretInfo) -> models.SecretLine:
    return models.SecretLine(Name=info.name, ChangedAt=info.changed_at)
