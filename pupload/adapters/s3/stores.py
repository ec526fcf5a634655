"""Makes the stores that flows describe, and keeps them: one object for equal descriptions."""

import re
from collections.abc import Mapping
from functools import partial
from typing import Protocol
from urllib.parse import urlsplit

from pupload import errors, ports
from pupload.adapters.s3 import admin, client, keys, notifications, places, reach, signing
from pupload.domain import flow, secret

_BUCKET = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]{1,253}[a-zA-Z0-9]").fullmatch
_REGION = re.compile(r"[A-Za-z0-9-]{0,64}").fullmatch
_HEADER_SAFE = re.compile(r"[\x21-\x7e]*").fullmatch
_WORDS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


class MakesLocal(Protocol):
    """Makes a store of another bucket in the embedded store."""

    def __call__(self, *, name: str, bucket: str) -> ports.ObjectStore: ...


class S3Stores:
    """The server's own store and those that flows bring along."""

    def __init__(
        self,
        *,
        default: ports.ObjectStore | flow.Store,
        clock: ports.Clock,
        make_local: MakesLocal | None = None,
        guard: reach.Guard | None = None,
        lends_own_keys: bool = True,
        secrets: ports.SecretStore | None = None,
        parallel: int = client.PARALLEL,
    ) -> None:
        """
        `default` may be described the way flows do. `make_local` is None where there is no embedded store.
        `guard` keeps the stores of flows from addresses that the operator does not let them reach. A flow's store
        without keys is asked with those of this machine (boto3's chain), unless `lends_own_keys` is False. Keys that
        flows name as secrets are looked up in `secrets`. `parallel` parts of a large object are moved at a time.
        """
        self._parallel = parallel
        self._clock = clock
        self._make_local = make_local
        self._guard = guard
        self._lends_own_keys = lends_own_keys
        self._secrets = secrets
        self._open: dict[object, ports.ObjectStore] = {}
        # What the operator names may be anywhere, and asked with the machine's own keys.
        self._default = self._make(default, None, lends_own_keys=True) if isinstance(default, flow.Store) else default

    def default(self) -> ports.ObjectStore:
        return self._default

    def open(self, store: flow.Store) -> ports.ObjectStore:
        described = (store.name, store.type.lower(), frozenset(store.params.items()), store.account)
        found = self._open.get(described)
        if found is None:
            found = self._open[described] = self._make(store, self._guard, lends_own_keys=self._lends_own_keys)
        return found

    async def prepare(self, store: flow.Store) -> None:
        opened = self.open(store)
        if isinstance(opened, client.S3Store):
            await opened.keys.ready()

    async def close(self) -> None:
        """Closes all of them, the default one too."""
        for store in (self._default, *self._open.values()):
            await store.close()
        self._open.clear()

    def _make(self, store: flow.Store, guard: reach.Guard | None, *, lends_own_keys: bool) -> ports.ObjectStore:
        params = _Params(store)
        if store.type.lower() == "s3":
            if params.credentials() is None and not lends_own_keys:
                raise params.refused("AccessKey and SecretKey are missing; this server does not lend its own")
            return self._make_s3(params, guard)
        if store.type.lower() == "local":
            return self._make_embedded(params)
        raise params.refused(f"type {store.type} is not known; there are s3 and local")

    def _make_embedded(self, params: "_Params") -> ports.ObjectStore:
        if self._make_local is None:
            raise params.refused("this server runs no store of its own; use type s3")
        bucket = params.text("BucketName")
        if not bucket:
            return self._default
        return self._make_local(name=params.store, bucket=params.bucket())

    def _make_s3(self, params: "_Params", guard: reach.Guard | None) -> ports.ObjectStore:
        region = params.region()
        endpoint = params.endpoint("Endpoint") or places.Endpoint("https", f"s3.{region}.amazonaws.com")
        chosen = self._keys(params, endpoint)
        bucket = places.Bucket(endpoint=endpoint, name=params.bucket(), path_style=params.truth("PathStyle", True))
        if guard is not None:
            _check(params, bucket, guard)
        listener = None
        if params.truth("Notifications", False):
            listener = notifications.Listener(
                bucket=bucket, region=region, credentials=chosen, clock=self._clock, guard=guard
            )
        return client.S3Store(
            name=params.store,
            endpoint=endpoint,
            bucket=bucket.name,
            credentials=chosen,
            clock=self._clock,
            region=region,
            path_style=bucket.path_style,
            public_endpoint=params.endpoint("PublicEndpoint"),
            node_endpoint=params.endpoint("NodeEndpoint"),
            listener=listener,
            guard=guard,
            parallel=self._parallel,
        )

    def _keys(self, params: "_Params", endpoint: places.Endpoint) -> keys.Keys:
        credentials = params.credentials()
        if credentials is None:
            return admin.ChainKeys(self._clock)
        if not any(map(secret.named, (credentials.access_key, credentials.secret_key, credentials.session_token))):
            return keys.FixedKeys(credentials)
        if self._secrets is None:
            raise params.refused("there are no secrets here that its keys could be")
        reveal = partial(self._secrets.reveal, account=params.account)
        return keys.SecretKeys(params.store, str(endpoint), credentials, reveal, self._clock)


