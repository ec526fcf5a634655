"""
The `aws-chunked` encoding: pieces with their size, and perhaps a signature, in front; perhaps headers at the end.

    400;chunk-signature=…\r\n  <1024 bytes>  \r\n      any number of times
    0;chunk-signature=…\r\n
    x-amz-checksum-crc32:…\r\n                         only with a trailer
    x-amz-trailer-signature:…\r\n                      only with a signed one
    \r\n

A decoder that is pushed: bytes go in as they came off the wire, cut anywhere; the body's own come out. It runs in
whatever thread does the hashing, touches nothing, and refuses at the first byte that is out of place.
"""

import hashlib
from collections.abc import Iterator, Sequence
from enum import Enum, auto
from hmac import compare_digest

from pupload.adapters.s3 import signing
from pupload.adapters.s3.embedded.refusals import Refusal

_LONGEST_LINE = 4096
_LONGEST_TRAILER = 16 * 1024
_EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()


class _State(Enum):
    SIZE = auto()
    DATA = auto()
    DATA_END = auto()
    TRAILER = auto()
    DONE = auto()


class ChunkSigner:
    """Checks the chain of signatures: each is made from the one before, the first from the request's."""

    def __init__(self, verified: signing.Verified) -> None:
        self._verified = verified
        self._previous = verified.signature

    def check_chunk(self, given: str, sha256: str) -> None:
        """Raises `Refusal` SignatureDoesNotMatch."""
        self._check(given, signing.chunk_signature(self._verified, self._previous, sha256))

    def check_trailer(self, given: str, sha256: str) -> None:
        """Raises `Refusal` SignatureDoesNotMatch."""
        self._check(given, signing.trailer_signature(self._verified, self._previous, sha256))

    def _check(self, given: str, expected: str) -> None:
        if not compare_digest(given.encode(errors="replace"), expected.encode()):
            raise Refusal("SignatureDoesNotMatch")
        self._previous = expected


class Decoder:
    """
    Takes the encoding off a body of exactly `length` bytes.

    `signer` is given when chunks are signed, `trailers` the names announced in `x-amz-trailer` (empty: none may come).
    """

    def __init__(self, *, length: int, signer: ChunkSigner | None, trailers: Sequence[str]) -> None:
        self._left = length
        self._signer = signer
        self._announced = frozenset(trailers)
        self._state = _State.SIZE
        self._line = bytearray()
        self._chunk_left = 0
        self._chunk_signature = ""
        self._chunk_hash = hashlib.sha256()
        self._trailer_size = 0
        self.trailers: dict[str, str] = {}
        self._trailer_signature = ""

    def feed(self, data: bytes) -> Iterator[memoryview]:
        """The body's own bytes in `data`, in pieces. Raises `Refusal`."""
        view, at = memoryview(data), 0
        while at < len(data):
            if self._state is _State.DATA:
                piece = view[at : at + self._chunk_left]
                at += len(piece)
                self._take(piece)
                yield piece
            elif self._state is _State.DONE:
                raise _malformed()
            else:
                end = data.find(b"\n", at)
                stop = len(data) if end < 0 else end + 1
                self._line += data[at:stop]
                at = stop
                if len(self._line) > _LONGEST_LINE:
                    raise _malformed()
                if end >= 0:
                    line = bytes(self._line)
                    self._line.clear()
                    self._take_line(line)

    def finish(self) -> None:
        """Raises `Refusal` unless all of it came."""
        if self._state is not _State.DONE or self._left:
            raise Refusal("IncompleteBody")
        if missing := self._announced - self.trailers.keys():
            raise Refusal("MalformedTrailerError", f"The trailer lacks {', '.join(sorted(missing))}.")

    def _take(self, piece: memoryview) -> None:
        if self._signer is not None:
            self._chunk_hash.update(piece)
        self._chunk_left -= len(piece)
        if not self._chunk_left:
            self._state = _State.DATA_END

    def _take_line(self, line: bytes) -> None:
        if self._state is _State.TRAILER:
            # Some clients end trailer lines with a bare line feed.
            self._take_trailer(line.removesuffix(b"\n").removesuffix(b"\r"))
        elif not line.endswith(b"\r\n"):
            raise _malformed()
        elif self._state is _State.SIZE:
            self._take_size(line[:-2])
        else:
            if line != b"\r\n":
                raise _malformed()
            self._check_chunk(self._chunk_hash.hexdigest())
            self._state = _State.SIZE

    def _take_size(self, line: bytes) -> None:
        size, _, extension = line.partition(b";")
        if not size or len(size) > 16 or size.strip(b"0123456789abcdefABCDEF"):
            raise _malformed()
        self._chunk_left = int(size, 16)
        self._left -= self._chunk_left
        if self._left < 0:
            raise Refusal("IncompleteBody", "The body is longer than x-amz-decoded-content-length says.")
        self._chunk_hash = hashlib.sha256()
        name, _, self._chunk_signature = extension.decode("latin-1").partition("=")
        if (name == "chunk-signature") != (self._signer is not None):
            raise _malformed()
        if self._chunk_left:
            self._state = _State.DATA
        else:
            self._check_chunk(_EMPTY_SHA256)
            self._state = _State.TRAILER

    def _check_chunk(self, sha256: str) -> None:
        if self._signer is not None:
            self._signer.check_chunk(self._chunk_signature, sha256)

    def _take_trailer(self, line: bytes) -> None:
        self._trailer_size += len(line)
        if self._trailer_size > _LONGEST_TRAILER:
            raise _malformed()
        if not line:
            self._end_trailer()
            return
        name, colon, value = line.decode("latin-1").partition(":")
        name, value = name.strip().lower(), value.strip()
        if not colon:
            raise Refusal("MalformedTrailerError")
        if name == "x-amz-trailer-signature" and self._signer is not None:
            self._trailer_signature = value
        elif name in self._announced and name not in self.trailers:
            self.trailers[name] = value
        else:
            raise Refusal("MalformedTrailerError", "The trailer holds what x-amz-trailer did not announce.")

    def _end_trailer(self) -> None:
        self._state = _State.DONE
        if self._signer is not None and self._announced:
            text = "".join(f"{name}:{value}\n" for name, value in self.trailers.items())
            self._signer.check_trailer(self._trailer_signature, hashlib.sha256(text.encode("latin-1")).hexdigest())


def _malformed() -> Refusal:
    return Refusal("InvalidRequest", "The aws-chunked encoding of the body is malformed.")
