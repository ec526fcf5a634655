"""Signatures of webhooks."""

from base64 import b64encode
from datetime import UTC, datetime, timedelta

import pytest

from pupload.domain import signing

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
MESSAGE = "msg_p5jXN8AQM9LWM0D4loKWxJek"
BODY = b'{"test": 2432232314}'
SENT = 1614265330
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
"""The example that the libraries of the specification are tested with."""

NOW = datetime.fromtimestamp(SENT, UTC)
OTHER = signing.key_of("another secret, long enough")


def judged(**changed: object) -> str | None:
    """What is said of the example, with something changed."""
    given = {"message_id": MESSAGE, "timestamp": str(SENT), "signatures": SIGNATURE, "body": BODY, "now": NOW}
    keys = changed.pop("keys", [signing.key_of(SECRET)])
    return signing.objection(keys, **{**given, **changed})  # type: ignore[arg-type]


def test_the_example_is_signed_as_everybody_signs_it() -> None:
    key = signing.key_of(SECRET)
    assert signing.signature(key, message_id=MESSAGE, timestamp=SENT, body=BODY) == SIGNATURE


def test_the_example_is_believed() -> None:
    assert judged() is None


def test_one_of_two_secrets_is_enough_and_so_is_one_of_two_signatures() -> None:
    assert judged(keys=[OTHER, signing.key_of(SECRET)]) is None
    assert judged(signatures=f"v1,bm9uZQ== {SIGNATURE}") is None


@pytest.mark.parametrize(
    "changed",
    [
        {"body": BODY + b" "},
        {"message_id": "msg_other"},
        {"timestamp": str(SENT + 1)},
        {"keys": [OTHER]},
        {"keys": []},
        {"signatures": SIGNATURE.replace("v1,", "v1a,")},
        {"signatures": SIGNATURE.replace("v1,", "")},
        {"signatures": "v1,ä"},
    ],
)
def test_what_differs_in_anything_is_not(changed: dict[str, object]) -> None:
    assert judged(**changed) == "the signature is not that of this body"


@pytest.mark.parametrize("missing", ["message_id", "timestamp", "signatures"])
def test_what_is_not_signed_is_not(missing: str) -> None:
    assert judged(**{missing: ""}) == "webhook-id, webhook-timestamp and webhook-signature are needed"


@pytest.mark.parametrize("timestamp", ["-5", "1e9", "٣", "1" * 30, "soon"])
def test_a_time_that_is_none_is_not_read(timestamp: str) -> None:
    assert judged(timestamp=timestamp) is not None


@pytest.mark.parametrize("seconds", [-301, 301])
def test_what_was_sent_long_ago_or_will_be_is_not_believed(seconds: int) -> None:
    assert "300 s" in str(judged(now=NOW + timedelta(seconds=seconds)))


@pytest.mark.parametrize("seconds", [-300, 300])
def test_five_minutes_are_not_long(seconds: int) -> None:
    assert judged(now=NOW + timedelta(seconds=seconds)) is None


def test_a_secret_is_base64_behind_its_mark_or_a_text() -> None:
    assert signing.key_of("whsec_" + b64encode(bytes(range(24))).decode()) == bytes(range(24))
    assert signing.key_of("plain words, 16 or more") == b"plain words, 16 or more"


@pytest.mark.parametrize("secret", ["", "short", "whsec_", "whsec_%%%%", "whsec_c2hvcnQ=", "x" * 513])
def test_a_secret_that_is_none_is_refused_and_not_quoted(secret: str) -> None:
    with pytest.raises(ValueError, match=r"base64|bytes") as refused:
        signing.key_of(secret)
    assert not secret or secret not in str(refused.value)
