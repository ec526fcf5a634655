"""
What a client says about its body is checked, and a body that is not so leaves nothing behind.
"""

import base64
import hashlib
import itertools
import sys
import zlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pupload.adapters.s3 import signing
from pupload.adapters.s3.embedded import checksums, chunked
from pupload.adapters.s3.embedded.refusals import Refusal
from tests.adapters.s3.embedded.process import BUCKET, REGION, Server

SIGNED = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
SIGNED_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
KEYS = signing.Credentials("access", "secret")


def base64_of(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def crc32(body: bytes) -> str:
    return base64_of(zlib.crc32(body).to_bytes(4, "big"))


def verified(payload_hash: str, credentials: signing.Credentials, headers: Mapping[str, str]) -> signing.Verified:
    """What the store makes of a request with these headers: its signature begins the chain."""
    request = signing.WireRequest("PUT", "/bucket/key", "", [*headers.items()])
    return signing.verify(request, secret_of=lambda _: credentials.secret_key, region=REGION, now=datetime.now(UTC))


def encode(
    chunks: Sequence[bytes], signed: signing.Verified | None, trailers: Mapping[str, str] | None = None
) -> bytes:
    """An `aws-chunked` body as the specification writes it."""
    pieces, previous = [], signed.signature if signed else ""
    for chunk in [*chunks, b""]:
        extension = ""
        if signed:
            previous = signing.chunk_signature(signed, previous, hashlib.sha256(chunk).hexdigest())
            extension = f";chunk-signature={previous}"
        pieces.append(f"{len(chunk):x}{extension}\r\n".encode() + (chunk + b"\r\n" if chunk else b""))
    for name, value in (trailers or {}).items():
        pieces.append(f"{name}:{value}\r\n".encode())
    if signed and trailers:
        text = "".join(f"{name}:{value}\n" for name, value in trailers.items())
        signature = signing.trailer_signature(signed, previous, hashlib.sha256(text.encode()).hexdigest())
        pieces.append(f"x-amz-trailer-signature:{signature}\r\n".encode())
    return b"".join([*pieces, b"\r\n"])


def a_chain() -> signing.Verified:
    """Any request's signature will do for the decoder by itself."""
    headers = signing.sign(
        KEYS,
        method="PUT",
        host="store",
        path="/bucket/key",
        headers={},
        payload_hash=SIGNED,
        region=REGION,
        now=datetime.now(UTC),
    )
    return verified(SIGNED, KEYS, {"host": "store", **headers})


CHAIN = a_chain()


def decode(
    wire: bytes, cuts: Sequence[int], *, length: int, signed: bool, trailers: Sequence[str] = ()
) -> tuple[bytes, Mapping[str, str]]:
    decoder = chunked.Decoder(length=length, signer=chunked.ChunkSigner(CHAIN) if signed else None, trailers=trailers)
    borders = [0, *sorted(cut % (len(wire) + 1) for cut in cuts), len(wire)]
    out = b"".join(
        bytes(piece) for start, stop in itertools.pairwise(borders) for piece in decoder.feed(wire[start:stop])
    )
    decoder.finish()
    return out, decoder.trailers


CHUNKS = st.lists(st.binary(min_size=1, max_size=300), max_size=5)
CUTS = st.lists(st.integers(0, 5000), max_size=8)


@given(
    chunks=CHUNKS,
    cuts=CUTS,
    signed=st.booleans(),
    trailers=st.dictionaries(st.sampled_from(["x-a", "x-b"]), st.just("v")),
)
def test_chunks_come_out_as_they_went_in_however_the_wire_cuts_them(
    chunks: list[bytes], cuts: list[int], signed: bool, trailers: dict[str, str]
) -> None:
    body = b"".join(chunks)
    wire = encode(chunks, CHAIN if signed else None, trailers)
    assert decode(wire, cuts, length=len(body), signed=signed, trailers=[*trailers]) == (body, trailers)


@given(chunks=CHUNKS.filter(bool), cuts=CUTS, at=st.integers(0, 5000), bit=st.integers(0, 7))
def test_a_signed_body_with_one_wrong_bit_is_refused(chunks: list[bytes], cuts: list[int], at: int, bit: int) -> None:
    right = encode(chunks, CHAIN)
    wire = bytearray(right)
    wire[at % len(wire)] ^= 1 << bit
    try:
        out, _ = decode(bytes(wire), cuts, length=len(b"".join(chunks)), signed=True)
    except Refusal:
        return
    # Only the case of a size's hexadecimal digits says nothing.
    assert (out, bytes(wire).lower()) == (b"".join(chunks), right.lower())


@given(wire=st.binary(max_size=400), cuts=CUTS, signed=st.booleans())
def test_rubbish_is_refused_and_nothing_worse_happens(wire: bytes, cuts: list[int], signed: bool) -> None:
    with pytest.raises(Refusal):
        decode(wire, cuts, length=10, signed=signed)


@pytest.mark.parametrize("cut", [1, 5, 40])
def test_a_body_that_ends_early_is_incomplete(cut: int) -> None:
    wire = encode([b"x" * 100], CHAIN)
    with pytest.raises(Refusal, match="IncompleteBody"):
        decode(wire[:-cut], [], length=100, signed=True)


# ── Through the wire ─────────────────────────────────────────────────────────────────────────────────────────────


def put_chunked(
    server: Server,
    key: str,
    payload_hash: str,
    chunks: Sequence[bytes],
    *,
    trailers: Mapping[str, str] | None = None,
    announced: str = "",
    damage: tuple[bytes, bytes] = (b"", b""),
) -> tuple[int, str]:
    headers = {
        "content-encoding": "aws-chunked",
        "x-amz-decoded-content-length": str(sum(map(len, chunks))),
        "content-type": "a/b",
    }
    if announced:
        headers["x-amz-trailer"] = announced
    headers = server.signed("PUT", f"/{BUCKET}/{key}", payload_hash=payload_hash, headers=headers)
    chain = None
    if payload_hash != UNSIGNED_TRAILER:
        request = signing.WireRequest("PUT", f"/{BUCKET}/{key}", "", [("host", server.address), *headers.items()])
        chain = signing.verify(
            request, secret_of=lambda _: server.credentials.secret_key, region=REGION, now=datetime.now(UTC)
        )
    wire = encode(chunks, chain, trailers).replace(*damage)
    reply = server.raw("PUT", f"/{BUCKET}/{key}", headers=headers, body=wire)
    return reply.status, reply.code


@pytest.mark.parametrize("chunks", [[b"abc", b"de"], [b"x" * 65536] * 20, []], ids=["small", "large", "empty"])
@pytest.mark.parametrize("kind", [SIGNED, SIGNED_TRAILER, UNSIGNED_TRAILER])
def test_chunked_bodies_of_every_kind(server: Server, key: str, kind: str, chunks: list[bytes]) -> None:
    body = b"".join(chunks)
    name = "x-amz-checksum-crc32" if kind.endswith("TRAILER") else ""
    done = put_chunked(server, key, kind, chunks, announced=name, trailers={name: crc32(body)} if name else None)
    assert done == (200, "")
    got = server.call("GET", f"/{BUCKET}/{key}")
    assert got.body == body
    assert got.headers["Content-Encoding"] is None


@pytest.mark.parametrize("size", [100, 100_000])
@pytest.mark.parametrize(
    ("kind", "trailers", "damage", "code"),
    [
        (SIGNED, None, (b"xx", b"xy"), "SignatureDoesNotMatch"),
        (SIGNED_TRAILER, {"x-amz-checksum-crc32": "AAAAAA=="}, (b"", b""), "BadDigest"),
        (SIGNED_TRAILER, {"x-amz-checksum-crc32": "AAAAAA=="}, (b"AAAAAA", b"AAAAAB"), "SignatureDoesNotMatch"),
        (UNSIGNED_TRAILER, {"x-amz-checksum-crc32": "AAAAAA=="}, (b"", b""), "BadDigest"),
        (UNSIGNED_TRAILER, {"x-amz-checksum-crc32": "?"}, (b"", b""), "InvalidRequest"),
        (
            UNSIGNED_TRAILER,
            {"x-amz-checksum-crc32": "AAAAAA==", "x-amz-acl": "public-read"},
            (b"", b""),
            "MalformedTrailerError",
        ),
        (UNSIGNED_TRAILER, {}, (b"", b""), "MalformedTrailerError"),
    ],
)
def test_a_chunked_body_that_is_not_what_was_signed_is_refused(
    server: Server,
    key: str,
    kind: str,
    trailers: Mapping[str, str] | None,
    damage: tuple[bytes, bytes],
    code: str,
    size: int,
) -> None:
    before = server.blobs()
    announced = "x-amz-checksum-crc32" if kind.endswith("TRAILER") else ""
    done = put_chunked(server, key, kind, [b"x" * size], trailers=trailers, announced=announced, damage=damage)
    assert done[1] == code
    assert server.call("HEAD", f"/{BUCKET}/{key}").status == 404
    assert server.blobs() <= before


@pytest.mark.parametrize("size", [10, 100_000])
@pytest.mark.parametrize(
    ("headers", "payload_hash", "code"),
    [
        ({"content-md5": base64_of(b"0" * 16)}, signing.UNSIGNED_PAYLOAD, "BadDigest"),
        ({"content-md5": "rubbish"}, signing.UNSIGNED_PAYLOAD, "InvalidDigest"),
        ({}, "0" * 64, "XAmzContentSHA256Mismatch"),
        ({"x-amz-checksum-crc32": "AAAAAA=="}, signing.UNSIGNED_PAYLOAD, "BadDigest"),
        ({"x-amz-checksum-sha1": base64_of(b"0" * 20)}, signing.UNSIGNED_PAYLOAD, "BadDigest"),
        ({"x-amz-checksum-sha256": base64_of(b"0" * 32)}, signing.UNSIGNED_PAYLOAD, "BadDigest"),
        ({"x-amz-checksum-sha256": base64_of(b"0" * 31)}, signing.UNSIGNED_PAYLOAD, "InvalidRequest"),
        ({"x-amz-checksum-crc128": "AAAAAA=="}, signing.UNSIGNED_PAYLOAD, "InvalidRequest"),
        ({"content-encoding": "aws-chunked"}, signing.UNSIGNED_PAYLOAD, "InvalidRequest"),
        ({"x-amz-trailer": "x-amz-checksum-crc32"}, signing.UNSIGNED_PAYLOAD, "InvalidRequest"),
    ],
)
def test_a_body_that_is_not_what_was_said_is_refused(
    server: Server, key: str, headers: Mapping[str, str], payload_hash: str, code: str, size: int
) -> None:
    before = server.blobs()
    reply = server.call("PUT", f"/{BUCKET}/{key}", headers=headers, payload_hash=payload_hash, body=b"x" * size)
    assert (reply.status, reply.code) == (400, code)
    assert server.call("HEAD", f"/{BUCKET}/{key}").status == 404
    assert server.blobs() <= before


def test_a_body_that_is_what_was_said_is_taken(server: Server, key: str) -> None:
    body = b"said" * 20_000
    headers = {
        "content-md5": base64_of(hashlib.md5(body).digest()),
        "x-amz-checksum-sha256": base64_of(hashlib.sha256(body).digest()),
    }
    path = f"/{BUCKET}/{key}"
    reply = server.call("PUT", path, headers=headers, payload_hash=hashlib.sha256(body).hexdigest(), body=body)
    assert reply.status == 200
    assert reply.headers["x-amz-checksum-sha256"] == headers["x-amz-checksum-sha256"]


def test_the_store_tells_its_own_sha256_of_the_whole_object(server: Server, key: str) -> None:
    server.call("PUT", f"/{BUCKET}/{key}", body=b"hash me")
    asked = {"x-amz-checksum-mode": "ENABLED"}
    head = server.call("HEAD", f"/{BUCKET}/{key}", headers=asked)
    assert head.headers["x-amz-checksum-sha256"] == base64_of(hashlib.sha256(b"hash me").digest())
    assert head.headers["x-amz-checksum-type"] == "FULL_OBJECT"
    # It is that of the whole: with a range it would be a lie.
    part = server.call("GET", f"/{BUCKET}/{key}", headers={**asked, "Range": "bytes=0-1"})
    assert part.headers["x-amz-checksum-sha256"] is None


@pytest.mark.parametrize("name", ["crc32c", "crc64nvme"])
def test_checksums_we_cannot_compute_are_refused_and_never_believed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "awscrt.checksums", None)
    with pytest.raises(Refusal, match="NotImplemented"):
        checksums.start(name)


def test_where_awscrt_is_installed_it_computes_them(monkeypatch: pytest.MonkeyPatch) -> None:
    def crc32c(data: bytes, previous: int = 0) -> int:
        """Bit by bit, in the place of `awscrt`'s."""
        value = previous ^ 0xFFFFFFFF
        for byte in data:
            value ^= byte
            for _ in range(8):
                value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        return value ^ 0xFFFFFFFF

    monkeypatch.setitem(sys.modules, "awscrt", ModuleType("awscrt"))
    monkeypatch.setitem(sys.modules, "awscrt.checksums", ModuleType("awscrt.checksums"))
    monkeypatch.setattr(sys.modules["awscrt.checksums"], "crc32c", crc32c, raising=False)
    running = checksums.start("crc32c")
    running.update(b"1234")
    running.update(b"56789")
    assert running.digest().hex() == "e3069283"
