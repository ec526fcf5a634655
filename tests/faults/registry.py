"""
A registry of images on this machine, that answers as a test says. Engines take one on 127.0.0.1 without TLS.

    with registry.opened() as found:
        image = found.put("some/image", layer)       # 127.0.0.1:<port>/some/image:1
        found.answers["/v2/some/image/blobs/"] = refusing(429, "TOOMANYREQUESTS")
"""

import contextlib
import ctypes
import gzip
import hashlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
MANIFESTS = "application/vnd.docker.distribution.manifest.list.v2+json"

Answer = Callable[["Request"], None]


class Registry:
    """What is in it, and what it does instead of giving that."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        """By the beginning of a path; what has none is given as it is."""
        self.asked: list[str] = []
        self.port = 0
        self._kept: dict[str, tuple[str, bytes]] = {}

    def put(self, name: str, layer: bytes, *, architecture: str = "amd64", listed_for: str = "") -> str:
        """
        An image of one layer (a tar). Returns its reference.

        With `listed_for` the name is a list that has it for this architecture alone.
        """
        packed = gzip.compress(layer, 1, mtime=0)
        config = json.dumps(
            {
                "architecture": architecture,
                "os": "linux",
                "config": {"Cmd": ["true"], "Env": ["PATH=/bin"]},
                "rootfs": {"type": "layers", "diff_ids": [_digest(layer)]},
            }
        ).encode()
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {**_described(config), "mediaType": "application/vnd.docker.container.image.v1+json"},
            "layers": [{**_described(packed), "mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip"}],
        }
        for blob in (config, packed):
            self._kept[f"/v2/{name}/blobs/{_digest(blob)}"] = ("application/octet-stream", blob)
        self._keep(name, MANIFEST, json.dumps(manifest).encode())
        if listed_for:
            platform = {"architecture": listed_for, "os": "linux"}
            entry = {**_described(json.dumps(manifest).encode()), "mediaType": MANIFEST, "platform": platform}
            listed = {"schemaVersion": 2, "mediaType": MANIFESTS, "manifests": [entry]}
            self._keep(name, MANIFESTS, json.dumps(listed).encode())
        return f"127.0.0.1:{self.port}/{name}:1"

    def _keep(self, name: str, kind: str, manifest: bytes) -> None:
        for reference in ("1", _digest(manifest)):
            self._kept[f"/v2/{name}/manifests/{reference}"] = (kind, manifest)

    def answer(self, request: "Request") -> None:
        """As it is asked."""
        self.asked.append(f"{request.command} {request.path}")
        found = next((answer for path, answer in self.answers.items() if request.path.startswith(path)), None)
        if found is not None:
            found(request)
        else:
            self.give(request)

    def give(self, request: "Request") -> None:
        """What is kept under that path."""
        if request.path == "/v2/":
            request.say(200, "application/json", b"{}")
        elif request.path in self._kept:
            request.say(200, *self._kept[request.path])
        else:
            refusing(404, "MANIFEST_UNKNOWN")(request)


class Request(BaseHTTPRequestHandler):
    """One question."""

    protocol_version = "HTTP/1.1"

    def say(self, status: int, kind: str, body: bytes) -> None:
        """The whole answer."""
        self.begin(status, kind, body)
        if self.command != "HEAD":
            self.wfile.write(body)

    def begin(self, status: int, kind: str, body: bytes) -> None:
        """Its head."""
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Docker-Distribution-Api-Version", "registry/2.0")
        if "/manifests/" in self.path and status == 200:
            self.send_header("Docker-Content-Digest", _digest(body))
        self.end_headers()

    def do_GET(self) -> None:
        with contextlib.suppress(OSError):  # whoever asked has gone away
            cast(Any, self.server).registry.answer(self)

    do_HEAD = do_GET  # noqa: N815 - the names are the library's

    def log_message(self, *_: object) -> None:
        """Nothing."""


def refusing(status: int, code: str, *, times: int = 1 << 30) -> Answer:
    """The first `times` questions are answered so, as registries word it; then as it is."""
    left = [times]

    def answer(request: Request) -> None:
        left[0] -= 1
        if left[0] < 0:
            cast(Any, request.server).registry.give(request)
            return
        request.say(
            status, "application/json", json.dumps({"errors": [{"code": code, "message": code.lower()}]}).encode()
        )

    return answer


def giving(body: bytes, kind: str = "application/octet-stream") -> Answer:
    """These bytes, whatever was asked for."""
    return lambda request: request.say(200, kind, body)


def waiting_for(event: threading.Event) -> Answer:
    """Nothing until then; at the end of the test it is set anyway."""

    def answer(request: Request) -> None:
        event.wait(120)
        cast(Any, request.server).registry.give(request)

    return answer


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _described(content: bytes) -> dict[str, Any]:
    return {"digest": _digest(content), "size": len(content)}


@contextlib.contextmanager
def opened(*, beside: int = 0) -> Iterator[Registry]:
    """An empty one, on a port of its own; in the network of the process `beside`, where one is named."""
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Request, bind_and_activate=False)
    server.socket.close()
    server.socket = _listening(beside)
    server.server_address = server.socket.getsockname()
    server.server_name, server.server_port = server.server_address
    server.daemon_threads = True
    server.registry = found = Registry()
    found.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, name="registry")
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _listening(beside: int) -> socket.socket:
    """A socket belongs to the network of the thread that makes it, wherever it is used then."""

    def make() -> socket.socket:
        if beside:
            with Path(f"/proc/{beside}/ns/net").open("rb") as network:
                assert ctypes.CDLL(None, use_errno=True).setns(network.fileno(), 0) == 0
        return socket.create_server(("127.0.0.1", 0))

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(make).result()
