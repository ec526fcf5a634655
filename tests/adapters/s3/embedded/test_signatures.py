"""
Nobody without our keys reads or writes anything, and is told why.
"""

import socket
from collections.abc import Callable
from datetime import timedelta

import pytest

from pupload.adapters.s3 import signing
from tests.adapters.s3.embedded.process import BUCKET, Server

Forge = Callable[[Server, str], tuple[str, str]]

FOREIGN = signing.Credentials("PUPFOREIGN", "not the secret")


def tampered(server: Server, key: str) -> tuple[str, str]:
    url = server.presign("PUT", key)
    return "PUT", url[:-1] + ("0" if url[-1] != "0" else "1")


def expired(server: Server, key: str) -> tuple[str, str]:
    return "PUT", server.presign("PUT", key, age=timedelta(seconds=100), expires_seconds=60)


def from_the_future(server: Server, key: str) -> tuple[str, str]:
    return "PUT", server.presign("PUT", key, age=timedelta(minutes=-20))


def other_method(server: Server, key: str) -> tuple[str, str]:
    return "PUT", server.presign("GET", key)


def other_key(server: Server, key: str) -> tuple[str, str]:
    return "PUT", server.presign("PUT", f"{key}-x").replace(f"{key}-x", key)


def key_by_detour(server: Server, key: str) -> tuple[str, str]:
    return "PUT", server.presign("PUT", key).replace(f"/{key}", f"/x/../{key}")


def other_bucket(server: Server, key: str) -> tuple[str, str]:
    return "PUT", server.presign("PUT", key, bucket="other").replace("/other/", f"/{BUCKET}/")


def foreign_key(server: Server, key: str) -> tuple[str, str]:
    return "PUT", server.presign("PUT", key, credentials=FOREIGN)


def foreign_secret(server: Server, key: str) -> tuple[str, str]:
    forged = signing.Credentials(server.credentials.access_key, "not the secret")
    return "PUT", server.presign("PUT", key, credentials=forged)


def unsigned(server: Server, key: str) -> tuple[str, str]:
    return "PUT", f"/{BUCKET}/{key}"


def added_parameter(server: Server, key: str) -> tuple[str, str]:
    return "PUT", server.presign("PUT", key) + "&partNumber=1"


@pytest.mark.parametrize(
    ("forge", "code"),
    [
        (tampered, "SignatureDoesNotMatch"),
        (expired, "AccessDenied"),
        (from_the_future, "AccessDenied"),
        (other_method, "SignatureDoesNotMatch"),
        (other_key, "SignatureDoesNotMatch"),
        (key_by_detour, "SignatureDoesNotMatch"),
        (other_bucket, "SignatureDoesNotMatch"),
        (foreign_key, "InvalidAccessKeyId"),
        (foreign_secret, "SignatureDoesNotMatch"),
        (unsigned, "AccessDenied"),
        (added_parameter, "SignatureDoesNotMatch"),
    ],
)
def test_a_bad_signature_is_refused_and_nothing_is_kept(server: Server, key: str, forge: Forge, code: str) -> None:
    before = server.blobs()
    method, target = forge(server, key)
    reply = server.raw(method, target, body=b"x" * 100_000)
    assert (reply.status, reply.code) == (403, code)
    assert server.call("GET", f"/{BUCKET}/{key}").code == "NoSuchKey"
    assert server.blobs() <= before


def test_an_expired_url_says_that_it_is_expired(server: Server, key: str) -> None:
    assert b"Request has expired" in server.raw(*expired(server, key)).body


def test_a_request_from_yesterday_is_refused(server: Server, key: str) -> None:
    path = f"/{BUCKET}/{key}"
    reply = server.raw("PUT", path, headers=server.signed("PUT", path, age=timedelta(days=1)), body=b"x")
    assert (reply.status, reply.code) == (403, "RequestTimeTooSkewed")


def test_a_header_that_was_not_signed_is_refused(server: Server, key: str) -> None:
    reply = server.raw("PUT", server.presign("PUT", key), headers={"x-amz-meta-added": "later"}, body=b"x")
    assert (reply.status, reply.code) == (403, "AccessDenied")


def test_a_signed_length_and_type_bind_the_upload(server: Server, key: str) -> None:
    url = server.presign("PUT", key, headers={"content-length": "4", "content-type": "image/png"})
    headers = {"Content-Type": "image/png"}
    assert server.raw("PUT", url, headers=headers, body=b"12345").code == "SignatureDoesNotMatch"
    assert server.raw("PUT", url, headers={"Content-Type": "text/html"}, body=b"1234").code == "SignatureDoesNotMatch"
    assert server.raw("PUT", url, headers=headers, body=b"1234").status == 200


def test_a_body_is_not_invited_before_the_signature_was_checked(server: Server, key: str) -> None:
    """A client that expects `100 Continue` gets the refusal in its place, and has sent nothing for nothing."""
    for url, expected in [(server.presign("PUT", key), b"100"), (tampered(server, key)[1], b"403")]:
        host, port = server.address.split(":")
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            target = url.removeprefix(server.url)
            head = (
                f"PUT {target} HTTP/1.1\r\nHost: {server.address}\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"
            )
            connection.sendall(head.encode())
            answer = connection.recv(4096)
            assert answer.startswith(b"HTTP/1.1 " + expected)
            if expected == b"100":
                connection.sendall(b"abc")
                assert connection.recv(4096).startswith(b"HTTP/1.1 200")
    assert server.call("GET", f"/{BUCKET}/{key}").body == b"abc"


def test_errors_and_logs_never_show_a_signature(server: Server, key: str) -> None:
    reply = server.raw(*tampered(server, key))
    assert b"X-Amz-Signature" not in reply.body
    assert server.credentials.secret_key.encode() not in reply.body


def test_a_request_that_is_no_http_leaves_no_trace_of_its_url(server: Server) -> None:
    """The HTTP library repeats what it cannot read, and a URL's query may be a signature."""
    host, port = server.address.split(":")
    for request in (b"GET /?X-Amz-Signature=secret HTTP/9.x\r\n\r\n", b"GET /?X-Amz-Signature=secret" + b"a" * 100_000):
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            connection.sendall(request)
            assert b" 400 " in connection.recv(4096)
    assert "secret" not in server.log()
