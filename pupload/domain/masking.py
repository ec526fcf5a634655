"""
What may not be read in a log or an error, replaced by `***`.

Of each secret all forms are replaced in which a program prints a value without meaning to hide it: as it is, each of
its lines (a log has no others), escaped for JSON or a URL, in Base64, also in the midst of other bytes. Signatures in
presigned URLs go as well, whoever's they are. This is against accidents: a node that wants to tell what it was given
can.
"""

import base64
import json
import re
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus

MASK = "***"

_LEAST_LINE = 4
"""Characters of a secret's line: what is shorter stands in many a word."""

_LEAST_BASE64 = 6
"""Likewise of a piece of Base64."""

_SIGNED = re.compile(r"(?i)(X-Amz-(?:Signature|Credential|Security-Token)(?:=|%3D|\\u003d))(?:[^&\s\"'<>\\%]|%(?!26))+")
_HOOKED = re.compile(r"(/receive\?token=)[A-Za-z0-9]+")


def without_signatures(text: str) -> str:
    """The text, in which presigned URLs are no leave for anything any more, nor those of webhooks."""
    if "-Amz-" in text or "-amz-" in text or "-AMZ-" in text:
        text = _SIGNED.sub(rf"\1{MASK}", text)
    return _HOOKED.sub(rf"\1{MASK}", text) if "/receive?token=" in text else text


class Masker:
    """Replaces secrets in texts."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        forms = {form for secret in secrets for form in _forms(secret)}
        # The longest first: where one form holds another, nothing of the longer one is left.
        ordered = sorted(forms, key=lambda form: (-len(form), form))
        self._any = re.compile("|".join(map(re.escape, ordered))) if ordered else None

    def __call__(self, text: str) -> str:
        """The text without them, and without signatures of URLs."""
        if self._any is not None:
            text = self._any.sub(MASK, text)
        return without_signatures(text)


def _forms(secret: str) -> Iterator[str]:
    """All that is to be replaced for one secret."""
    parts = {secret, secret.strip(), *(line.strip() for line in secret.splitlines())}
    for part in parts:
        if len(part) >= _LEAST_LINE:
            yield part
            yield from _escaped(part)
            yield from _in_base64(part.encode())


def _escaped(text: str) -> Iterator[str]:
    for ascii_only in (True, False):
        in_json = json.dumps(text, ensure_ascii=ascii_only)[1:-1]
        yield in_json
        yield in_json.replace("/", "\\/")
    yield repr(text)[1:-1]
    for in_url in (quote(text, safe=""), quote(text), quote_plus(text)):
        yield in_url
        yield re.sub("%[0-9A-F]{2}", lambda found: found[0].lower(), in_url)


def _in_base64(data: bytes) -> Iterator[str]:
    """By where the data may begin in three bytes of something longer: the characters that depend on nothing else."""
    for before in range(3):
        text = base64.b64encode(bytes(before) + data).decode()
        first = -(-before * 8 // 6)
        piece = text[first : (before + len(data)) * 8 // 6]
        if len(piece) >= _LEAST_BASE64:
            yield piece
            yield piece.replace("+", "-").replace("/", "_")
    whole = base64.b64encode(data).decode()
    for text in (whole, whole.rstrip("=")):
        yield text
        yield text.replace("+", "-").replace("/", "_")
