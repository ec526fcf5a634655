"""The part of a store that needs no network: URLs, signed for the name by which their user knows the store."""

from collections.abc import Mapping, Sequence
from urllib.parse import quote

from pupload import errors, ports
from pupload.adapters.s3 import keys, places, signing


class Urls:
    """Presigns for one bucket; the second half of `client.S3Store`."""

    def __init__(
        self,
        *,
        name: str,
        buckets: Mapping[ports.Audience, places.Bucket],
        region: str,
        credentials: keys.Keys,
        clock: ports.Clock,
    ) -> None:
        self.name = name
        self.region = region
        self.keys = credentials
        self._buckets = buckets
        self._clock = clock

    def presign_put(
        self,
        key: str,
        *,
        expires_seconds: int,
        content_type: str | None = None,
        size: int | None = None,
        audience: ports.Audience = "user",
    ) -> str:
        headers = {}
        if content_type is not None:
            headers["content-type"] = content_type
        if size is not None:
            headers["content-length"] = str(size)
        return self._presign("PUT", key, expires_seconds, audience, headers=headers)

    def presign_get(
        self,
        key: str,
        *,
        expires_seconds: int,
        filename: str | None = None,
        content_type: str | None = None,
        audience: ports.Audience = "user",
    ) -> str:
        query = []
        if filename is not None:
            query.append(("response-content-disposition", _attachment(filename)))
        if content_type is not None:
            query.append(("response-content-type", content_type))
        return self._presign("GET", key, expires_seconds, audience, query=query)

    def presign_part(
        self, key: str, upload_id: str, number: int, *, expires_seconds: int, audience: ports.Audience = "user"
    ) -> str:
        query = [("partNumber", str(number)), ("uploadId", upload_id)]
        return self._presign("PUT", key, expires_seconds, audience, query=query)

    def _presign(
        self,
        method: str,
        key: str,
        expires_seconds: int,
        audience: ports.Audience,
        *,
        query: Sequence[tuple[str, str]] = (),
        headers: Mapping[str, str] = {},
    ) -> str:
        bucket = self._buckets[audience]
        try:
            path = bucket.path(key)
        except ValueError as error:
            raise errors.StoreRefused(store=self.name, code="InvalidKey", reason=str(error)) from error
        return signing.presign(
            self.keys.current(),
            method=method,
            scheme=bucket.endpoint.scheme,
            host=bucket.host,
            path=path,
            query=query,
            region=self.region,
            now=self._clock.now(),
            expires_seconds=expires_seconds,
            headers=headers,
        )


def _attachment(filename: str) -> str:
    """As RFC 6266 wants it: a plain name for old clients, the true one in UTF-8."""
    plain = "".join(c if c.isascii() and c.isprintable() and c not in '"\\%;' else "_" for c in filename)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(filename, safe='')}"
