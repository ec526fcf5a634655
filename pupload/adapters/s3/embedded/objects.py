"""
Objects by their key: put, get, head, delete, and delete many.
"""

from collections.abc import Mapping

from aiohttp import web

from pupload.adapters.s3.embedded import checksums, ranges, replies, rows, sending, xml
from pupload.adapters.s3.embedded.calls import Call, check_header_text
from pupload.adapters.s3.embedded.conditions import Conditions, still_fresh
from pupload.adapters.s3.embedded.index import Change
from pupload.adapters.s3.embedded.refusals import Refusal
from pupload.adapters.s3.embedded.store import Store

_OVERRIDES = {
    "response-cache-control": "Cache-Control",
    "response-content-disposition": "Content-Disposition",
    "response-content-encoding": "Content-Encoding",
    "response-content-language": "Content-Language",
    "response-content-type": "Content-Type",
    "response-expires": "Expires",
}
OVERRIDES = frozenset(_OVERRIDES)

_MOST_DELETES = 1000
_HASH_WAIT_SECONDS = 20.0


# ── Put ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def put(store: Store, call: Call) -> web.StreamResponse:
    """The body is the object when this returns, and on the disk."""
    headers, conditions = call.kept_headers(), Conditions.read(call.header)
    store.index.look(lambda db: rows.check_writing(db, call.bucket, call.key, conditions))
    async with store.room.promised(call.length()):
        received = await store.receive(call, inline=True)
        new = rows.StoredObject(
            bucket=call.bucket,
            key=call.key,
            size=received.size,
            etag=received.md5,
            modified_ms=store.now_ms(),
            sha256=received.sha256,
            headers=headers,
            checksums=received.checksums,
            extents=(rows.Extent(received.blob, received.size),) if received.blob else (),
            data=received.data,
        )
        await store.commit(lambda change: rows.put(change, new, conditions), [received.blob] if received.blob else [])
    answer = {"ETag": replies.quoted(new.etag)}
    for name, value in received.checksums.items():
        answer |= {checksums.PREFIX + name: value, "x-amz-checksum-type": "FULL_OBJECT"}
    return replies.empty(call, headers=answer)


# ── Get, head ────────────────────────────────────────────────────────────────────────────────────────────────────


async def get(store: Store, call: Call) -> web.StreamResponse:
    """The object's bytes, or the range or part of them that was asked for."""
    async with store.reading(call.bucket, call.key) as stored:
        start, length, status, headers = _view(call, stored)
        if status == 200 and _wants_checksums(call) and stored.sha256:
            headers |= _checksum_headers(stored, stored.sha256)
        return await sending.send(store, call, stored, start=start, length=length, status=status, headers=headers)


async def head(store: Store, call: Call) -> web.StreamResponse:
    """
    What a get would say.

    The SHA-256 of an object in parts may still be on its way; whoever asks for checksums waits for it a while.
    """
    stored = store.index.look(lambda db: rows.must_find(db, call.bucket, call.key))
    _, length, status, headers = _view(call, stored)
    if status == 200 and _wants_checksums(call):
        sha256 = await store.digests.within(_HASH_WAIT_SECONDS, stored)
        if sha256:
            headers |= _checksum_headers(stored, sha256)
    return replies.empty(call, status=status, headers={**headers, "Content-Length": str(length)})


async def tags(store: Store, call: Call) -> web.StreamResponse:
    """None. The AWS command line asks before it copies an object in parts."""
    await store.index.read(lambda db: rows.must_find(db, call.bucket, call.key))
    return replies.document(call, "Tagging", [("TagSet", "")])


def _view(call: Call, stored: rows.StoredObject) -> tuple[int, int, int, dict[str, str]]:
    """Start, length, status and headers of the answer. Raises `Refusal`, conditions first."""
    headers = _headers(call, stored)
    try:
        Conditions.read(call.header).check_reading(stored)
    except Refusal as refused:
        if refused.code == "NotModified":
            refused.headers |= {name: headers[name] for name in ("ETag", "Last-Modified")}
        raise
    window = _window(call, stored, headers)
    if window is None:
        return 0, stored.size, 200, headers
    start, length = window
    # A part of no bytes has no range that could be named.
    if length:
        headers["Content-Range"] = f"bytes {start}-{start + length - 1}/{stored.size}"
    return start, length, 206, headers


