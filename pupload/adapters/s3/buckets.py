"""Making a bucket ready by boto3. Blocks; whoever imports this waits for boto3's import: see `admin`."""

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import boto3
import botocore.config
import botocore.exceptions

from pupload import errors
from pupload.adapters.s3 import errors_table, places, reach, signing

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client
    from types_boto3_s3.type_defs import CORSRuleTypeDef

_log = logging.getLogger(__name__)

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


def make_ready(
    store: str, bucket: places.Bucket, region: str, credentials: signing.Credentials, guard: reach.Guard | None
) -> None:
    """As `admin.ensure_bucket`, in this thread."""
    asked = errors_table.Asked(store=store, endpoint=str(bucket.endpoint), bucket=bucket.name, key="")
    client = connect(bucket, region, credentials, guard)
    try:
        _ensure_bucket(client, bucket.name, region)
        _ensure_cors(client, bucket.name, store)
    except botocore.exceptions.ClientError as error:
        raise errors_table.to_error(_refusal(error), asked) from error
    except PermissionError as error:
        raise reach.refused(asked.store) from error
    except (OSError, botocore.exceptions.BotoCoreError) as error:
        raise errors.StoreUnavailable(store=asked.store, endpoint=asked.endpoint, reason=str(error)) from error
    finally:
        client.close()


def connect(
    bucket: places.Bucket, region: str, credentials: signing.Credentials, guard: reach.Guard | None = None
) -> "S3Client":
    """boto3's client for this bucket. `guard` looks at the host before each request."""
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
