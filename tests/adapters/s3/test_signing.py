"""Signing against botocore, which every S3 store accepts, and verifying against everything a stranger may try."""

import string
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from unittest import mock
from urllib.parse import urlsplit

import botocore.auth
import botocore.awsrequest
import botocore.compat
import botocore.credentials
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pupload.adapters.s3 import signing
from pupload.adapters.s3.signing import hmacs

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
KEYS = signing.Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
HOST = "store.example:9000"
REGION = "eu-central-1"
EMPTY = signing.EMPTY_SHA256

characters = st.characters(exclude_categories=["Cs"])
text = st.text(characters, max_size=20)
paths = st.text(characters, min_size=1, max_size=40).map(lambda key: f"/bucket/{key}")
pair = st.tuples(st.text(characters, min_size=1, max_size=12).map("q".__add__), text)
pairs = st.lists(pair, max_size=5)
# botocore's URL signer keeps only the first of several values of one name.
single_pairs = st.lists(pair, max_size=5, unique_by=lambda pair: pair[0])
tokens = st.one_of(st.none(), st.text(string.ascii_letters + "+/=", min_size=1, max_size=30))
names = st.sampled_from(["content-type", "content-length", "X-Amz-Meta-One", "x-amz-copy-source", "range", "if-match"])
values = st.text(string.ascii_letters + string.digits + " /;=\t", max_size=20)
headers = st.dictionaries(names, values, max_size=4)


def secret_of(access_key: str) -> str | None:
    return KEYS.secret_key if access_key == KEYS.access_key else None


def verify(request: signing.WireRequest, now: datetime = NOW) -> signing.Verified:
    return signing.verify(request, secret_of=secret_of, region=REGION, now=now)


def presigned(
    path: str = "/bucket/key",
    *,
    method: str = "PUT",
    expires_seconds: int = 600,
    headers: Mapping[str, str] = {},
    query: Sequence[tuple[str, str]] = (),
    now: datetime = NOW,
) -> signing.WireRequest:
    url = signing.presign(
        KEYS,
        method=method,
        scheme="http",
        host=HOST,
        path=path,
        query=query,
        region=REGION,
        now=now,
        expires_seconds=expires_seconds,
        headers=headers,
    )
    return opened(url, method, headers)


def opened(url: str, method: str, headers: Mapping[str, str]) -> signing.WireRequest:
    wire = urlsplit(url)
    return signing.WireRequest(method, wire.path, wire.query, [("Host", wire.netloc), *headers.items()])


def signed(
    path: str = "/bucket/key",
    *,
    method: str = "PUT",
    query: Sequence[tuple[str, str]] = (),
    headers: Mapping[str, str] = {},
    payload_hash: str = EMPTY,
    now: datetime = NOW,
) -> signing.WireRequest:
    added = signing.sign(
        KEYS,
        method=method,
        host=HOST,
        path=path,
        query=query,
        headers=headers,
        payload_hash=payload_hash,
        region=REGION,
        now=now,
    )
    return signing.WireRequest(
        method,
        signing.encode_path(path),
        signing.encode_query(query),
        [("Host", HOST), *headers.items(), *added.items()],
    )


def code_of(request: signing.WireRequest, now: datetime = NOW) -> str:
    with pytest.raises(signing.SignatureRefused) as refused:
        verify(request, now)
    return refused.value.code


def botocore_signs(
    auth: type[botocore.auth.SigV4Auth],
    method: str,
    path: str,
    query: Sequence[tuple[str, str]],
    headers: Mapping[str, str],
    token: str | None = None,
    expires: int | None = None,
) -> botocore.awsrequest.AWSRequest:
    """botocore's own signer at our time, on a request prepared as its S3 client prepares one."""
    url = f"http://{HOST}{signing.encode_path(path)}"
    url += f"?{signing.encode_query(query)}" if query else ""
    request = botocore.awsrequest.AWSRequest(method=method, url=url, headers=dict(headers), data=b"")
    credentials = botocore.credentials.Credentials(KEYS.access_key, KEYS.secret_key, token)
    more = () if expires is None else (expires,)
    with mock.patch("botocore.auth.get_current_datetime", return_value=NOW.replace(tzinfo=None)):
        auth(credentials, "s3", REGION, *more).add_auth(request)
    return request


