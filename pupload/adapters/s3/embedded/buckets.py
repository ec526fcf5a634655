"""
Buckets: make, find, list, remove; where they are; which web pages may use them.
"""

from aiohttp import web

from pupload.adapters.s3.embedded import address, cors, replies, rows, uploads, xml
from pupload.adapters.s3.embedded.calls import Call
from pupload.adapters.s3.embedded.index import Change
from pupload.adapters.s3.embedded.refusals import Refusal
from pupload.adapters.s3.embedded.store import Store

_MOST_LISTED = 10_000


async def list_all(store: Store, call: Call) -> web.StreamResponse:
    """All buckets, or as many at once as are asked for; the token is the name of the last one."""
    prefix, after = call.query.get("prefix", ""), call.query.get("continuation-token", "")
    most = call.number("max-buckets", _MOST_LISTED, most=_MOST_LISTED)
    if most == 0:
        raise Refusal("InvalidArgument", "Argument max-buckets must be an integer from 1", ArgumentName="max-buckets")
    here = call.query.get("bucket-region", store.region) == store.region
    every = await store.index.read(rows.all_buckets) if here else []
    found = [bucket for bucket in every if bucket.name.startswith(prefix) and bucket.name > after]
    more: list[xml.Element] = []
    if len(found) > most:
        found = found[:most]
        more.append(("ContinuationToken", found[-1].name))
    if prefix:
        more.append(("Prefix", xml.approximate(prefix)))
    lines: list[xml.Element] = [
        ("Bucket", [("Name", bucket.name), ("CreationDate", replies.xml_date(bucket.created_ms))]) for bucket in found
    ]
    owner: xml.Element = ("Owner", [("ID", replies.OWNER), ("DisplayName", replies.OWNER)])
    return replies.document(call, "ListAllMyBucketsResult", [owner, ("Buckets", lines), *more])


async def create(store: Store, call: Call) -> web.StreamResponse:
    """A new bucket; 409 where there is one already."""
    if not address.is_bucket_name(call.bucket):
        raise Refusal("InvalidBucketName", BucketName=call.bucket)
    if call.request.body_exists and (document := await call.document()):
        wanted = xml.read(document, "CreateBucketConfiguration").get("LocationConstraint")
        if wanted not in (None, "", store.region):
            raise Refusal("IllegalLocationConstraintException")
    if not await store.commit(lambda change: rows.add_bucket(change, call.bucket, now_ms=store.now_ms())):
        raise Refusal("BucketAlreadyOwnedByYou", BucketName=call.bucket)
    return replies.empty(call, headers={"Location": f"/{call.bucket}"})


async def head(store: Store, call: Call) -> web.StreamResponse:
    """200 where it exists."""
    await store.index.read(lambda db: rows.find_bucket(db, call.bucket))
    return replies.empty(call, headers={"x-amz-bucket-region": store.region})


async def delete(store: Store, call: Call) -> web.StreamResponse:
    """Only an empty one; uploads that nobody finished go with it."""

    def work(change: Change) -> None:
        for upload_id in uploads.of_bucket(change.db, call.bucket):
            uploads.drop(change, upload_id)
        rows.drop_bucket(change, call.bucket)

    await store.commit(work)
    return replies.empty(call, status=204)


async def location(store: Store, call: Call) -> web.StreamResponse:
    """The region; S3 writes its first one as nothing."""
    await store.index.read(lambda db: rows.find_bucket(db, call.bucket))
    return replies.document(call, "LocationConstraint", "" if store.region == "us-east-1" else store.region)


async def get_cors(store: Store, call: Call) -> web.StreamResponse:
    """The rules as they were put."""
    bucket = await store.index.read(lambda db: rows.find_bucket(db, call.bucket))
    if not bucket.cors:
        raise Refusal("NoSuchCORSConfiguration", BucketName=call.bucket)
    return replies.document(call, "CORSConfiguration", cors.describe(cors.load(bucket.cors)))


async def put_cors(store: Store, call: Call) -> web.StreamResponse:
    """In place of the rules before."""
    text = cors.dump(cors.parse(await call.document()))
    await store.commit(lambda change: rows.set_cors(change, call.bucket, text))
    return replies.empty(call)


async def delete_cors(store: Store, call: Call) -> web.StreamResponse:
    """No web page may use the bucket afterwards."""
    await store.commit(lambda change: rows.set_cors(change, call.bucket, ""))
    return replies.empty(call, status=204)
