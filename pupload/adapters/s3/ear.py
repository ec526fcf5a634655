"""
One connection on which a store tells of arrivals: the `minio` SDK listens in a thread.

The SDK would connect anew by itself, at once, and say nothing of it; what arrived in between is lost. So it is held
to one connection.
"""

import logging
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from urllib.parse import unquote_plus

import minio
import urllib3

from pupload.adapters.s3 import keys, places, reach

_log = logging.getLogger(__name__)
_CONNECT_SECONDS = 10.0
_SILENCE_SECONDS = 120.0


class Ear:
    """A thread that listens on one connection until that ends or it is stopped, which it tells by None."""

    def __init__(
        self,
        bucket: places.Bucket,
        region: str,
        credentials: keys.Keys,
        tell: Callable[[str | None], None],
        guard: reach.Guard | None,
    ) -> None:
        self._bucket = bucket
        self._tell = tell
        self._connection = _OneConnection(tell, guard)
        current = credentials.current()
        self._client = minio.Minio(
            bucket.endpoint.host,
            access_key=current.access_key,
            secret_key=current.secret_key,
            session_token=current.session_token,
            secure=bucket.endpoint.scheme == "https",
            region=region,
            http_client=self._connection,
        )
        # A daemon: it may sit in a read when the interpreter ends.
        self._thread = threading.Thread(target=self._listen, name="s3-arrivals", daemon=True)

    def start(self) -> None:
        """Begins to listen."""
        self._thread.start()

    def stop(self) -> None:
        """The thread ends soon; nobody waits for it."""
        self._connection.stop()

    def _listen(self) -> None:
        try:
            with self._client.listen_bucket_notification(self._bucket.name, events=("s3:ObjectCreated:*",)) as events:
                for event in events:
                    for key in _keys_in(event):
                        self._tell(key)
        except Exception as error:  # noqa: BLE001 - whatever it is, the reader must hear that the stream has ended
            if not self._connection.stopped:
                _log.info("arrivals of bucket %s are not heard for now: %s", self._bucket.name, type(error).__name__)
        finally:
            self._tell(None)


def _keys_in(event: dict[str, Any]) -> list[str]:
    return [unquote_plus(record["s3"]["object"]["key"]) for record in event.get("Records", ())]


class _OneConnection(urllib3.PoolManager):
    """Knows the connection that is listened on: to end it, and to keep the SDK from making another by itself."""

    def __init__(self, tell: Callable[[str | None], None], guard: reach.Guard | None) -> None:
        timeout = urllib3.Timeout(connect=_CONNECT_SECONDS, read=_SILENCE_SECONDS)
        super().__init__(timeout=timeout, retries=False)
        if guard is not None:
            self.pool_classes_by_scheme = _guarded_pools(guard)
        self._tell = tell
        self._stopped = threading.Event()
        self._response: urllib3.BaseHTTPResponse | None = None

    @property
    def stopped(self) -> bool:
        return self._stopped.is_set()

    def urlopen(  # type: ignore[override]  # as in the class above, whose own base differs
        self,
        method: str,
        url: str,
        redirect: bool = False,  # noqa: ARG002 - one that leads elsewhere is not followed
        **more: Any,
    ) -> urllib3.BaseHTTPResponse:
        if self._response is not None or self.stopped:
            raise urllib3.exceptions.HTTPError("the connection has ended")
        self._response = super().urlopen(method, url, redirect=False, **more)
        if self._response.status == 200:
            self._tell("")
        if self._stopped.is_set():
            self.stop()
        return self._response

    def stop(self) -> None:
        self._stopped.set()
        if isinstance(self._response, urllib3.HTTPResponse):
            with suppress(Exception):  # it may have ended at this moment
                self._response.shutdown()


def _guarded_pools(guard: reach.Guard) -> dict[str, type[urllib3.HTTPConnectionPool]]:
    """Whose connections go to the addresses that the guard looked at."""

    class Plain(urllib3.connection.HTTPConnection):
        def _new_conn(self) -> socket.socket:
            return guard.connect(self.host, self.port, _CONNECT_SECONDS)

    class Secure(urllib3.connection.HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            return guard.connect(self.host, self.port, _CONNECT_SECONDS)

    class PlainPool(urllib3.HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(urllib3.HTTPSConnectionPool):
        ConnectionCls = Secure

    return {"http": PlainPool, "https": SecurePool}
