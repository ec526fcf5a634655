"""
A request as handlers see it: addressed, signed by somebody we know, its headers and parameters at hand.

`x-amz-…` headers may also come as parameters of a presigned URL (the JavaScript SDK moves them there); `header` looks
in both places. What a header promises about the body is gathered here too, in `promise`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from aiohttp import web

from pupload.adapters.s3 import signing
from pupload.adapters.s3.embedded import address, bodies, checksums, chunked
from pupload.adapters.s3.embedded.refusals import Refusal

_KNOWN_HEADERS = frozenset(
    {
        "x-amz-acl",
        "x-amz-checksum-algorithm",
        "x-amz-checksum-mode",
        "x-amz-checksum-type",
        "x-amz-content-sha256",
        "x-amz-copy-source",
        "x-amz-copy-source-if-match",
        "x-amz-copy-source-if-modified-since",
        "x-amz-copy-source-if-none-match",
        "x-amz-copy-source-if-unmodified-since",
        "x-amz-copy-source-range",
        "x-amz-date",
        "x-amz-decoded-content-length",
        "x-amz-metadata-directive",
        "x-amz-mp-object-size",
        "x-amz-optional-object-attributes",
        "x-amz-sdk-checksum-algorithm",
        "x-amz-security-token",
        "x-amz-storage-class",
        "x-amz-tagging-directive",
        "x-amz-trailer",
        "x-amz-user-agent",
        # Of a signature in the query.
        "x-amz-algorithm",
        "x-amz-credential",
        "x-amz-expires",
        "x-amz-signature",
        "x-amz-signedheaders",
    }
)
_ONLY_VALUES = {
    "x-amz-acl": ("private", "bucket-owner-full-control"),
    # Nothing is ever archived, so there is nothing to tell of its restoring.
    "x-amz-optional-object-attributes": ("RestoreStatus",),
    "x-amz-storage-class": ("STANDARD",),
    # Objects have no tags, and so have their copies.
    "x-amz-tagging-directive": ("COPY",),
}
_SENT_BACK = (
    *("cache-control", "content-disposition", "content-encoding", "content-language", "content-type", "expires"),
)
_METADATA = "x-amz-meta-"
_MOST_METADATA = 2048
_LONGEST_DOCUMENT = 8 << 20
_DIGITS = re.compile(r"[0-9]{1,15}")
_UNSENDABLE = re.compile("[\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]")


def check_header_text(name: str, value: str) -> None:
    """Raises `Refusal` InvalidArgument unless it can be sent as a header's value."""
    if _UNSENDABLE.search(value):
        raise Refusal("InvalidArgument", f"The value of {name} must be UTF-8 without control characters.")


