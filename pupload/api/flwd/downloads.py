"""An artifact's bytes, through this server from whatever store has them: all of them, or one range (RFC 9110)."""

from collections.abc import AsyncIterator, Sequence
from urllib.parse import quote

from aiohttp import web

from pupload.api import streams
from pupload.api.flwd import problems
from pupload.domain import mime
from pupload.service import artifacts


async def give(request: web.Request, contents: artifacts.Contents) -> web.StreamResponse:
    """The bytes; 206 for a range, 304 for a client that has them, 416 for a range that there is not."""
    headers = _headers(contents)
    if contents.etag and _etag(contents) in _tags(request.headers.get("If-None-Match", "")):
        return web.Response(status=304, headers={"ETag": headers["ETag"]})
    start, size, status = 0, contents.size, 200
    asked = _range(request, contents)
    if asked is not None:
        start, size, status = *asked, 206
        if not size:
            return problems.answer(
                416,
                "range-not-satisfiable",
                f"the artifact has {contents.size} bytes",
                instance=request.rel_url.raw_path,
                headers={"Content-Range": f"bytes */{contents.size}"},
            )
        headers["Content-Range"] = f"bytes {start}-{start + size - 1}/{contents.size}"
    headers["Content-Length"] = str(size)

    async def batches() -> AsyncIterator[Sequence[bytes]]:
        async for piece in contents.read(start, size):
            yield (piece,)

    return await streams.pieces(request, batches(), write=bytes, headers=headers, status=status)


def _headers(contents: artifacts.Contents) -> dict[str, str]:
    """
    What is told of the bytes.

    They are others', on this server's own origin: no browser is to show them, or run what is in them.
    """
    line = contents.line
    name = line.file_name or line.edge + mime.extension(line.content_type)
    headers = {
        "Content-Type": mime.UNKNOWN if line.content_type == mime.EMPTY else line.content_type,
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(name.rpartition('/')[2], safe='')}",
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "Accept-Ranges": "bytes",
    }
    return {**headers, "ETag": _etag(contents)} if contents.etag else headers


def _etag(contents: artifacts.Contents) -> str:
    return f'"{contents.etag}"'


def _tags(text: str) -> list[str]:
    return [tag.strip().removeprefix("W/") for tag in text.split(",")]


def _range(request: web.Request, contents: artifacts.Contents) -> tuple[int, int] | None:
    """First byte and number of bytes, 0 where there are none; None where all are to be given."""
    if "Range" not in request.headers or request.headers.get("If-Range", _etag(contents)) != _etag(contents):
        return None
    try:
        asked = request.http_range
    except ValueError:
        return None  # several ranges, or what is none: that may be passed over
    start, stop = asked.start, asked.stop
    if start is None:
        return None
    if start < 0:
        start = max(contents.size + start, 0)
    stop = contents.size if stop is None else min(stop, contents.size)
    return start, max(stop - start, 0)
