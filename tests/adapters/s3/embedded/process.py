"""
A real store process and the clients of its tests.
"""

import http.client
import json
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from xml.etree import ElementTree as ET

import boto3
import botocore.config

from pupload.adapters.s3 import signing

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

BUCKET = "bucket"
REGION = "us-east-1"
MODULE = "pupload.adapters.s3.embedded"


@dataclass
class Reply:
    """An answer, read whole."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def code(self) -> str:
        """S3's code of an error."""
        return ET.fromstring(self.body).findtext("Code", "") if self.body else ""


class Server:
    """The store on a data folder; started and ended as its supervisor does it."""

    def __init__(self, data: Path, control: Path, *options: str, start: Sequence[str] = ("-m", MODULE)) -> None:
        self.data = data
        self.socket = control
        self._log = control.with_suffix(".log")
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, *start, "--data", str(data), "--control", str(control)),
                    *("--bucket", BUCKET, "--min-free", "1000000", *options),
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self.hear_ready()
        keys = json.loads((data / "credentials.json").read_text())
        self.credentials = signing.Credentials(keys["access_key"], keys["secret_key"])

    def hear_ready(self) -> None:
        """Waits until it says that it serves, and where."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("ready http://"), line + self.log()
        self.url = line.split()[1]
        self.address = urlsplit(self.url).netloc

    def log(self) -> str:
        """What it wrote to stderr so far."""
        return self._log.read_text()

    def kill(self) -> None:
        """As the power going out does it, for the process."""
        self.process.kill()
        self.wait()

    def stop(self) -> int:
        """The exit code."""
        self.process.terminate()
        return self.wait()

    def wait(self) -> int:
        """The exit code, once it has ended."""
        code = self.process.wait(20)
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()
        return code

    # ── Clients ──────────────────────────────────────────────────────────────────────────────────────────────────

    def boto(self, **config: Any) -> "S3Client":
        """A boto3 client with its defaults, checksums included."""
        settings: dict[str, Any] = {"signature_version": "s3v4", "s3": {"addressing_style": "path"}}
        return boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id=self.credentials.access_key,
            aws_secret_access_key=self.credentials.secret_key,
            config=botocore.config.Config(retries={"total_max_attempts": 1}, **{**settings, **config}),
        )

    def presign(
        self,
        method: str,
        key: str,
        *,
        bucket: str = BUCKET,
        query: Sequence[tuple[str, str]] = (),
        headers: Mapping[str, str] | None = None,
        age: timedelta = timedelta(0),
        expires_seconds: int = 600,
        credentials: signing.Credentials | None = None,
    ) -> str:
        """A URL, as the server's client side makes them."""
        return signing.presign(
            credentials or self.credentials,
            method=method,
            scheme="http",
            host=self.address,
            path=f"/{bucket}/{key}",
            query=query,
            region=REGION,
            now=now() - age,
            expires_seconds=expires_seconds,
            headers=headers or {},
        )

    def signed(
        self,
        method: str,
        path: str,
        *,
        payload_hash: str = signing.UNSIGNED_PAYLOAD,
        query: Sequence[tuple[str, str]] = (),
        headers: Mapping[str, str] | None = None,
        age: timedelta = timedelta(0),
    ) -> dict[str, str]:
        """All headers of a request that is signed in its headers."""
        given = dict(headers or {})
        return given | signing.sign(
            self.credentials,
            method=method,
            host=self.address,
            path=path,
            query=query,
            headers=given,
            payload_hash=payload_hash,
            region=REGION,
            now=now() - age,
        )

    def call(
        self,
        method: str,
        path: str,
        *,
        query: Sequence[tuple[str, str]] = (),
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        payload_hash: str = signing.UNSIGNED_PAYLOAD,
    ) -> Reply:
        """One signed request."""
        target = signing.encode_path(path) + ("?" + signing.encode_query(query) if query else "")
        return self.raw(
            method,
            target,
            headers=self.signed(method, path, payload_hash=payload_hash, query=query, headers=headers),
            body=body,
        )

    def raw(
        self, method: str, target: str, *, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> Reply:
        """One request exactly as given; `target` may be a URL of this server."""
        connection = http.client.HTTPConnection(self.address, timeout=30)
        try:
            connection.request(method, target.removeprefix(self.url), body=body, headers=dict(headers or {}))
            response = connection.getresponse()
            return Reply(response.status, response.headers, response.read())
        finally:
            connection.close()

    def control(self, method: str, target: str, order: Mapping[str, Any] | None = None) -> tuple[int, Any]:
        """One request on the control socket: status and JSON."""
        with self.control_connection() as connection:
            connection.request(method, target, body=None if order is None else json.dumps(order))
            response = connection.getresponse()
            return response.status, json.loads(response.read())

    @contextmanager
    def arrivals(self, query: str = "") -> Iterator[Iterator[dict[str, Any]]]:
        """The lines of `/arrivals`, as they come."""
        with self.control_connection() as connection:
            connection.request("GET", f"/arrivals{query}")
            with connection.getresponse() as response:
                yield (json.loads(line) for line in response)

    @contextmanager
    def control_connection(self) -> Iterator[http.client.HTTPConnection]:
        """To the control socket."""
        connection = http.client.HTTPConnection("control", timeout=30)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(30)
        connection.sock.connect(str(self.socket))
        try:
            yield connection
        finally:
            connection.close()

    # ── What it keeps ────────────────────────────────────────────────────────────────────────────────────────────

    def blobs(self) -> set[Path]:
        """The blob files there are."""
        return {path for path in (self.data / "blobs").rglob("*") if path.is_file()}

    def sizes(self) -> list[int]:
        """Those of the blobs there are; a store unlinks what it does not need a moment after it answered."""
        found = []
        for path in self.blobs():
            with suppress(FileNotFoundError):
                found.append(path.stat().st_size)
        return found

    def until(self, comes: Callable[[], bool]) -> None:
        """Keeps the store busy until that is so. Tests have a time limit."""
        while not comes():
            self.call("HEAD", f"/{BUCKET}")

    def memory_bytes(self, field: str) -> int:
        """`VmRSS`: now; `VmHWM`: the most so far."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(f"{field}:"):
                return int(line.split()[1]) * 1024
        raise KeyError(field)


def now() -> datetime:
    """In UTC."""
    return datetime.now(UTC)
