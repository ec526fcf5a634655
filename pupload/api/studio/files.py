"""A file that comes in a form, field `file`: taken to the disk as it comes, never into memory."""

import asyncio
import mimetypes
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import PurePath

from aiohttp import BodyPartReader, MultipartReader, web
from aiohttp.http_exceptions import HttpProcessingError

from pupload import errors
from pupload.api import web as shared
from pupload.api.studio import problems
from pupload.api.web import SERVER, SERVICES
from pupload.domain import mime
from pupload.service.launching import Given

FIELD = "file"

_NO_FORM = (ValueError, AssertionError, HttpProcessingError, web.RequestPayloadError)
"""What the library says of bytes that make none."""

MOST_PARTS = 64
"""Of a form; those before the file are passed over."""

MOST_NAME = 255
"""Letters of what a file is called."""


@asynccontextmanager
async def sent(request: web.Request) -> AsyncIterator[Given]:
    """
    The file, while it is needed.

    Raises `errors.Malformed` for a form without it, `errors.TooLarge`, `errors.TryLater` where too many come at once;
    `web.HTTPException` for a body that is packed or too slow.
    """
    shared.refuse_packed(request)
    part = await _file(request)
    name = PurePath((part.filename or FIELD).replace("\\", "/")).name[:MOST_NAME] or FIELD
    media = mime.normalised(part.headers.get("Content-Type", "").partition(";")[0])
    guessed = mimetypes.guess_type(name, strict=True)[0]
    what = f"project {request.match_info['name']}"
    async with request.app[SERVICES].launches.taken(_pieces(request, part), what=what) as path:
        yield Given(path=path, name=name, content_type=media or guessed or mime.UNKNOWN)


async def _file(request: web.Request) -> BodyPartReader:
    """The part of the form that is the file, at its beginning."""
    if request.content_type != "multipart/form-data":
        raise problems.missing(FIELD)
    try:
        form = await request.multipart()
        for _ in range(MOST_PARTS):
            part = await _in_time(request, form)
            if part is None:
                break
            if isinstance(part, BodyPartReader) and part.name == FIELD:
                if part.headers.get("Content-Transfer-Encoding", "binary").lower() not in ("binary", "7bit", "8bit"):
                    raise errors.Malformed(reason="the file is not sent as it is")
                return part
    except _NO_FORM as error:
        raise errors.Malformed(reason="the body is no form") from error
    raise problems.missing(FIELD)


async def _in_time(request: web.Request, form: MultipartReader) -> MultipartReader | BodyPartReader | None:
    """The next part; what is left of the one before is passed over."""
    try:
        async with asyncio.timeout(request.app[SERVER].body_seconds):
            return await form.next()
    except TimeoutError as error:
        raise web.HTTPRequestTimeout(text="the body did not arrive in time") from error


async def _pieces(request: web.Request, part: BodyPartReader) -> AsyncIterator[bytes]:
    """The file as it comes in. Raises as `web.pieces` does."""
    server, loop = request.app[SERVER], asyncio.get_running_loop()
    last = loop.time() + server.large_body_seconds
    while not part.at_eof():
        try:
            async with asyncio.timeout_at(min(last, loop.time() + server.body_seconds)):
                piece = await part.read_chunk(shared.PIECE_BYTES)
        except TimeoutError as error:
            raise web.HTTPRequestTimeout(text="the body did not arrive in time") from error
        except _NO_FORM as error:
            raise errors.Malformed(reason="the body is no form, or it ends too early") from error
        if piece:
            yield piece
