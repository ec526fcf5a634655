"""What a receiver can do to whoever calls it back: little."""

import asyncio
import gzip
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from pupload.adapters.http.poster import HttpPoster
from pupload.adapters.system.outbound import Guard
from pupload.domain.delivery import Reply
from pupload.domain.reach import Policy

BODY = b'{"type":"run.completed"}'
HEADERS = {"webhook-id": "msg_a", "Content-Type": "application/json"}

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Receiver:
    """A server of sockets, which answers as it likes."""

    port: int = 0
    heard: list[bytes] = field(default_factory=list)
    """The head and body of every request."""
    hung_up: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a client went away while it was being answered."""


def saying(text: str, *, then: bytes = b"") -> Answer:
    """A whole answer with this status line and headers."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        head = f"HTTP/1.1 {text}\r\nContent-Length: {len(then)}\r\n\r\n"
        writer.write(head.encode() + then)
        await writer.drain()

    return answer


@asynccontextmanager
async def receiver(answer: Answer, *, host: str = "127.0.0.1") -> AsyncIterator[Receiver]:
    found = Receiver()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            found.heard.append(head + await reader.readexactly(len(BODY)))
            await answer(writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            found.hung_up.set()
        finally:
            writer.close()

    server = await asyncio.start_server(serve, host, 0)
    found.port = server.sockets[0].getsockname()[1]
    try:
        yield found
    finally:
        server.close()


@asynccontextmanager
async def poster(*, private: bool = True) -> AsyncIterator[HttpPoster]:
    found = HttpPoster(guard=Guard(Policy(private=private)), trusted=Guard(Policy(private=True)))
    try:
        yield found
    finally:
        await found.close()


async def post(url: str, *, private: bool = True, trusted: bool = False, timeout_seconds: float = 10.0) -> Reply:
    async with poster(private=private) as found:
        return await found.post(url, headers=HEADERS, body=BODY, trusted=trusted, timeout_seconds=timeout_seconds)


@pytest.fixture
def tls(tmp_path: Path) -> ssl.SSLContext:
    """A server's side of TLS, with a certificate that nobody vouches for."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, now - timedelta(days=1), now + timedelta(days=1))
    (tmp_path / "cert.pem").write_bytes(made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    (tmp_path / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    return context


# ── What is sent ─────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_message_arrives_as_it_is() -> None:
    async with receiver(saying("200 OK", then=b"thanks")) as found:
        assert await post(f"http://127.0.0.1:{found.port}/in?key=1") == Reply(status=200)
        head, _, body = found.heard[0].partition(b"\r\n\r\n")
        assert head.startswith(b"POST /in?key=1 HTTP/1.1")
        assert b"webhook-id: msg_a" in head
        assert b"cookie" not in head.lower()
        assert body == BODY


async def test_no_connection_is_kept_and_no_cookie() -> None:
    async with receiver(saying("204 No Content\r\nSet-Cookie: a=b")) as found, poster() as sender:
        for _ in range(2):
            await sender.post(
                f"http://127.0.0.1:{found.port}/", headers=HEADERS, body=BODY, trusted=False, timeout_seconds=10
            )
        assert len(found.heard) == 2, "each on a connection of its own: the server hears one request on each"
        assert b"cookie" not in found.heard[1].lower()


# ── What comes back ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("status", ["500 Oh", "404 No", "410 Gone", "429 Slow"])
async def test_a_status_is_told(status: str) -> None:
    async with receiver(saying(f"{status}\r\nRetry-After: 7")) as found:
        assert await post(f"http://127.0.0.1:{found.port}/") == Reply(status=int(status[:3]), retry_after="7")


@pytest.mark.parametrize("target", ["http://127.0.0.1:{port}/other", "http://169.254.169.254/latest/", "file:///etc"])
async def test_a_redirect_is_not_followed(target: str) -> None:
    async with receiver(saying("302 Over there")) as elsewhere:
        where = target.format(port=elsewhere.port)
        async with receiver(saying(f"307 There\r\nLocation: {where}")) as found:
            assert await post(f"http://127.0.0.1:{found.port}/") == Reply(status=307)
        assert elsewhere.heard == []


async def test_an_answer_without_end_is_cut_off() -> None:
    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(bytes(64 * 1024))
            await writer.drain()

    async with receiver(answer) as found:
        assert await post(f"http://127.0.0.1:{found.port}/") == Reply(status=200)
        await asyncio.wait_for(found.hung_up.wait(), 10)


async def test_ten_megabytes_are_not_read() -> None:
    sent = 0

    async def answer(writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 500 Oh\r\nContent-Length: 104857600\r\n\r\n")
        for _ in range(1600):
            writer.write(bytes(64 * 1024))
            await writer.drain()
            sent += 64 * 1024

    async with receiver(answer) as found:
        assert await post(f"http://127.0.0.1:{found.port}/") == Reply(status=500)
        await asyncio.wait_for(found.hung_up.wait(), 10)
        assert sent < 10 << 20, "what is on its way in the sockets' buffers, and no more"


async def test_a_packed_answer_is_not_unpacked() -> None:
    packed = gzip.compress(bytes(50 << 20))
    async with receiver(saying("200 OK\r\nContent-Encoding: gzip", then=packed)) as found:
        assert await post(f"http://127.0.0.1:{found.port}/") == Reply(status=200)


@pytest.mark.parametrize("slow", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"])
async def test_a_receiver_that_dawdles_is_not_waited_for(slow: bytes) -> None:
    """It says a little, and then no more: it is the whole that is timed."""
    over = asyncio.Event()

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(slow or b"HTTP/1.1 2")
        await over.wait()

    async with receiver(answer) as found:
        reply = await post(f"http://127.0.0.1:{found.port}/", timeout_seconds=0.3)
        over.set()
        assert reply == Reply(error="there was no whole answer within 0.3 s")


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (b"", "it hung up without an answer"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "its answer is no HTTP"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000, "its answer is no HTTP"),
    ],
)
async def test_what_is_no_answer_is_told_in_words(said: bytes, error: str) -> None:
    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        await writer.drain()

    async with receiver(answer) as found:
        assert await post(f"http://127.0.0.1:{found.port}/?key=1") == Reply(error=error)


async def test_nobody_there_is_told_without_an_address() -> None:
    async with receiver(saying("200 OK")) as found:
        port = found.port
    reply = await post(f"http://127.0.0.1:{port}/?key=1")
    assert reply == Reply(error="it cannot be connected to: connection refused")


async def test_a_name_that_is_none_is_told() -> None:
    assert await post("http://nothing.invalid/?key=1") == Reply(error="its host's name cannot be resolved")


async def test_a_certificate_that_nobody_signed_is_not_believed(tls: ssl.SSLContext) -> None:
    served = 0

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal served
        served += 1
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    async with server:
        port = server.sockets[0].getsockname()[1]
        assert await post(f"https://127.0.0.1:{port}/") == Reply(error="its certificate is not valid for this host")
    assert served == 0


# ── Where it may be sent ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "0x7f.1", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "0.0.0.0"]
)
async def test_nobody_inside_is_reached_however_the_host_is_written(host: str) -> None:
    async with receiver(saying("200 OK")) as found:
        reply = await post(f"http://{host}:{found.port}/", private=False)
        assert found.heard == []
    assert reply.status is None
    assert "callback_private_endpoints" in reply.error
    assert "127" not in reply.error, "whoever gave the name may not know what it resolves to"


@pytest.mark.parametrize("host", ["2130706433", "127.1"])
async def test_a_host_that_is_a_number_is_no_host(host: str) -> None:
    async with receiver(saying("200 OK")) as found:
        assert await post(f"http://{host}:{found.port}/", private=False) == Reply(error="its URL cannot be used")
        assert found.heard == []


@pytest.mark.parametrize("host", ["169.254.169.254", "[::ffff:169.254.169.254]", "[fd00:ec2::254]"])
@pytest.mark.parametrize("trusted", [True, False])
async def test_metadata_is_reached_by_nobody(host: str, trusted: bool) -> None:
    reply = await post(f"http://{host}/latest/", private=True, trusted=trusted, timeout_seconds=2)
    assert "may not be sent" in reply.error


async def test_the_operators_own_receiver_may_be_inside() -> None:
    async with receiver(saying("200 OK")) as found:
        assert (await post(f"http://127.0.0.1:{found.port}/", private=False, trusted=True)).status == 200


async def test_no_proxy_of_the_environment_gets_the_message(monkeypatch: pytest.MonkeyPatch) -> None:
    async with receiver(saying("200 OK")) as proxy, receiver(saying("200 OK")) as found:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        assert (await post(f"http://127.0.0.1:{found.port}/")).status == 200
        assert proxy.heard == []
