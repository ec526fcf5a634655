"""The little XML that S3 speaks: errors, lists, parts. Names are read without their namespace: stores differ in it."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import unquote_plus
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

from pupload import ports


@dataclass(frozen=True, slots=True)
class Error:
    """What the store calls what went wrong."""

    code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectPage:
    """Some of the objects of a listing; without a token it is the last page."""

    objects: Sequence[ports.ObjectStat]
    next_token: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PartPage:
    """Some of the parts of an upload; without a marker it is the last page."""

    parts: Sequence[ports.Part]
    next_marker: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadPage:
    """Some of the unfinished uploads; without markers it is the last page."""

    uploads: Sequence[ports.MultipartUpload]
    next_markers: tuple[str, str] | None
    """Key and upload id to go on after."""


class NotXml(ValueError):
    """The body is not what S3 would have sent."""


def read_error(body: bytes) -> Error | None:
    """The error in the body, None where there is none: S3 may answer 200 and yet say that it failed."""
    if b"<Error" not in body:
        return None
    try:
        root = _parse(body)
    except NotXml:
        return None
    if _local(root) != "Error":
        return None
    return Error(_text(root, "Code"), _text(root, "Message"))


def read_objects(body: bytes) -> ObjectPage:
    """A page of ListObjectsV2. Lists tell no content type: it is empty. Raises `NotXml`."""
    root = _parse(body)
    decode = _decoder(root)
    objects = [
        ports.ObjectStat(
            key=decode(_text(item, "Key")),
            size=int(_text(item, "Size")),
            etag=_text(item, "ETag").strip('"'),
            content_type="",
            modified_at=read_time(_text(item, "LastModified")),
        )
        for item in _children(root, "Contents")
    ]
    more = _text(root, "IsTruncated") == "true"
    return ObjectPage(objects=objects, next_token=_text(root, "NextContinuationToken") if more else None)


def read_parts(body: bytes) -> PartPage:
    """A page of ListParts. Raises `NotXml`."""
    root = _parse(body)
    parts = [
        ports.Part(
            number=int(_text(item, "PartNumber")), size=int(_text(item, "Size")), etag=_text(item, "ETag").strip('"')
        )
        for item in _children(root, "Part")
    ]
    more = _text(root, "IsTruncated") == "true"
    return PartPage(parts=parts, next_marker=_text(root, "NextPartNumberMarker") if more else None)


def read_uploads(body: bytes) -> UploadPage:
    """A page of ListMultipartUploads. Raises `NotXml`."""
    root = _parse(body)
    decode = _decoder(root)
    uploads = [
        ports.MultipartUpload(
            key=decode(_text(item, "Key")),
            upload_id=_text(item, "UploadId"),
            started_at=read_time(_text(item, "Initiated")),
        )
        for item in _children(root, "Upload")
    ]
    markers = decode(_text(root, "NextKeyMarker")), _text(root, "NextUploadIdMarker")
    return UploadPage(uploads=uploads, next_markers=markers if _text(root, "IsTruncated") == "true" else None)


def read_upload_id(body: bytes) -> str:
    """The id in the answer to CreateMultipartUpload. Raises `NotXml`."""
    upload_id = _text(_parse(body), "UploadId")
    if not upload_id:
        raise NotXml("no UploadId in the answer")
    return upload_id


def read_etag(body: bytes) -> str:
    """The ETag in the answer to a copy, without quotes. Raises `NotXml`."""
    return _text(_parse(body), "ETag").strip('"')


def write_completion(parts: Iterable[ports.Part]) -> bytes:
    """The body of CompleteMultipartUpload."""
    items = "".join(
        f"<Part><PartNumber>{part.number}</PartNumber><ETag>&quot;{escape(part.etag)}&quot;</ETag></Part>"
        for part in sorted(parts, key=lambda part: part.number)
    )
    return (
        f'<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{items}</CompleteMultipartUpload>'
    ).encode()


def read_time(text: str) -> datetime:
    """ISO 8601 with or without fractions; stores differ. Raises `NotXml`."""
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise NotXml("a time that is none") from None
    return when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)


def _parse(body: bytes) -> ET.Element:
    # S3 never declares entities; whoever does wants to blow up the parser.
    if b"<!" in body[:1024] or b"<!ENTITY" in body:
        raise NotXml("a document type in the answer")
    try:
        return ET.fromstring(body)  # noqa: S314 - declarations were refused above
    except ET.ParseError as error:
        raise NotXml(f"the answer is no XML: {error}") from None


def _decoder(root: ET.Element) -> Callable[[str], str]:
    """Keys are asked for URL-encoded, for XML cannot carry every character; a store may not have done so."""
    return unquote_plus if _text(root, "EncodingType") == "url" else str


def _local(element: ET.Element) -> str:
    return element.tag.rpartition("}")[2]


def _children(element: ET.Element, name: str) -> Iterator[ET.Element]:
    return (child for child in element if _local(child) == name)


def _text(element: ET.Element, name: str) -> str:
    child = next(_children(element, name), None)
    return "" if child is None or child.text is None else child.text
