"""
What boto3 is better at: finding the keys of roles and sign-ons, and making a bucket ready.

boto3 blocks; everything here runs in a small pool of threads of its own.
"""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

import boto3
import botocore.config
import botocore.exceptions
import botocore.session

from pupload import errors, ports
from pupload.adapters.s3 import errors_table, places, reach, signing

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client
    from types_boto3_s3.type_defs import CORSRuleTypeDef

_log = logging.getLogger(__name__)
_pool = ThreadPoolExecutor(max_workers=2, thread_name_prefix="s3-admin")
_FRESH_SECONDS = 60.0

# Any page may upload to a URL it was given: the signature in it is what protects the bucket, not the origin.
_CORS_RULE: "CORSRuleTypeDef" = {
    "ID": "pupload",
    "AllowedMethods": ["GET", "PUT", "HEAD"],
    "AllowedOrigins": ["*"],
    "AllowedHeaders": ["*"],
    "ExposeHeaders": ["ETag"],
    "MaxAgeSeconds": 3600,
}
_NO_CORS_HERE = frozenset(
    {"NotImplemented", "MethodNotAllowed", "AccessDenied", "NotSupported", "UnsupportedOperation", "XNotImplemented"}
)

T = TypeVar("T")


class ChainKeys:
    """
    The keys that boto3's default chain finds: environment, files, sign-on, the machine's or container's role.

    Temporary ones are refreshed ahead of their end, in a thread, while the old ones still serve.
    """

    def __init__(self, clock: ports.Clock, session: botocore.session.Session | None = None) -> None:
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

    def _take(self, found: signing.Credentials) -> signing.Credentials:
        self._known, self._looking = found, None
        return found

    def _look(self) -> "Future[signing.Credentials]":
        if self._looking is None:
            self._looked_at = self._clock.monotonic()
            self._looking = _pool.submit(self._resolve)
        return self._looking

    def _resolve(self) -> signing.Credentials:
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
    asked = errors_table.Asked(store=store, endpoint=str(bucket.endpoint), bucket=bucket.name, key="")

    def work() -> None:
        client = _client(bucket, region, credentials, guard)
        try:
            _ensure_bucket(client, bucket.name, region)
            _ensure_cors(client, bucket.name, store)
        finally:
            client.close()

    await asyncio.wrap_future(_pool.submit(_turned, work, asked))


def _client(
    bucket: places.Bucket, region: str, credentials: signing.Credentials, guard: reach.Guard | None = None
) -> "S3Client":
    client = boto3.session.Session().client(
        "s3",
        endpoint_url=str(bucket.endpoint),
        region_name=region,
        aws_access_key_id=credentials.access_key,
        aws_secret_access_key=credentials.secret_key,
        aws_session_token=credentials.session_token,
        config=botocore.config.Config(
            signature_version="s3v4",
            s3={"addressing_style": "path" if bucket.path_style else "virtual"},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            connect_timeout=10,
            read_timeout=60,
            retries={"mode": "standard", "total_max_attempts": 4},
            # A proxy would connect where nobody looks.
            proxies=None if guard is None else {},
        ),
    )
    if guard is not None:
        client.meta.events.register("before-send.s3", _looking(guard))
    return client


def _looking(guard: reach.Guard) -> Callable[..., None]:
    def look(request: Any, **_: object) -> None:
        parts = urlsplit(request.url)
        guard.check(parts.hostname or "", parts.port or {"http": 80, "https": 443}[parts.scheme])

    return look


def _turned(work: Callable[[], T], asked: errors_table.Asked) -> T:
    try:
        return work()
    except botocore.exceptions.ClientError as error:
        raise errors_table.to_error(_refusal(error), asked) from error
    except PermissionError as error:
        raise reach.refused(asked.store) from error
    except (OSError, botocore.exceptions.BotoCoreError) as error:
        raise errors.StoreUnavailable(store=asked.store, endpoint=asked.endpoint, reason=str(error)) from error


def _refusal(error: botocore.exceptions.ClientError) -> errors_table.Refusal:
    told = error.response.get("Error", {})
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    # An element that is empty in the document is None here.
    code, message = told.get("Code") or "", told.get("Message") or ""
    # HEAD has no body: botocore then gives the status in the code's place.
    return errors_table.Refusal(status=status, code="" if code.isdigit() else code, message=message)


def _ensure_bucket(client: "S3Client", name: str, region: str) -> None:
    try:
        client.head_bucket(Bucket=name)
        return
    except botocore.exceptions.ClientError as error:
        if _refusal(error).status != 404:
            raise
    try:
        _create_bucket(client, name, region)
    except botocore.exceptions.ClientError as error:
        if _refusal(error).code != "BucketAlreadyOwnedByYou":  # somebody was faster
            raise


def _create_bucket(client: "S3Client", name: str, region: str) -> None:
    if region == "us-east-1":
        client.create_bucket(Bucket=name)
        return
    try:
        client.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": region})  # type: ignore[typeddict-item]
    except botocore.exceptions.ClientError as error:
        if _refusal(error).code not in ("InvalidLocationConstraint", "IllegalLocationConstraintException"):
            raise
        client.create_bucket(Bucket=name)  # a store of one place, whose region is but a word


def _ensure_cors(client: "S3Client", name: str, store: str) -> None:
    try:
        rules = _cors_rules(client, name)
        if not any(_lets_browsers_in(rule) for rule in rules):
            client.put_bucket_cors(Bucket=name, CORSConfiguration={"CORSRules": [*rules, _CORS_RULE]})
    except botocore.exceptions.ClientError as error:
        refusal = _refusal(error)
        if refusal.code not in _NO_CORS_HERE and refusal.status not in (403, 405, 501):
            raise
        _log.warning(
            "store %s: CORS rules cannot be set (%s); uploads from web pages may be refused", store, refusal.code
        )


def _cors_rules(client: "S3Client", name: str) -> "list[CORSRuleTypeDef]":
    try:
        return list(client.get_bucket_cors(Bucket=name).get("CORSRules", []))  # type: ignore[arg-type]
    except botocore.exceptions.ClientError as error:
        if _refusal(error).code == "NoSuchCORSConfiguration":
            return []
        raise


def _lets_browsers_in(rule: "CORSRuleTypeDef") -> bool:
    return (
        set(_CORS_RULE["AllowedMethods"]) <= set(rule["AllowedMethods"])
        and "*" in rule["AllowedOrigins"]
        and "*" in rule.get("AllowedHeaders", [])
        and "ETag" in rule.get("ExposeHeaders", [])
    )