# ── We sign as botocore signs ────────────────────────────────────────────────────────────────────────────────────


@given(paths, single_pairs, tokens, headers, st.sampled_from(["GET", "PUT", "HEAD", "DELETE"]), st.integers(1, 604800))
def test_a_presigned_url_carries_botocores_signature(
    path: str,
    query: list[tuple[str, str]],
    token: str | None,
    headers: dict[str, str],
    method: str,
    expires: int,
) -> None:
    theirs = botocore_signs(botocore.auth.S3SigV4QueryAuth, method, path, query, headers, token, expires)
    ours = signing.presign(
        replace(KEYS, session_token=token),
        method=method,
        scheme="http",
        host=HOST,
        path=path,
        query=query,
        region=REGION,
        now=NOW,
        expires_seconds=expires,
        headers=headers,
    )
    assert signature_in(ours) == signature_in(str(theirs.url))


def signature_in(url: str) -> str:
    return url.rpartition("X-Amz-Signature=")[2]


@given(paths, pairs, tokens, headers, st.sampled_from(["GET", "PUT", "HEAD", "DELETE", "POST"]))
def test_a_signed_request_carries_botocores_authorization(
    path: str, query: list[tuple[str, str]], token: str | None, headers: dict[str, str], method: str
) -> None:
    theirs = botocore_signs(botocore.auth.S3SigV4Auth, method, path, query, headers, token)
    ours = signing.sign(
        replace(KEYS, session_token=token),
        method=method,
        host=HOST,
        path=path,
        query=query,
        headers=headers,
        payload_hash=EMPTY,
        region=REGION,
        now=NOW,
    )
    assert ours["Authorization"] == theirs.headers["Authorization"]


# ── What botocore and we sign is accepted ────────────────────────────────────────────────────────────────────────


@given(paths, single_pairs, headers)
def test_what_botocore_presigned_is_accepted(path: str, query: list[tuple[str, str]], headers: dict[str, str]) -> None:
    request = botocore_signs(botocore.auth.S3SigV4QueryAuth, "GET", path, query, headers, None, 600)
    verified = verify(opened(str(request.url), "GET", headers))
    assert verified.presigned
    assert verified.payload_hash == signing.UNSIGNED_PAYLOAD


@given(paths, pairs, headers)
def test_what_botocore_signed_is_accepted(path: str, query: list[tuple[str, str]], headers: dict[str, str]) -> None:
    request = botocore_signs(botocore.auth.S3SigV4Auth, "PUT", path, query, headers)
    sent = {name: str(value) for name, value in request.headers.items()}
    verified = verify(opened(str(request.url), "PUT", sent))
    assert verified.access_key == KEYS.access_key
    assert verified.payload_hash == EMPTY


@given(paths, pairs)
def test_other_ways_to_encode_the_same_request_are_accepted(path: str, query: list[tuple[str, str]]) -> None:
    request = presigned(path, query=query)
    everything = "".join(f"%{byte:02x}" if byte != ord("/") else "/" for byte in path.encode())
    shuffled = "&".join(reversed(request.raw_query.replace("%20", "+").split("&")))
    verify(replace(request, raw_path=everything, raw_query=shuffled))


@given(pairs)
def test_duplicate_query_keys_are_all_signed(query: list[tuple[str, str]]) -> None:
    doubled = [*query, ("tag", "b"), ("tag", "a")]
    request = presigned(query=doubled)
    verify(request)
    assert code_of(replace(request, raw_query=request.raw_query.replace("&tag=b", ""))) == "SignatureDoesNotMatch"


