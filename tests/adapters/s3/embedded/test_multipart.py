"""
Uploads in parts.
"""

import base64
import hashlib
import zlib
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from pupload.adapters.s3.embedded import composites
from tests.adapters.s3.embedded.process import BUCKET, Server

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

MIB = 1 << 20
FIRST, LAST = b"1" * (5 * MIB), b"last"


def begin(s3: "S3Client", key: str, **said: Any) -> str:
    return s3.create_multipart_upload(Bucket=BUCKET, Key=key, **said)["UploadId"]


def put(s3: "S3Client", key: str, upload: str, number: int, body: bytes) -> dict[str, Any]:
    done = s3.upload_part(Bucket=BUCKET, Key=key, UploadId=upload, PartNumber=number, Body=body)
    return {"PartNumber": number, "ETag": done["ETag"]}


def complete(s3: "S3Client", key: str, upload: str, parts: list[dict[str, Any]], **more: Any) -> str:
    answer = s3.complete_multipart_upload(
        Bucket=BUCKET,
        Key=key,
        UploadId=upload,
        MultipartUpload={"Parts": parts},  # type: ignore[typeddict-item]
        **more,
    )
    return answer["ETag"]


def test_parts_become_the_object_in_the_order_of_their_numbers(s3: "S3Client", server: Server, key: str) -> None:
    upload = begin(s3, key, ContentType="video/mp4", Metadata={"a": "b"})
    parts = [put(s3, key, upload, 7, LAST), put(s3, key, upload, 2, FIRST)][::-1]
    etag = complete(s3, key, upload, parts)
    digests = b"".join(hashlib.md5(part).digest() for part in (FIRST, LAST))
    assert etag == f'"{hashlib.md5(digests).hexdigest()}-2"'
    got = s3.get_object(Bucket=BUCKET, Key=key)
    assert got["Body"].read() == FIRST + LAST
    assert (got["ContentType"], got["Metadata"], got["ETag"]) == ("video/mp4", {"a": "b"}, etag)
    across = s3.get_object(Bucket=BUCKET, Key=key, Range=f"bytes={5 * MIB - 2}-{5 * MIB + 1}")
    assert across["Body"].read() == b"11la"
    part = s3.get_object(Bucket=BUCKET, Key=key, PartNumber=2)
    assert (part["Body"].read(), part["PartsCount"]) == (LAST, 2)
    assert server.call("GET", f"/{BUCKET}/{key}", query=[("partNumber", "3")]).status == 416
    head = s3.head_object(Bucket=BUCKET, Key=key, ChecksumMode="ENABLED")
    assert base64.b64decode(head["ChecksumSHA256"]) == hashlib.sha256(FIRST + LAST).digest()
    # Whoever lost the answer asks again.
    assert complete(s3, key, upload, parts) == etag


def test_a_part_put_again_takes_the_place_of_the_first(s3: "S3Client", server: Server, key: str) -> None:
    upload = begin(s3, key)
    old = put(s3, key, upload, 1, b"old" * 20_001)
    new = put(s3, key, upload, 1, b"new" * 20_002)
    listed = s3.list_parts(Bucket=BUCKET, Key=key, UploadId=upload)["Parts"]
    assert [(part["PartNumber"], part["Size"], part["ETag"]) for part in listed] == [(1, 60_006, new["ETag"])]
    with pytest.raises(ClientError, match="InvalidPart"):
        complete(s3, key, upload, [old])
    complete(s3, key, upload, [new])
    assert s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() == b"new" * 20_002


def test_parts_are_listed_in_pages(s3: "S3Client", key: str) -> None:
    upload = begin(s3, key)
    for number in (1, 3, 5):
        put(s3, key, upload, number, b"p")
    pages = s3.get_paginator("list_parts").paginate(
        Bucket=BUCKET, Key=key, UploadId=upload, PaginationConfig={"PageSize": 2}
    )
    assert [part["PartNumber"] for page in pages for part in page["Parts"]] == [1, 3, 5]
    s3.abort_multipart_upload(Bucket=BUCKET, Key=key, UploadId=upload)


def test_unfinished_uploads_are_listed_in_pages(s3: "S3Client", key: str) -> None:
    begun = sorted((name, begin(s3, name)) for name in (f"{key}/a", f"{key}/a", f"{key}/b"))
    pages = s3.get_paginator("list_multipart_uploads").paginate(
        Bucket=BUCKET, Prefix=key, PaginationConfig={"PageSize": 1}
    )
    assert [(one["Key"], one["UploadId"]) for page in pages for one in page["Uploads"]] == begun
    for name, upload in begun:
        s3.abort_multipart_upload(Bucket=BUCKET, Key=name, UploadId=upload)
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=BUCKET, Prefix=key)


