"""
What the store does not do it says so, and does nothing else instead.
"""

import pytest

from tests.adapters.s3.embedded.process import BUCKET, Server

SUB_RESOURCES = (
    "accelerate",
    "acl",
    "analytics",
    "attributes",
    "cors",
    "encryption",
    "intelligent-tiering",
    "inventory",
    "legal-hold",
    "lifecycle",
    "logging",
    "metrics",
    "notification",
    "object-lock",
    "ownershipControls",
    "partNumber",
    "policy",
    "policyStatus",
    "publicAccessBlock",
    "renameObject",
    "replication",
    "requestPayment",
    "restore",
    "retention",
    "select",
    "session",
    "tagging",
    "torrent",
    "uploads",
    "versionId",
    "versioning",
    "versions",
    "website",
    "foo",
)

HEADERS = {
    "x-amz-acl": "public-read",
    "x-amz-grant-read": "id=1",
    "x-amz-tagging": "a=b",
    "x-amz-server-side-encryption": "AES256",
    "x-amz-server-side-encryption-customer-algorithm": "AES256",
    "x-amz-storage-class": "GLACIER",
    "x-amz-website-redirect-location": "/x",
    "x-amz-object-lock-mode": "GOVERNANCE",
    "x-amz-write-offset-bytes": "1",
    "x-amz-expected-bucket-owner": "1",
}


@pytest.mark.parametrize("name", SUB_RESOURCES)
def test_an_unknown_sub_resource_never_stores_nor_deletes(server: Server, key: str, name: str) -> None:
    path = f"/{BUCKET}/{key}"
    server.call("PUT", path, body=b"before")
    for method in ("PUT", "DELETE", "POST"):
        if (method, name) == ("POST", "uploads"):
            continue
        reply = server.call(method, path, query=[(name, "1")], body=b"after")
        assert (reply.status, reply.code) == (501, "NotImplemented"), (method, name)
    assert server.call("GET", path).body == b"before"


@pytest.mark.parametrize("name", [name for name in SUB_RESOURCES if name not in ("cors", "uploads")])
def test_an_unknown_sub_resource_of_a_bucket_is_refused(server: Server, name: str) -> None:
    for method in ("GET", "PUT", "DELETE"):
        assert server.call(method, f"/{BUCKET}", query=[(name, "")], body=b"").code == "NotImplemented"


@pytest.mark.parametrize("name", HEADERS)
def test_a_header_that_asks_for_something_else_is_refused(server: Server, key: str, name: str) -> None:
    reply = server.call("PUT", f"/{BUCKET}/{key}", headers={name: HEADERS[name]}, body=b"x")
    assert (reply.status, reply.code) == (501, "NotImplemented")
    assert name.encode() in reply.body  # the SDKs show nothing but the message
    assert server.call("HEAD", f"/{BUCKET}/{key}").status == 404


def test_other_methods_and_forms_are_refused(server: Server, key: str) -> None:
    assert server.call("PATCH", f"/{BUCKET}/{key}", body=b"x").code == "MethodNotAllowed"
    assert server.call("POST", "/", body=b"x").code == "MethodNotAllowed"
    assert server.call("POST", f"/{BUCKET}", body=b"form").code == "NotImplemented"


def test_the_body_of_a_refused_request_does_not_become_the_next_request(server: Server, key: str) -> None:
    smuggled = b"DELETE / HTTP/1.1\r\n\r\n" * 10_000
    assert server.call("PUT", f"/{BUCKET}/{key}", query=[("acl", "")], body=smuggled).code == "NotImplemented"
    assert server.call("HEAD", f"/{BUCKET}").status == 200