def _check(params: "_Params", bucket: places.Bucket, guard: reach.Guard) -> None:
    """Refuses at once what is refused already as it is written; names are looked at when they are connected to."""
    why = guard.objection(urlsplit(f"//{bucket.host}").hostname or "")
    if why is not None:
        raise params.refused(f"Endpoint is {why}, which this server may not be sent to")


class _Params:
    """What a flow says of a store, by names in any case. What makes no sense is refused by name, never shown."""

    def __init__(self, store: flow.Store) -> None:
        self.store = store.name
        self.account = store.account
        self._params: Mapping[str, str | bool] = {name.lower(): value for name, value in store.params.items()}

    def refused(self, reason: str) -> errors.Refused:
        return errors.Refused(reason=f"store {self.store}: {reason}")

    def text(self, *names: str) -> str:
        for name in names:
            value = self._params.get(name.lower(), "")
            if not isinstance(value, str):
                raise self.refused(f"{name} must be text")
            if value.strip():
                return value.strip()
        return ""

    def truth(self, name: str, default: bool) -> bool:
        value = self._params.get(name.lower(), default)
        if isinstance(value, str):
            if not value.strip():
                return default
            if value.strip().lower() not in _WORDS:
                raise self.refused(f"{name} must be true or false")
            return _WORDS[value.strip().lower()]
        return value

    def endpoint(self, name: str) -> places.Endpoint | None:
        text = self.text(name)
        if not text:
            return None
        try:
            return places.read_endpoint(text, secure=self.truth("Secure", True))
        except ValueError as error:
            raise self.refused(f"{name} cannot be used: {error}") from error

    def bucket(self) -> str:
        name = self.text("BucketName", "Bucket")
        if not name:
            raise self.refused("BucketName is missing")
        if not _BUCKET(name):
            raise self.refused("BucketName is no name that a bucket can have")
        return name

    def region(self) -> str:
        region = self.text("Region", "Location")
        if not _REGION(region):
            raise self.refused("Region is no name that a region can have")
        return region or "us-east-1"

    def credentials(self) -> signing.Credentials | None:
        access_key, secret_key = self.text("AccessKey"), self.text("SecretKey")
        if not access_key and not secret_key:
            return None
        if not (access_key and secret_key):
            raise self.refused("AccessKey and SecretKey must be given together")
        token = self.text("SessionToken")
        if not _HEADER_SAFE(access_key) or not _HEADER_SAFE(token):
            raise self.refused("AccessKey or SessionToken holds characters that no key has")
        return signing.Credentials(access_key, secret_key, token or None)