def test_an_aborted_upload_leaves_nothing(s3: "S3Client", server: Server, key: str) -> None:
    used = server.control("GET", "/stats")[1]["bytes"]
    upload = begin(s3, key)
    part = put(s3, key, upload, 1, b"abort" * 10_000)
    assert server.control("GET", "/stats")[1]["bytes"] == used + 50_000
    s3.abort_multipart_upload(Bucket=BUCKET, Key=key, UploadId=upload)
    assert server.control("GET", "/stats")[1]["bytes"] == used
    for attempt in (
        lambda: put(s3, key, upload, 2, b"x"),
        lambda: complete(s3, key, upload, [part]),
        lambda: s3.list_parts(Bucket=BUCKET, Key=key, UploadId=upload),
        lambda: s3.abort_multipart_upload(Bucket=BUCKET, Key=key, UploadId=upload),
    ):
        with pytest.raises(ClientError, match="NoSuchUpload"):
            attempt()
    server.until(lambda: 50_000 not in server.sizes())


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda a, b: [b, a], "InvalidPartOrder"),
        (lambda a, b: [a, a], "InvalidPartOrder"),
        (lambda a, b: [a, b, {**b, "PartNumber": 3}], "InvalidPart"),
        (lambda a, b: [{**a, "ETag": b["ETag"]}, b], "InvalidPart"),
        (lambda a, b: [{**a, "ChecksumCRC32": "AAAAAA=="}, b], "InvalidPart"),
        (lambda a, b: [a, b], "EntityTooSmall"),
        (lambda a, b: [], "MalformedXML"),
    ],
)
def test_parts_that_do_not_fit_are_refused(s3: "S3Client", key: str, change: Any, code: str) -> None:
    upload = begin(s3, key)
    parts = [put(s3, key, upload, number, b"small%d" % number) for number in (1, 2)]
    with pytest.raises(ClientError, match=code):
        complete(s3, key, upload, change(*parts))
    # It can still be mended.
    complete(s3, key, upload, parts[1:])


def test_completing_may_have_a_condition(s3: "S3Client", key: str) -> None:
    s3.put_object(Bucket=BUCKET, Key=key, Body=b"first")
    upload = begin(s3, key)
    part = put(s3, key, upload, 1, b"second")
    with pytest.raises(ClientError, match="PreconditionFailed"):
        complete(s3, key, upload, [part], IfNoneMatch="*")
    assert s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() == b"first"
    complete(s3, key, upload, [part])


def test_presigned_parts(s3: "S3Client", server: Server, key: str) -> None:
    upload = begin(s3, key)
    etags = []
    for number, body in [("1", FIRST), ("2", LAST)]:
        url = server.presign("PUT", key, query=[("partNumber", number), ("uploadId", upload)])
        reply = server.raw("PUT", url, body=body)
        etags.append({"PartNumber": int(number), "ETag": reply.headers["ETag"]})
    complete(s3, key, upload, etags)
    assert s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() == FIRST + LAST


@pytest.mark.parametrize("number", ["0", "10001", "x", "-1"])
def test_a_part_has_a_number_from_1_to_10000(s3: "S3Client", server: Server, key: str, number: str) -> None:
    upload = begin(s3, key)
    query = [("partNumber", number), ("uploadId", upload)]
    assert server.call("PUT", f"/{BUCKET}/{key}", query=query, body=b"x").code == "InvalidArgument"


@pytest.mark.parametrize("size", [1000, 6 * MIB])
def test_parts_copied_from_other_objects(s3: "S3Client", key: str, size: int) -> None:
    body = bytes(range(250)) * (size // 250)
    s3.put_object(Bucket=BUCKET, Key=f"{key}/source", Body=body)
    upload = begin(s3, key)
    source = {"Bucket": BUCKET, "Key": f"{key}/source"}
    ranges = [f"bytes=10-{size // 250 * 250 - 1}", "bytes=0-3"] if size > 5 * MIB else ["bytes=100-199"]
    parts = []
    for number, wanted in enumerate(ranges, 1):
        done = s3.upload_part_copy(
            Bucket=BUCKET,
            Key=key,
            UploadId=upload,
            PartNumber=number,
            CopySource=source,  # type: ignore[arg-type]
            CopySourceRange=wanted,
        )
        parts.append({"PartNumber": number, "ETag": done["CopyPartResult"]["ETag"]})
    with pytest.raises(ClientError, match="InvalidRange"):
        s3.upload_part_copy(
            Bucket=BUCKET,
            Key=key,
            UploadId=upload,
            PartNumber=9,
            CopySource=source,  # type: ignore[arg-type]
            CopySourceRange=f"bytes=0-{len(body)}",
        )
    complete(s3, key, upload, parts)
    expected = body[10:] + body[:4] if size > 5 * MIB else body[100:200]
    assert s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() == expected
    # And a part of what is in parts itself.
    again = begin(s3, f"{key}/again")
    done = s3.upload_part_copy(
        Bucket=BUCKET,
        Key=f"{key}/again",
        UploadId=again,
        PartNumber=1,
        CopySource={"Bucket": BUCKET, "Key": key},
    )
    complete(s3, f"{key}/again", again, [{"PartNumber": 1, "ETag": done["CopyPartResult"]["ETag"]}])
    assert s3.get_object(Bucket=BUCKET, Key=f"{key}/again")["Body"].read() == expected


def test_a_checksum_of_the_whole_is_told_from_those_of_the_parts(s3: "S3Client", key: str) -> None:
    right = base64.b64encode(zlib.crc32(FIRST + LAST).to_bytes(4, "big")).decode()
    for claimed, ok in (("AAAAAA==", False), (right, True)):
        upload = begin(s3, key, ChecksumAlgorithm="CRC32", ChecksumType="FULL_OBJECT")
        parts = [put(s3, key, upload, number, body) for number, body in enumerate((FIRST, LAST), 1)]
        if ok:
            complete(s3, key, upload, parts, ChecksumCRC32=claimed, ChecksumType="FULL_OBJECT")
        else:
            with pytest.raises(ClientError, match="BadDigest"):
                complete(s3, key, upload, parts, ChecksumCRC32=claimed, ChecksumType="FULL_OBJECT")


@given(first=st.binary(max_size=200), second=st.binary(max_size=200))
def test_crc32_can_be_added_up(first: bytes, second: bytes) -> None:
    combined = composites.combine_crc32(zlib.crc32(first), zlib.crc32(second), len(second))
    assert combined == zlib.crc32(first + second)