def _window(call: Call, stored: rows.StoredObject, headers: dict[str, str]) -> tuple[int, int] | None:
    wanted, part = call.header("range"), call.query.get("partNumber")
    if part is not None:
        if wanted is not None:
            raise Refusal("InvalidRequest", "Cannot specify both Range header and partNumber query parameter")
        return _part_window(call, stored, headers)
    if wanted is None:
        return None
    if_range = call.header("if-range")
    if if_range is not None and not still_fresh(if_range, stored):
        return None
    return ranges.read(wanted, stored.size)


def _part_window(call: Call, stored: rows.StoredObject, headers: dict[str, str]) -> tuple[int, int]:
    number = call.number("partNumber", 0, most=1 << 20)
    sizes = [extent.size for extent in stored.extents] or [stored.size]
    if not 1 <= number <= len(sizes):
        raise Refusal("InvalidPartNumber")
    if "-" in stored.etag:
        headers["x-amz-mp-parts-count"] = str(len(sizes))
    return sum(sizes[: number - 1]), sizes[number - 1]


def _headers(call: Call, stored: rows.StoredObject) -> dict[str, str]:
    headers = {
        **stored.headers,
        "ETag": replies.quoted(stored.etag),
        "Last-Modified": replies.http_date(stored.modified_at),
        "Accept-Ranges": "bytes",
    }
    headers["Content-Type"] = headers.pop("content-type", stored.content_type)
    for parameter, name in _OVERRIDES.items():
        if (value := call.query.get(parameter)) is not None:
            check_header_text(parameter, value)
            headers.pop(name.lower(), None)
            headers[name] = value
    return headers


def _wants_checksums(call: Call) -> bool:
    return (call.header("x-amz-checksum-mode") or "").upper() == "ENABLED"


def _checksum_headers(stored: rows.StoredObject, sha256: str) -> dict[str, str]:
    known = {**stored.checksums, "sha256": checksums.write(bytes.fromhex(sha256))}
    return {"x-amz-checksum-type": "FULL_OBJECT", **{checksums.PREFIX + name: value for name, value in known.items()}}


# ── Delete ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def delete(store: Store, call: Call) -> web.StreamResponse:
    """The key has no object afterwards, whether it had one or not."""
    conditions = Conditions.read(call.header)
    await store.commit(lambda change: rows.delete(change, call.bucket, call.key, conditions))
    return replies.empty(call, status=204)


async def delete_many(store: Store, call: Call) -> web.StreamResponse:
    """Up to a thousand at once, in one commit; each answers for itself."""
    root = xml.read(await call.document(), "Delete")
    wanted = list(root.all("Object"))
    if not 1 <= len(wanted) <= _MOST_DELETES:
        raise Refusal("MalformedXML", f"Give 1 to {_MOST_DELETES} objects.")
    quiet = (root.get("Quiet") or "").lower() == "true"
    orders = [(node.must("Key"), _delete_conditions(node)) for node in wanted]
    results = await store.commit(lambda change: _delete_all(change, call.bucket, orders))
    content: list[xml.Element] = []
    for key, refused in results:
        if refused is not None:
            content.append(("Error", [("Key", key), ("Code", refused.code), ("Message", refused.message)]))
        elif not quiet:
            content.append(("Deleted", [("Key", key)]))
    return replies.document(call, "DeleteResult", content)


def _delete_conditions(node: xml.Node) -> Conditions | Refusal:
    known: Mapping[str, str | None] = {child.name: child.text for child in node.children}
    if known.keys() - {"Key", "ETag", "VersionId"} or known.get("VersionId") not in (None, "", "null"):
        return Refusal("NotImplemented")
    return Conditions(match=known.get("ETag"))


def _delete_all(
    change: Change, bucket: str, orders: list[tuple[str, Conditions | Refusal]]
) -> list[tuple[str, Refusal | None]]:
    rows.find_bucket(change.db, bucket)
    results: list[tuple[str, Refusal | None]] = []
    for key, conditions in orders:
        try:
            if isinstance(conditions, Refusal):
                raise conditions
            rows.delete(change, bucket, key, conditions)
        except Refusal as refused:
            results.append((key, refused))
        else:
            results.append((key, None))
    return results