@dataclass(frozen=True)
class Call:
    """One request, verified."""

    request: web.BaseRequest
    target: address.Target
    verified: signing.Verified
    extra: Mapping[str, str]
    """Headers that every answer to it carries."""

    @property
    def bucket(self) -> str:
        """The bucket that the address names; empty for the service itself."""
        return self.target.bucket

    @property
    def key(self) -> str:
        """The key that the address names; empty for the bucket itself."""
        return self.target.key

    @property
    def method(self) -> str:
        """The HTTP method."""
        return self.request.method

    @cached_property
    def query(self) -> Mapping[str, str]:
        """The parameters; of one given twice the first."""
        return dict(reversed(self.target.query))

    @cached_property
    def _moved_headers(self) -> Mapping[str, str]:
        return {name.lower(): value for name, value in self.query.items() if name.lower().startswith("x-amz-")}

    def header(self, name: str) -> str | None:
        """A header's value, wherever it came; several of one name joined by commas."""
        found = self.request.headers.getall(name, ())
        return ",".join(found) if found else self._moved_headers.get(name)

    def amz_headers(self) -> dict[str, str]:
        """All `x-amz-…` headers, names in lower case."""
        found: dict[str, str] = {}
        for given, value in self.request.headers.items():
            name = given.lower()
            if name.startswith("x-amz-"):
                found[name] = f"{found[name]},{value}" if name in found else value
        return dict(sorted({**self._moved_headers, **found}.items()))

    def refuse_unknown_headers(self) -> None:
        """Raises `Refusal` NotImplemented for a header that would ask for something we do not do."""
        for name, value in self.amz_headers().items():
            if name.startswith((_METADATA, checksums.PREFIX)):
                continue
            if name not in _KNOWN_HEADERS or value not in _ONLY_VALUES.get(name, (value,)):
                raise Refusal("NotImplemented", f"This store does not implement {name}: {value}", Header=name)

    def number(self, name: str, default: int, *, most: int) -> int:
        """A parameter that is a number from 0; larger ones count as `most`. Raises `Refusal` InvalidArgument."""
        text = self.query.get(name)
        if text is None or text == "":
            return default
        if not _DIGITS.fullmatch(text):
            raise Refusal("InvalidArgument", f"Argument {name} must be an integer from 0", ArgumentName=name)
        return min(int(text), most)

    def kept_headers(self) -> dict[str, str]:
        """
        What is stored with an object and sent with it: its type, its user metadata. Names in lower case.

        Raises `Refusal`: MetadataTooLarge, InvalidArgument for bytes that are no text.
        """
        kept = {name: value for name in _SENT_BACK if (value := self.header(name)) is not None}
        encodings = [one.strip() for one in kept.pop("content-encoding", "").split(",")]
        if "aws-chunked" in encodings and not self._is_chunked():
            raise Refusal("InvalidRequest", "aws-chunked needs an x-amz-content-sha256 that says how it is signed.")
        if encoding := ", ".join(one for one in encodings if one and one.lower() != "aws-chunked"):
            kept["content-encoding"] = encoding
        metadata = {name: value for name, value in self.amz_headers().items() if name.startswith(_METADATA)}
        if sum(len(name) - len(_METADATA) + len(value) for name, value in metadata.items()) > _MOST_METADATA:
            raise Refusal("MetadataTooLarge", MaxSizeAllowed=str(_MOST_METADATA))
        kept.update(metadata)
        kept.setdefault("content-type", "binary/octet-stream")
        for name, value in kept.items():
            check_header_text(name, value)
        return kept

    # ── The body ─────────────────────────────────────────────────────────────────────────────────────────────────

    def promise(self, *, also: str = "") -> bodies.Promise:
        """
        What the request says about its body. Raises `Refusal`: MissingContentLength, and whatever is not well formed.

        `also` is a checksum to compute besides those that are named.
        """
        payload = self.verified.payload_hash
        md5 = self.request.headers.get("Content-MD5")
        given = {name: checksums.read(name, value) for name, value in self.checksums().items()}
        if len(given) > 1:
            raise Refusal("InvalidRequest", "Expecting a single x-amz-checksum- header.")
        trailing = self._trailing()
        return bodies.Promise(
            length=self.length(),
            sha256=payload if len(payload) == 64 else None,
            md5=None if md5 is None else checksums.read_md5(md5),
            checksums=given,
            trailing=trailing,
            also=also,
            decoder=self._decoder(trailing),
        )

    def checksums(self) -> dict[str, str]:
        """The checksums in its headers, by name, as they are."""
        found = self.amz_headers().items()
        named = {name.removeprefix(checksums.PREFIX): v for name, v in found if name.startswith(checksums.PREFIX)}
        return {name: value for name, value in named.items() if name not in ("algorithm", "mode", "type")}

    async def document(self, *, checksummed: bool = True) -> bytes:
        """
        The whole body of a request that carries XML, checked as every body is. Raises `Refusal`.

        Not `checksummed`: where checksum headers speak of something else than this body.
        """
        promise = self.promise()
        if not checksummed:
            promise = replace(promise, checksums={})
        if promise.length > _LONGEST_DOCUMENT:
            raise Refusal("MalformedXML", "The document is too large.")
        self.invite_body()
        received = await bodies.into_memory(self.request, promise, stall_seconds=30)
        return received.data or b""

    def invite_body(self) -> None:
        """Tells a client that waits for `100 Continue` to go on: everything before the body has been checked."""
        expected = self.request.headers.get("Expect")
        if expected is None:
            return
        if expected.lower() != "100-continue":
            raise Refusal("InvalidArgument", "The only expectation we meet is 100-continue.", status=417)
        if self.request.transport is not None:
            self.request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _is_chunked(self) -> bool:
        return self.verified.payload_hash in signing.STREAMING_PAYLOADS

    def length(self) -> int:
        """Of the body itself, in bytes. Raises `Refusal` MissingContentLength."""
        text = self.header("x-amz-decoded-content-length") if self._is_chunked() else None
        text = text or (None if self._is_chunked() else self.request.headers.get("Content-Length"))
        if text is None or not _DIGITS.fullmatch(text):
            raise Refusal("MissingContentLength")
        return int(text)

    def _trailing(self) -> tuple[str, ...]:
        names = [name.strip().lower() for name in (self.header("x-amz-trailer") or "").split(",") if name.strip()]
        if names and not self.verified.payload_hash.endswith("-TRAILER"):
            raise Refusal("InvalidRequest", "x-amz-trailer needs a payload that ends with a trailer.")
        if any(not name.startswith(checksums.PREFIX) for name in names):
            raise Refusal("InvalidRequest", "The trailer may hold checksums only.")
        return tuple(name.removeprefix(checksums.PREFIX) for name in names)

    def _decoder(self, trailing: tuple[str, ...]) -> chunked.Decoder | None:
        if not self._is_chunked():
            return None
        signed = self.verified.payload_hash.startswith("STREAMING-AWS4")
        return chunked.Decoder(
            length=self.length(),
            signer=chunked.ChunkSigner(self.verified) if signed else None,
            trailers=[checksums.PREFIX + name for name in trailing],
        )
