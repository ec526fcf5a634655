"""
Clients that were not made for us work with us as they are.
"""

import base64
import io
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import minio
import pytest
from botocore.exceptions import ClientError
from yarl import URL

from pupload.adapters.s3 import signing
from tests.adapters.s3.embedded.process import BUCKET, Server, now

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client


@pytest.mark.parametrize("size", [10, 20_000_000])
def test_the_minio_sdk(server: Server, key: str, size: int, tmp_path: Path) -> None:
    keys = server.credentials
    client = minio.Minio(
        server.address, access_key=keys.access_key, secret_key=keys.secret_key, secure=False, region="us-east-1"
    )
    try:
        assert client.bucket_exists(bucket_name=BUCKET)
        body = b"minio" * (size // 5)
        client.put_object(bucket_name=BUCKET, object_name=key, data=io.BytesIO(body), length=size, part_size=6 << 20)
        assert client.stat_object(bucket_name=BUCKET, object_name=key).size == size
        client.fget_object(bucket_name=BUCKET, object_name=key, file_path=str(tmp_path / "got"))
        assert (tmp_path / "got").read_bytes() == body
        listed = list(client.list_objects(bucket_name=BUCKET, prefix=key))
        assert [one.object_name for one in listed] == [key]
        client.remove_object(bucket_name=BUCKET, object_name=key)
    finally:
        client._http.clear()


@pytest.mark.parametrize("algorithm", ["CRC32", "SHA1", "SHA256"])
def test_boto3_with_checksums_of_its_own(s3: "S3Client", key: str, algorithm: str) -> None:
    answer = s3.put_object(Bucket=BUCKET, Key=key, Body=b"abc" * 50_000, ChecksumAlgorithm=algorithm)  # type: ignore[arg-type]
    assert answer[f"Checksum{algorithm}"]  # type: ignore[literal-required]
    # boto3 checks what it reads against what the store says.
    got = s3.get_object(Bucket=BUCKET, Key=key, ChecksumMode="ENABLED")
    assert got["Body"].read() == b"abc" * 50_000


def test_boto3_uploads_and_downloads_in_parts(s3: "S3Client", key: str) -> None:
    s3.upload_fileobj(io.BytesIO(b"v" * 9_000_000), BUCKET, key)
    target = io.BytesIO()
    s3.download_fileobj(BUCKET, key, target)
    assert target.getvalue() == b"v" * 9_000_000


def test_a_bucket_may_be_named_in_the_host(server: Server, key: str) -> None:
    server.call("PUT", f"/{BUCKET}/{key}", body=b"12345")
    path, host = f"/{key}", f"{BUCKET}.localhost:{server.address.split(':')[1]}"
    signed = signing.sign(
        server.credentials,
        method="HEAD",
        host=host,
        path=path,
        headers={},
        payload_hash=signing.UNSIGNED_PAYLOAD,
        region="us-east-1",
        now=now(),
    )
    assert server.raw("HEAD", path, headers={**signed, "Host": host}).headers["Content-Length"] == "5"


def test_curl_with_a_presigned_url(server: Server, key: str, tmp_path: Path) -> None:
    file = tmp_path / "file"
    # Above a megabyte curl asks before it sends.
    file.write_bytes(b"curl" * 500_000)
    subprocess.run(["curl", "-sSf", "-T", file, server.presign("PUT", key)], check=True, timeout=30)
    got = subprocess.run(["curl", "-sSf", server.presign("GET", key)], check=True, capture_output=True, timeout=30)
    assert got.stdout == file.read_bytes()


def test_curl_that_signs_by_itself(server: Server, key: str) -> None:
    user = f"{server.credentials.access_key}:{server.credentials.secret_key}"
    options = ["--aws-sigv4", "aws:amz:us-east-1:s3", "--user", user, "-H", "x-amz-content-sha256: UNSIGNED-PAYLOAD"]
    url = f"{server.url}/{BUCKET}/{key}"
    subprocess.run(["curl", "-sSf", *options, "-X", "PUT", "-d", "body", url], check=True, timeout=30)
    got = subprocess.run(["curl", "-sSf", *options, url], check=True, capture_output=True, timeout=30)
    assert got.stdout == b"body"


async def test_aiohttp_streams_through_a_presigned_url(server: Server, key: str) -> None:
    async with aiohttp.ClientSession() as session:
        headers = {"Content-Length": "300000"}

        async def pieces() -> AsyncIterator[bytes]:
            for _ in range(30):
                yield b"a" * 10_000

        url = URL(server.presign("PUT", key), encoded=True)
        async with session.put(url, data=pieces(), headers=headers) as response:
            assert response.status == 200
        async with session.get(URL(server.presign("GET", key), encoded=True)) as response:
            assert await response.read() == b"a" * 300_000
        # Without a length nobody can keep room for it.
        async with session.put(url, data=pieces()) as response:
            assert response.status == 411
            assert "MissingContentLength" in await response.text()


async def test_asking_for_what_is_not_there_costs_no_connection(server: Server, key: str) -> None:
    """So ten thousand waiting uploads are asked for."""
    connected: list[object] = []

    async def count(*_: object) -> None:
        connected.append(_)

    watch = aiohttp.TraceConfig()
    watch.on_connection_create_end.append(count)
    url = URL(server.presign("HEAD", key), encoded=True)
    async with aiohttp.ClientSession(trace_configs=[watch]) as session:
        for _ in range(5):
            async with session.head(url) as response:
                assert response.status == 404
    assert len(connected) == 1


def test_a_refused_head_tells_the_length_that_a_get_would_have(server: Server, key: str) -> None:
    head = server.raw("HEAD", server.presign("HEAD", key))
    got = server.raw("GET", server.presign("GET", key))
    assert (head.status, head.body) == (404, b"")
    assert head.headers["Content-Length"] == got.headers["Content-Length"] == str(len(got.body))


def test_what_the_aws_command_line_asks_for_when_it_copies_in_parts(s3: "S3Client", server: Server, key: str) -> None:
    s3.put_object(Bucket=BUCKET, Key=key, Body=b"x")
    assert s3.get_object_tagging(Bucket=BUCKET, Key=key)["TagSet"] == []
    assert server.call("GET", f"/{BUCKET}/{key}-none", query=[("tagging", "")]).code == "NoSuchKey"
    s3.copy_object(Bucket=BUCKET, Key=f"{key}-2", CopySource=f"{BUCKET}/{key}", TaggingDirective="COPY")
    listed = s3.list_objects_v2(Bucket=BUCKET, Prefix=key, OptionalObjectAttributes=["RestoreStatus"])
    assert [each["Key"] for each in listed["Contents"]] == [key, f"{key}-2"]
    with pytest.raises(ClientError, match="x-amz-tagging-directive"):
        s3.copy_object(Bucket=BUCKET, Key=f"{key}-2", CopySource=f"{BUCKET}/{key}", TaggingDirective="REPLACE")


def test_a_url_of_the_second_version_is_told_what_it_lacks(server: Server, key: str) -> None:
    """boto3 makes them for endpoints of one's own where it is not told otherwise."""
    made = server.boto(signature_version="s3")
    try:
        url = made.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": key})
    finally:
        made.close()
    refused = server.raw("GET", url)
    assert (refused.status, refused.code) == (400, "InvalidRequest")
    assert b"AWS4-HMAC-SHA256" in refused.body


@pytest.mark.parametrize("algorithm", ["CRC32C", "CRC64NVME"])
def test_the_checksums_that_need_awscrt(s3: "S3Client", key: str, algorithm: Any) -> None:
    """The AWS command line sends CRC64NVME with everything, where it is not told otherwise."""
    crt = pytest.importorskip("awscrt.checksums")
    parts = [b"p" * (5 << 20), b"q" * 12345]
    upload = s3.create_multipart_upload(Bucket=BUCKET, Key=key, ChecksumAlgorithm=algorithm)
    named: list[Any] = []
    for number, body in enumerate(parts, 1):
        put = s3.upload_part(
            Bucket=BUCKET,
            Key=key,
            UploadId=upload["UploadId"],
            PartNumber=number,
            Body=body,
            ChecksumAlgorithm=algorithm,
        )
        named.append({"PartNumber": number, "ETag": put["ETag"], f"Checksum{algorithm}": put[f"Checksum{algorithm}"]})  # type: ignore[literal-required]
    value = getattr(crt, algorithm.lower())(b"".join(parts))
    whole = base64.b64encode(value.to_bytes(4 if algorithm == "CRC32C" else 8, "big")).decode()
    claimed: Any = {f"Checksum{algorithm}": whole}
    done = s3.complete_multipart_upload(
        Bucket=BUCKET, Key=key, UploadId=upload["UploadId"], MultipartUpload={"Parts": named}, **claimed
    )
    if algorithm == "CRC64NVME":
        assert (done["ChecksumType"], done["ChecksumCRC64NVME"]) == ("FULL_OBJECT", whole)
    else:
        assert (done["ChecksumType"], done["ChecksumCRC32C"][-2:]) == ("COMPOSITE", "-2")
    assert s3.get_object(Bucket=BUCKET, Key=key, ChecksumMode="ENABLED")["Body"].read() == b"".join(parts)
