"""The receiver that docs/reference/callbacks.md gives to copy believes what it should, and nothing else."""

import re
from typing import Any

import pytest

from pupload.domain import signing
from tests.structure import tree

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BODY = b'{"test": 2432232314}'
SENT = 1614265330
HEADERS = {
    "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "webhook-timestamp": str(SENT),
    "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
}
"""The example that the libraries of the specification are tested with."""


@pytest.fixture(scope="module")
def verify() -> Any:
    """The function on the page."""
    page = (tree.ROOT / "docs" / "reference" / "callbacks.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    made: dict[str, Any] = {}
    exec(code, made)
    return made["verify"]


def test_it_believes_the_example(verify: Any) -> None:
    assert verify(["another secret", SECRET], HEADERS, BODY, now=SENT + 300) == HEADERS["webhook-id"]


def test_it_believes_what_we_sign(verify: Any) -> None:
    secret = "plain words, 16 bytes or more"
    made = signing.signature(signing.key_of(secret), message_id="msg_a", timestamp=SENT, body=b"\xff")
    headers = {"webhook-id": "msg_a", "webhook-timestamp": str(SENT), "webhook-signature": f"v1,bm8= {made}"}
    assert verify([secret], headers, b"\xff", now=SENT) == "msg_a"


@pytest.mark.parametrize(
    ("changed", "body", "late"),
    [
        ({"webhook-id": "msg_other"}, BODY, 0),
        ({"webhook-timestamp": str(SENT + 1)}, BODY, 0),
        ({"webhook-timestamp": "soon"}, BODY, 0),
        ({"webhook-signature": ""}, BODY, 0),
        ({}, BODY + b" ", 0),
        ({}, BODY, 301),
        ({}, BODY, -301),
    ],
)
def test_it_believes_nothing_else(verify: Any, changed: dict[str, str], body: bytes, late: int) -> None:
    with pytest.raises(ValueError, match=r"signed|old"):
        verify([SECRET], HEADERS | changed, body, now=SENT + late)
    with pytest.raises(ValueError, match="not signed"):
        verify(["another secret"], HEADERS, BODY, now=SENT)
