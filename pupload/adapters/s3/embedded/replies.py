"""
Answers: the headers that all of them carry, XML, and nothing else.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import format_datetime

from aiohttp import web

from pupload.adapters.s3.embedded import xml
from pupload.adapters.s3.embedded.calls import Call
from pupload.adapters.s3.embedded.refusals import Refusal

OWNER = "pupload"


def empty(call: Call, *, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """No body. A HEAD's own Content-Length may be among the headers."""
    return web.Response(status=status, headers={**call.extra, **(headers or {})})


def document(
    call: Call, name: str, content: str | Sequence[xml.Element], *, headers: Mapping[str, str] | None = None
) -> web.Response:
    """200 with an XML document."""
    return web.Response(
        body=xml.write(name, content),
        headers={**call.extra, "Content-Type": "application/xml", **(headers or {})},
    )


def refusal(refused: Refusal, extra: Mapping[str, str], *, resource: str, has_body: bool) -> web.Response:
    """S3's `<Error>`; without the body itself for HEAD, without any for 304."""
    headers = {**extra, **refused.headers}
    if refused.status in (204, 304):
        return web.Response(status=refused.status, headers=headers)
    content = [
        ("Code", refused.code),
        ("Message", refused.message),
        *((name, xml.approximate(value)) for name, value in refused.details.items()),
        ("Resource", resource),
        ("RequestId", extra.get("x-amz-request-id", "")),
    ]
    body = xml.write("Error", content, namespace="")
    headers["Content-Type"] = "application/xml"
    if not has_body:
        # Without a length some clients (aiohttp) wait for the connection's end, and must make a new one each time.
        return web.Response(status=refused.status, headers={**headers, "Content-Length": str(len(body))})
    return web.Response(status=refused.status, body=body, headers=headers)


def http_date(when: datetime) -> str:
    """`Sun, 06 Nov 1994 08:49:37 GMT`."""
    return format_datetime(when.astimezone(UTC), usegmt=True)


def xml_date(when: datetime | int) -> str:
    """`2009-10-12T17:50:30.000Z`; a number is milliseconds since 1970."""
    if isinstance(when, int):
        when = datetime.fromtimestamp(when / 1000, UTC)
    return f"{when:%Y-%m-%dT%H:%M:%S}.{when.microsecond // 1000:03d}Z"


def quoted(etag: str) -> str:
    """As headers and XML carry it."""
    return f'"{etag}"'
