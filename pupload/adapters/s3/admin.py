"""
What boto3 is better at: finding the keys of roles and sign-ons, and making a bucket ready.

boto3 blocks, and takes half a second to be imported: both happen in a small pool of threads of their own, and only
where they are needed.
"""

import asyncio
import logging
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from pupload import errors, ports
from pupload.adapters.s3 import places, reach, signing

if TYPE_CHECKING:
    import botocore.session

_log = logging.getLogger(__name__)
_pool = ThreadPoolExecutor(max_workers=2, thread_name_prefix="s3-admin")
_FRESH_SECONDS = 60.0
_AGAIN_SECONDS = 5.0
"""How soon the chain is asked again for keys that a store refuses."""


class ChainKeys:
    """
    The keys that boto3's default chain finds: environment, files, sign-on, the machine's or container's role.

    Temporary ones are refreshed ahead of their end, in a thread, while the old ones still serve.
    """

    def __init__(self, clock: ports.Clock, session: "botocore.session.Session | None" = None) -> None:
        self._clock = clock
        self._session = session
        self._found: Any = None
        self._known: signing.Credentials | None = None
        self._looked_at = 0.0
        self._looking: Future[signing.Credentials] | None = None

    def current(self) -> signing.Credentials:
        """Waits for the chain only the very first time. Raises `errors.Misconfigured` where it finds none."""
        if self._known is None:
            return self._take(self._look().result())
        if self._looking is None and self._clock.monotonic() - self._looked_at > _FRESH_SECONDS:
            self._look()
        if self._looking is not None and self._looking.done():
            looking, self._looking = self._looking, None
            if looking.exception() is not None:
                _log.warning("the store's keys could not be refreshed; the old ones are used on")
            else:
                self._known = looking.result()
        return self._known

    async def ready(self) -> None:
        if self._known is None:
            self._take(await asyncio.wrap_future(self._look()))

    async def renewed(self, refused: signing.Credentials) -> bool:
        if self._known == refused and self._clock.monotonic() - self._looked_at > _AGAIN_SECONDS:
            try:
                self._take(await asyncio.wrap_future(self._look()))
            except errors.Misconfigured:
                self._looking = None
        return self._known not in (None, refused)

    def _take(self, found: signing.Credentials) -> signing.Credentials:
        self._known, self._looking = found, None
        return found

    def _look(self) -> "Future[signing.Credentials]":
        if self._looking is None:
            self._looked_at = self._clock.monotonic()
            self._looking = _pool.submit(self._resolve)
        return self._looking

    def _resolve(self) -> signing.Credentials:
        import botocore.exceptions  # noqa: PLC0415 - in the thread, and only where there are no keys
        import botocore.session  # noqa: PLC0415

        try:
            if self._found is None:
                self._session = self._session or botocore.session.Session()
                self._found = self._session.get_credentials()
            frozen = None if self._found is None else self._found.get_frozen_credentials()
        except botocore.exceptions.BotoCoreError as error:
            raise errors.Misconfigured(reason=f"no keys for the store: {error}") from error
        if frozen is None:
            reason = "the store has no AccessKey and SecretKey, and the AWS credential chain finds none either"
            raise errors.Misconfigured(reason=reason)
        return signing.Credentials(frozen.access_key, frozen.secret_key, frozen.token)


async def ensure_bucket(
    store: str,
    bucket: places.Bucket,
    region: str,
    credentials: signing.Credentials,
    *,
    guard: reach.Guard | None = None,
) -> None:
    """
    Afterwards the bucket exists and browsers may put to it and get from it.

    Rules that are there already stay. A store that knows no CORS, or keys that may not set it, are logged: only
    browsers will miss it. boto3 connects by itself: `guard` looks at the host just before each request, and does not
    see when its name resolves to something else a moment later. Raises `errors.StoreUnavailable`,
    `errors.ObjectForbidden`, `errors.StoreRefused`.
    """

    def work() -> None:
        from pupload.adapters.s3 import buckets  # noqa: PLC0415 - in the thread, for boto3

        buckets.make_ready(store, bucket, region, credentials, guard)

    await asyncio.wrap_future(_pool.submit(work))
