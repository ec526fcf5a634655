"""Routes about secrets, which are set and never given back."""

from aiohttp import web

from pupload.api import web as shared
from pupload.api.flow import models, wire
from pupload.api.web import SERVICES


async def list_secrets(request: web.Request) -> web.Response:
    found = await request.app[SERVICES].secrets.list()
    return shared.json_bytes(wire.encode(models.SecretList(Secrets=[wire.write_secret(each) for each in found])))


async def put_secret(request: web.Request) -> web.Response:
    value = await shared.read_document(request, wire.read_secret)
    put = await request.app[SERVICES].secrets.put(request.match_info["name"], value)
    return shared.json_bytes(wire.encode(wire.write_secret(put)))


async def remove_secret(request: web.Request) -> web.Response:
    await request.app[SERVICES].secrets.remove(request.match_info["name"])
    return web.Response(status=204)


async def rotate_secrets(request: web.Request) -> web.Response:
    new_key = await shared.read_document(request, wire.read_rotation, optional=True)
    key = await request.app[SERVICES].secrets.rotate(new_key=new_key)
    return shared.json_bytes(wire.encode(models.Rotated(KeyID=key)))
