"""
Buckets, and which web pages may use them.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError

from pupload.adapters.s3.embedded import cors
from tests.adapters.s3.embedded.process import BUCKET, Server

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client


def test_a_bucket_is_made_found_listed_and_removed(s3: "S3Client", server: Server) -> None:
    name = f"made-{uuid4().hex[:8]}"
    with pytest.raises(ClientError, match="404"):
        s3.head_bucket(Bucket=name)
    s3.create_bucket(Bucket=name)
    with pytest.raises(ClientError, match="BucketAlreadyOwnedByYou"):
        s3.create_bucket(Bucket=name)
    assert name in [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]
    assert s3.get_bucket_location(Bucket=name)["LocationConstraint"] is None
    s3.put_object(Bucket=name, Key="k", Body=b"x")
    with pytest.raises(ClientError, match="BucketNotEmpty"):
        s3.delete_bucket(Bucket=name)
    s3.delete_object(Bucket=name, Key="k")
    upload = s3.create_multipart_upload(Bucket=name, Key="k")["UploadId"]
    s3.upload_part(Bucket=name, Key="k", UploadId=upload, PartNumber=1, Body=b"y" * 50_001)
    s3.delete_bucket(Bucket=name)
    assert server.call("GET", f"/{name}").code == "NoSuchBucket"


def test_buckets_are_listed_in_pages_as_sdks_ask_for_them(s3: "S3Client") -> None:
    prefix = f"page-{uuid4().hex[:8]}-"
    names = [f"{prefix}{number}" for number in range(3)]
    for name in names:
        s3.create_bucket(Bucket=name)
    pages = list(s3.get_paginator("list_buckets").paginate(Prefix=prefix, PaginationConfig={"PageSize": 2}))
    assert [[bucket["Name"] for bucket in page["Buckets"]] for page in pages] == [names[:2], names[2:]]
    assert [page["Prefix"] for page in pages] == [prefix, prefix]
    assert s3.list_buckets(Prefix=prefix, BucketRegion="eu-west-9").get("Buckets", []) == []
    for name in names:
        s3.delete_bucket(Bucket=name)


def test_no_page_is_empty_on_request(server: Server) -> None:
    assert server.call("GET", "/", query=[("max-buckets", "0")]).code == "InvalidArgument"
    assert server.call("GET", "/", query=[("max-buckets", "x")]).code == "InvalidArgument"


@pytest.mark.parametrize("name", ["ab", "Upper", "a..b", "1.2.3.4", "-ab", "a_b", "a" * 64, "\x01ab"])
def test_a_bucket_has_a_name_that_can_be_a_host(server: Server, name: str) -> None:
    assert server.call("PUT", f"/{name}").code == "InvalidBucketName"


def test_a_bucket_is_where_the_store_is(server: Server) -> None:
    body = b"<CreateBucketConfiguration><LocationConstraint>mars</LocationConstraint></CreateBucketConfiguration>"
    assert server.call("PUT", "/elsewhere", body=body).code == "IllegalLocationConstraintException"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<Delete>",
        b"<Other/>",
        b"<Delete></Delete>",
        b'<!DOCTYPE d [<!ENTITY a "aaaa">]><Delete><Object><Key>&a;</Key></Object></Delete>',
        b"<a>" * 100,
        b"<Delete><Object/></Delete>",
    ],
)
def test_xml_that_is_no_order_is_refused(server: Server, body: bytes) -> None:
    assert server.call("POST", f"/{BUCKET}", query=[("delete", "")], body=body).code == "MalformedXML"


# ── CORS ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def shared(s3: "S3Client") -> str:
    """A bucket that web pages of one origin may put to, and everybody may read."""
    s3.create_bucket(Bucket="shared")
    s3.put_bucket_cors(
        Bucket="shared",
        CORSConfiguration={
            "CORSRules": [
                {
                    "AllowedOrigins": ["https://*.example.org"],
                    "AllowedMethods": ["PUT"],
                    "AllowedHeaders": ["content-*"],
                    "ExposeHeaders": ["ETag"],
                    "MaxAgeSeconds": 600,
                },
                {"AllowedOrigins": ["*"], "AllowedMethods": ["GET", "HEAD"]},
            ]
        },
    )
    return "shared"


def ask(server: Server, path: str, **headers: str) -> tuple[int, Mapping[str, str]]:
    reply = server.raw("OPTIONS", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    return reply.status, dict(reply.headers)


PAGE = "https://app.example.org"
METHOD = "Access_Control_Request_Method"
HEADERS = "Access_Control_Request_Headers"


def test_a_browser_may_ask_without_a_signature(server: Server, shared: str) -> None:
    status, headers = ask(server, f"/{shared}/k", Origin=PAGE, **{METHOD: "PUT", HEADERS: "Content-Type"})
    assert status == 200
    assert headers["Access-Control-Allow-Origin"] == PAGE
    assert headers["Access-Control-Allow-Headers"] == "content-type"
    assert headers["Access-Control-Expose-Headers"] == "ETag"
    assert headers["Access-Control-Max-Age"] == "600"
    status, headers = ask(server, f"/{shared}/k", Origin="https://other.test", **{METHOD: "GET"})
    assert (status, headers["Access-Control-Allow-Origin"]) == (200, "*")


@pytest.mark.parametrize(
    ("path", "origin", "method", "wanted"),
    [
        ("/shared/k", "https://other.test", "PUT", ""),
        ("/shared/k", "https://example.org.evil.test", "PUT", ""),
        ("/shared/k", PAGE, "DELETE", ""),
        ("/shared/k", PAGE, "PUT", "x-amz-meta-a"),
        (f"/{BUCKET}/k", PAGE, "PUT", ""),
        ("/no-such-bucket/k", PAGE, "PUT", ""),
    ],
)
def test_a_browser_is_told_when_it_may_not(
    server: Server, shared: str, path: str, origin: str, method: str, wanted: str
) -> None:
    assert ask(server, path, Origin=origin, **{METHOD: method, HEADERS: wanted})[0] == 403


def test_answers_tell_the_browser_that_the_page_may_see_them(server: Server, shared: str) -> None:
    """Refusals too: a page that may not read them sees no reason."""
    headers = {"Origin": PAGE}
    assert server.raw("PUT", f"/{shared}/k", headers=headers).headers["Access-Control-Allow-Origin"] == PAGE
    reply = server.call("PUT", f"/{shared}/k", headers=headers, body=b"x" * 100_000)
    assert (reply.status, reply.headers["Access-Control-Allow-Origin"]) == (200, PAGE)
    reply = server.call("GET", f"/{shared}/k", headers=headers)
    assert (reply.status, reply.headers["Access-Control-Allow-Origin"]) == (200, "*")


def test_rules_are_read_back_and_taken_away(s3: "S3Client") -> None:
    s3.create_bucket(Bucket="rules")
    rules = {
        "CORSRules": [
            {"ID": "one", "AllowedOrigins": ["a", "b"], "AllowedMethods": ["GET"], "AllowedHeaders": ["*"]},
        ]
    }
    s3.put_bucket_cors(Bucket="rules", CORSConfiguration=rules)  # type: ignore[arg-type]
    assert s3.get_bucket_cors(Bucket="rules")["CORSRules"] == rules["CORSRules"]
    s3.delete_bucket_cors(Bucket="rules")
    with pytest.raises(ClientError, match="NoSuchCORSConfiguration"):
        s3.get_bucket_cors(Bucket="rules")


def test_only_a_star_is_a_wildcard() -> None:
    rule = cors.Rule(origins=("http://[a-z]?*.test",), methods=("GET",))
    assert cors.allow([rule], origin="http://[a-z]?x.test", method="GET")
    assert not cors.allow([rule], origin="http://bx.test", method="GET")
