"""Rules about callbacks, each where it should be found, and only there."""

from typing import Any

import pytest

from pupload.domain import reach
from pupload.domain.flow import Callback
from pupload.domain.validation import Limits, validate
from tests.builders import a_flow, a_node, definitions_for

SECRETS = ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",)
AT = "/Flow/Callbacks/0"

PUBLIC: dict[str, Any] = {"callback_http": False, "callback_reach": reach.Policy(private=False)}
"""A server that strangers reach."""


def judge(*callbacks: Callback, **limits: Any) -> list[tuple[str, str]]:
    """Codes and places of what is wrong."""
    flow = a_flow(a_node(), callbacks=callbacks)
    found = validate(flow, definitions_for(flow), limits=Limits(**limits))
    assert not any(secret in one.description for one in found for secret in SECRETS)
    return [(one.code, one.path) for one in found]


def a_callback(url: str = "https://hooks.example.org/in?key=1", **fields: Any) -> Callback:
    return Callback(url=url, **{"secrets": SECRETS, **fields})


@pytest.mark.parametrize("on", [(), ("complete",), ("Complete", "ERROR", "stopped")])
def test_a_good_one_passes(on: tuple[str, ...]) -> None:
    assert judge(a_callback(on=on), **PUBLIC) == []


@pytest.mark.parametrize(
    "url",
    [
        "",
        "hooks.example.org",
        "file:///etc/passwd",
        "gopher://hooks.example.org",
        "ftp://hooks.example.org",
        "https://",
        "https:///in",
        "https://user:password@hooks.example.org",
        "https://token@hooks.example.org",
        "https://hooks.example.org:99999/",
        "https://hooks.example.org:x/",
        "https://[::1/",
        "https://hooks.example.org/a b",
        "https://hooks.example.org\\@10.0.0.1/",
        "https://hooks.example.org/\r\nX: y",
        "https://höoks.example.org/",
        "https://hooks.example.org/${secret.KEY}",
        "https://hooks.example.org/" + "x" * 2048,
    ],
)
def test_a_url_that_leads_nowhere_is_refused(url: str) -> None:
    assert judge(a_callback(url)) == [("CALL_001", f"{AT}/URL")]


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "127.1", "0.0.0.0", "2130706433", "0x7f000001", "0177.0.0.1", "localhost", "a.localhost."),
        *("[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]"),
        *("10.0.0.1", "192.168.1.1", "172.16.0.1", "100.64.0.1", "[fd00::1]", "[fe80::1]"),
        *("169.254.169.254", "[::ffff:169.254.169.254]", "[fd00:ec2::254]"),
    ],
)
def test_an_address_inside_is_refused_as_it_is_written(host: str) -> None:
    assert judge(a_callback(f"https://{host}:8443/in"), **PUBLIC) == [("CALL_001", f"{AT}/URL")]


@pytest.mark.parametrize("host", ["169.254.169.254", "[::ffff:169.254.169.254]", "0.0.0.0"])
def test_metadata_is_refused_even_where_the_network_is_not(host: str) -> None:
    assert judge(a_callback(f"http://{host}/"), callback_reach=reach.Policy(private=True)) == [
        ("CALL_001", f"{AT}/URL")
    ]


def test_plain_http_is_the_operators_to_allow() -> None:
    assert judge(a_callback("http://hooks.example.org/"), **PUBLIC) == [("CALL_001", f"{AT}/URL")]
    assert judge(a_callback("http://127.0.0.1:8000/")) == []


def test_a_moment_that_never_comes_is_told() -> None:
    assert judge(a_callback(on=("complete", "done"))) == [("CALL_002", f"{AT}/On/1")]


def test_too_many_are_told() -> None:
    assert judge(*[a_callback()] * 10) == []
    assert judge(*[a_callback()] * 11) == [("CALL_003", "/Flow/Callbacks")]


@pytest.mark.parametrize("secret", ["", "short", "whsec_%%%%", "whsec_c2hvcnQ=", "x" * 513, "${other.A}"])
def test_a_secret_that_cannot_sign_is_told(secret: str) -> None:
    assert judge(a_callback(secrets=(SECRETS[0], secret))) == [("CALL_004", f"{AT}/Secrets/1")]


def test_two_secrets_are_in_use_at_most() -> None:
    assert judge(a_callback(secrets=SECRETS * 2)) == []
    assert judge(a_callback(secrets=SECRETS * 3)) == [("CALL_004", f"{AT}/Secrets")]


def test_one_that_is_not_signed_is_worth_a_word() -> None:
    assert judge(a_callback(secrets=())) == [("CALL_005", AT)]


def test_a_secret_may_be_named() -> None:
    assert judge(a_callback(secrets=("${secret.}",))) == [("SECRET_002", f"{AT}/Secrets/0")]
    assert judge(a_callback(secrets=("${secret.HOOK}",))) == []
