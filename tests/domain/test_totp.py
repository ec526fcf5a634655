"""One-time passwords: RFC 6238's own vectors, the window, and no code twice."""

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pupload.domain import totp

SECRET = b"12345678901234567890"
"""Of RFC 6238, appendix B."""

NOW = datetime(2026, 3, 1, 12, 0, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (59, "94287082"),
        (1111111109, "07081804"),
        (1111111111, "14050471"),
        (1234567890, "89005924"),
        (2000000000, "69279037"),
        (20000000000, "65353130"),
    ],
)
def test_the_vectors_of_rfc_6238(seconds: int, shown: str) -> None:
    at = datetime.fromtimestamp(seconds, UTC)
    assert totp.code(SECRET, totp.step_at(at), digits=8) == shown
    assert totp.code(SECRET, totp.step_at(at)) == shown[-6:]
    assert totp.matching_step(SECRET, shown[-6:], at) == seconds // 30


@pytest.mark.parametrize(
    ("counter", "shown"),
    [*enumerate(["755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489"])],
)
def test_the_vectors_of_rfc_4226(counter: int, shown: str) -> None:
    assert totp.code(SECRET, counter) == shown


@pytest.mark.parametrize(("steps", "counts"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
def test_a_code_of_the_step_before_or_after_counts(steps: int, counts: bool) -> None:
    shown = totp.code(SECRET, totp.step_at(NOW + timedelta(seconds=30 * steps)))
    assert (totp.matching_step(SECRET, shown, NOW) is not None) is counts


def test_no_code_counts_twice() -> None:
    here = totp.step_at(NOW)
    assert totp.matching_step(SECRET, totp.code(SECRET, here), NOW, after=here) is None
    assert totp.matching_step(SECRET, totp.code(SECRET, here - 1), NOW, after=here) is None
    assert totp.matching_step(SECRET, totp.code(SECRET, here + 1), NOW, after=here) == here + 1


@given(st.text(max_size=12))
def test_other_texts_are_no_codes(text: str) -> None:
    shown = {totp.code(SECRET, totp.step_at(NOW) + each) for each in (-1, 0, 1)}
    assert (totp.matching_step(SECRET, text, NOW) is not None) is (text in shown)


@given(st.binary(min_size=1, max_size=64))
def test_a_secret_is_read_as_it_was_written(secret: bytes) -> None:
    assert totp.read(totp.written(secret)) == secret
    assert totp.read(totp.written(secret).lower()) == secret


def test_what_an_authenticator_reads() -> None:
    uri = urlsplit(totp.provisioning_uri(SECRET, issuer="pup load", account="ann@example.org"))
    assert (uri.scheme, uri.netloc, unquote(uri.path)) == ("otpauth", "totp", "/pup load:ann@example.org")
    assert parse_qs(uri.query) == {"secret": ["GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"], "issuer": ["pup load"]}
