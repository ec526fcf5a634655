"""Masking: no form of a secret in which a program prints it by accident is left in a line."""

import base64
import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pupload.domain.masking import MASK, Masker, without_signatures

SECRET = 'p/ss "wörd"\\+&='
KEY = "-----BEGIN KEY-----\nMIIEvQIBADANBgkq\nab\n  hkiG9w0BAQEFAASC  \n-----END KEY-----\n"
URL = "https://s3.example.org/b/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKID%2F2026&X-Amz-Expires=60"


FORMS = {
    "as it is": SECRET,
    "json": json.dumps(SECRET)[1:-1],
    "json, not ascii": json.dumps(SECRET, ensure_ascii=False)[1:-1],
    "json with escaped slashes": json.dumps(SECRET)[1:-1].replace("/", "\\/"),
    "python": repr(SECRET)[1:-1],
    "url": quote(SECRET, safe=""),
    "url in small letters": "p%2fss%20%22w%c3%b6rd%22%5c%2b%26%3d",
    "path": quote(SECRET),
    "form": quote_plus(SECRET),
    "base64": base64.b64encode(SECRET.encode()).decode(),
    "base64 for urls": base64.urlsafe_b64encode(SECRET.encode()).decode(),
    "base64 without padding": base64.b64encode(SECRET.encode()).decode().rstrip("="),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_form_of_a_secret_is_masked(form: str) -> None:
    masked = Masker([SECRET])(f"it is {FORMS[form]}, you know")
    assert masked.rstrip("=,") != f"it is {FORMS[form]}, you know"
    assert masked in (f"it is {MASK}, you know", f"it is {MASK}=, you know", f"it is {MASK}==, you know")


@pytest.mark.parametrize("user", ["", "u", "us", "use", "user"])
def test_a_secret_in_the_midst_of_something_in_base64_is_masked(user: str) -> None:
    secret = "correct horse battery"
    told = base64.b64encode(f"{user}:{secret}".encode()).decode()
    masked = Masker([secret])(f"Authorization: Basic {told}")
    assert MASK in masked
    left = masked.removeprefix("Authorization: Basic ").replace(MASK, "")
    assert len(left) <= len(base64.b64encode(user.encode())) + 6


def test_each_line_of_a_secret_is_masked_and_lines_too_short_to_tell_apart_are_not() -> None:
    mask = Masker([KEY])
    assert [mask(line) for line in ("x-----BEGIN KEY-----", "MIIEvQIBADANBgkq", "ab", "hkiG9w0BAQEFAASC")] == [
        f"x{MASK}",
        MASK,
        "ab",
        MASK,
    ]


def test_of_a_secret_within_another_nothing_of_the_longer_is_left() -> None:
    assert Masker(["word", "password!"])("my password! is a word") == f"my {MASK} is a {MASK}"


def test_without_secrets_a_line_stays_as_it_is() -> None:
    assert Masker()("nothing *** (secret) [here]") == "nothing *** (secret) [here]"


@given(st.text('abcdé\n"/ ', min_size=4), st.text("0123456789 "), st.text("0123456789 "))
def test_no_secret_is_left_in_any_line(secret: str, before: str, after: str) -> None:
    masked = Masker([secret])(before + secret + after)
    lines = [line.strip() for line in (secret, *secret.splitlines())]
    assert not [line for line in lines if len(line) >= 4 and line in masked]


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        (f"GET {URL}&X-Amz-Signature=0a1b2c HTTP/1.1", "X-Amz-Signature=*** HTTP/1.1"),
        (f'{{"url": "{URL}\\u0026X-Amz-Signature=0a1b2c"}}', 'X-Amz-Signature=***"}'),
        (quote(f"{URL}&X-Amz-Signature=0a1b2c", safe=""), "X-Amz-Signature%3D***"),
        ("x-amz-security-token=0a1b2c&b=1", "x-amz-security-token=***&b=1"),
        ("POST /api/v1/upload/run_1/e/receive?token=0a1b2c HTTP/1.1", "/receive?token=*** HTTP/1.1"),
    ],
)
def test_signatures_in_urls_are_masked_whoever_prints_them(text: str, masked: str) -> None:
    assert masked in without_signatures(text)
    assert "0a1b2c" not in Masker()(text)
    assert "AKID" not in Masker()(text)


def test_other_urls_stay_as_they_are() -> None:
    assert (
        without_signatures("https://example.org/a?token=1&Signature=2") == "https://example.org/a?token=1&Signature=2"
    )