def test_header_values_are_folded() -> None:
    request = signed(headers={"x-amz-meta-a": "one two"})
    folded = [(n, "  one \t  two ") if n == "x-amz-meta-a" else (n, v) for n, v in request.headers]
    verify(replace(request, headers=folded))


def test_headers_of_one_name_are_joined_in_their_order() -> None:
    request = signed(headers={"x-amz-meta-a": "1,2"})
    rest = [(n, v) for n, v in request.headers if n != "x-amz-meta-a"]
    verify(replace(request, headers=[*rest, ("x-amz-meta-a", "1"), ("X-Amz-Meta-A", "2")]))
    swapped = replace(request, headers=[*rest, ("x-amz-meta-a", "2"), ("x-amz-meta-a", "1")])
    assert code_of(swapped) == "SignatureDoesNotMatch"


def test_a_date_header_will_do_instead_of_the_amz_one() -> None:
    added = signing.sign(
        KEYS, method="GET", host=HOST, path="/", headers={}, payload_hash=EMPTY, region=REGION, now=NOW
    )
    # The timestamp is signed as text in the string to sign; with Date the header x-amz-date is not there to be signed.
    canonical = f"GET\n/\n\nhost:{HOST}\nx-amz-content-sha256:{EMPTY}\n\nhost;x-amz-content-sha256\n{EMPTY}"
    key = hmacs.signing_key(KEYS.secret_key, f"20260304/{REGION}/s3/aws4_request")
    signature = hmacs.sign_request(key, added["X-Amz-Date"], f"20260304/{REGION}/s3/aws4_request", canonical)
    authorization = (
        f"AWS4-HMAC-SHA256 Credential={KEYS.access_key}/20260304/{REGION}/s3/aws4_request, "
        f"SignedHeaders=host;x-amz-content-sha256, Signature={signature}"
    )
    sent = [("Host", HOST), ("x-amz-content-sha256", EMPTY), ("Authorization", authorization)]
    for date in ("Wed, 04 Mar 2026 05:06:07 GMT", "20260304T050607Z"):
        verify(signing.WireRequest("GET", "/", "", [*sent, ("Date", date)]))


def test_a_default_port_is_not_part_of_the_name() -> None:
    assert signing.wire_host("https", "S3.Example:443") == "s3.example"
    assert signing.wire_host("http", "s3.example:443") == "s3.example:443"
    assert signing.wire_host("http", "s3.example:80") == "s3.example"
    assert signing.wire_host("http", "[::1]:80") == "[::1]"


# ── What nobody signed is refused, and told apart ────────────────────────────────────────────────────────────────


@given(paths, paths, st.sampled_from(["GET", "HEAD", "DELETE", "POST"]))
def test_another_key_or_another_method_does_not_match(path: str, other: str, method: str) -> None:
    request = presigned(path)
    assert code_of(replace(request, method=method)) == "SignatureDoesNotMatch"
    if other != path:
        assert code_of(replace(request, raw_path=signing.encode_path(other))) == "SignatureDoesNotMatch"


def test_another_host_does_not_match() -> None:
    assert code_of(replace(presigned(), headers=[("Host", "elsewhere.example")])) == "SignatureDoesNotMatch"


@given(st.data())
def test_one_changed_character_of_the_query_is_never_accepted(data: st.DataObject) -> None:
    request = presigned(query=[("partNumber", "1"), ("uploadId", "abc")])
    at = data.draw(st.integers(0, len(request.raw_query) - 1))
    other = data.draw(st.sampled_from("0aZ~").filter(lambda character: character != request.raw_query[at]))
    changed = request.raw_query[:at] + other + request.raw_query[at + 1 :]
    code_of(replace(request, raw_query=changed))


def test_an_added_query_parameter_does_not_match() -> None:
    request = presigned()
    assert code_of(replace(request, raw_query=request.raw_query + "&acl")) == "SignatureDoesNotMatch"


def test_a_repeated_signature_parameter_is_refused() -> None:
    request = presigned()
    for again in ("&X-Amz-Expires=604800", "&X-Amz-Signature=00", "&X-Amz-Date=20260304T050607Z"):
        doubled = replace(request, raw_query=request.raw_query + again)
        assert code_of(doubled) == "AuthorizationQueryParametersError"


def test_an_amz_header_that_was_not_signed_is_refused() -> None:
    for request in (presigned(), signed()):
        added = replace(request, headers=[*request.headers, ("X-Amz-Copy-Source", "/other/secret")])
        assert code_of(added) == "AccessDenied"


def test_a_signature_that_leaves_out_the_host_is_refused() -> None:
    request = presigned(headers={"content-type": "image/png"})
    without = request.raw_query.replace("content-type%3Bhost", "content-type")
    assert code_of(replace(request, raw_query=without)) == "AccessDenied"


def test_a_signed_header_must_be_sent_as_signed() -> None:
    request = presigned(headers={"content-type": "image/png", "content-length": "12"})
    verify(request)
    lacking = [(n, v) for n, v in request.headers if n != "content-length"]
    assert code_of(replace(request, headers=lacking)) == "SignatureDoesNotMatch"
    longer = [(n, "13") if n == "content-length" else (n, v) for n, v in request.headers]
    assert code_of(replace(request, headers=longer)) == "SignatureDoesNotMatch"


def test_a_url_is_valid_until_it_expires_and_not_before_its_time() -> None:
    request = presigned(expires_seconds=600)
    verify(request, NOW + timedelta(seconds=600))
    assert code_of(request, NOW + timedelta(seconds=601)) == "AccessDenied"
    verify(request, NOW - timedelta(minutes=15))
    assert code_of(request, NOW - timedelta(minutes=16)) == "AccessDenied"


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("Expires", "604801"),
        ("Expires", "-7"),
        ("Expires", "soon"),
        ("Expires", ""),
        ("Date", "2026-03-04"),
        ("Date", "20261304T050607Z"),
        ("Algorithm", "AWS4-ECDSA-P256-SHA256"),
        ("Credential", "AKIDEXAMPLE"),
        ("Credential", "AKIDEXAMPLE/20260304/us-east-1/s3/aws4_request"),
        ("Credential", "AKIDEXAMPLE/20260303/eu-central-1/s3/aws4_request"),
        ("Credential", "AKIDEXAMPLE/20260304/eu-central-1/sqs/aws4_request"),
    ],
)
def test_query_parameters_that_make_no_sense_are_named(parameter: str, value: str) -> None:
    request = presigned()
    kept = [piece for piece in request.raw_query.split("&") if not piece.startswith(f"X-Amz-{parameter}=")]
    changed = "&".join([*kept, f"X-Amz-{parameter}={value}"])
    assert code_of(replace(request, raw_query=changed)) == "AuthorizationQueryParametersError"


def test_presign_refuses_what_no_store_accepts() -> None:
    for seconds in (0, -1, 604801):
        with pytest.raises(ValueError, match="valid for"):
            presigned(expires_seconds=seconds)


def test_a_request_from_another_hour_is_refused() -> None:
    request = signed()
    verify(request, NOW + timedelta(minutes=15))
    for later in (timedelta(minutes=16), -timedelta(minutes=16)):
        assert code_of(request, NOW + later) == "RequestTimeTooSkewed"


def test_another_body_hash_does_not_match() -> None:
    request = signed()
    other = [(n, "0" * 64) if n == "X-Amz-Content-Sha256" else (n, v) for n, v in request.headers]
    assert code_of(replace(request, headers=other)) == "SignatureDoesNotMatch"


def test_the_body_hash_must_be_given_and_be_one() -> None:
    request = signed()
    without = [(n, v) for n, v in request.headers if n != "X-Amz-Content-Sha256"]
    assert code_of(replace(request, headers=without)) == "InvalidRequest"
    assert code_of(signed(payload_hash="nonsense")) == "InvalidArgument"


def with_authorization(value: str) -> signing.WireRequest:
    request = signed()
    return replace(request, headers=[(n, value) if n == "Authorization" else (n, v) for n, v in request.headers])


@pytest.mark.parametrize(
    ("authorization", "code"),
    [
        ("AWS AKIDEXAMPLE:c2ln", "InvalidRequest"),
        ("Bearer x", "InvalidRequest"),
        ("", "InvalidRequest"),
        ("AWS4-HMAC-SHA256", "AuthorizationHeaderMalformed"),
        ("AWS4-HMAC-SHA256 Credential=a, SignedHeaders=host", "AuthorizationHeaderMalformed"),
        ("AWS4-HMAC-SHA256 Credential=a, SignedHeaders=host, Signature=b", "AuthorizationHeaderMalformed"),
        (
            (
                "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260304/us-east-1/s3/aws4_request, "
                "SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature=00"
            ),
            "AuthorizationHeaderMalformed",
        ),
        (
            (
                "AWS4-HMAC-SHA256 Credential=SOMEBODY/20260304/eu-central-1/s3/aws4_request, "
                "SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature=00"
            ),
            "InvalidAccessKeyId",
        ),
        (
            (
                "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260304/eu-central-1/s3/aws4_request, "
                "SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature=00\udcff"
            ),
            "SignatureDoesNotMatch",
        ),
    ],
)
def test_an_authorization_that_makes_no_sense_is_named(authorization: str, code: str) -> None:
    assert code_of(with_authorization(authorization)) == code


def test_nobody_is_let_in_without_a_signature() -> None:
    assert code_of(signing.WireRequest("GET", "/bucket/key", "", [("Host", HOST)])) == "AccessDenied"


def test_a_header_and_a_query_signature_together_are_refused() -> None:
    request = presigned()
    both = replace(request, headers=[*request.headers, ("Authorization", "AWS4-HMAC-SHA256 x")])
    assert code_of(both) == "InvalidArgument"


@given(st.text(), st.text(), st.lists(st.tuples(st.text(), st.text()), max_size=3))
def test_any_nonsense_is_refused_and_never_more(path: str, query: str, headers: list[tuple[str, str]]) -> None:
    with pytest.raises(signing.SignatureRefused):
        verify(signing.WireRequest("PUT", path, query + "&X-Amz-Signature=1", headers))


def test_secrets_do_not_show() -> None:
    credentials = signing.Credentials("AKID", "s3cret", "t0ken")
    assert "s3cret" not in repr(credentials)
    assert "t0ken" not in repr(credentials)
    assert repr(verify(signed()).signing_key) not in repr(verify(signed()))


# ── Chunks ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_chunk_signatures_are_those_of_amazons_own_example() -> None:
    """The worked example in "Signature Calculations for the Authorization Header: Transferring Payload in Chunks"."""
    verified = signing.Verified(
        access_key="AKIAIOSFODNN7EXAMPLE",
        presigned=False,
        payload_hash="STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
        signature="4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
        signing_key=hmacs.signing_key("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "20130524/us-east-1/s3/aws4_request"),
        scope="20130524/us-east-1/s3/aws4_request",
        timestamp="20130524T000000Z",
    )
    chunks = [b"a" * 65536, b"a" * 1024, b""]
    expected = [
        "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
        "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
        "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
    ]
    previous = verified.signature
    for chunk, signature in zip(chunks, expected, strict=True):
        previous = signing.chunk_signature(verified, previous, sha256(chunk).hexdigest())
        assert previous == signature


def test_a_trailer_is_signed_otherwise_than_a_chunk() -> None:
    verified = verify(signed())
    trailer = signing.trailer_signature(verified, "0" * 64, EMPTY)
    assert len(trailer) == 64
    assert trailer != signing.chunk_signature(verified, "0" * 64, EMPTY)
