"""
What is asked of a provider of language models to find out whether a credential opens it, and what it answers.

One GET of its list of models is all: it costs nothing, and needs the key. The two forms are OpenAI's, which most others
speak as well (https://platform.openai.com/docs/api-reference/models/list), and Anthropic's
(https://docs.anthropic.com/en/api/models-list).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pupload.domain.credential import Credential

ANTHROPIC = "anthropic"
ANTHROPIC_VERSION = "2023-06-01"

BASE_URLS: Mapping[str, str] = {ANTHROPIC: "https://api.anthropic.com/v1"}
OPENAI = "https://api.openai.com/v1"
"""Of every provider that says no `base_url`, but those of `BASE_URLS`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model that a provider has."""

    id: str
    name: str


def request(this: Credential) -> tuple[str, dict[str, str]]:
    """The URL to get, and the headers to send. Raises `ValueError` with why there are none."""
    detail = this.detail
    provider = detail["provider_type"]
    base = (detail["base_url"].strip() or BASE_URLS.get(provider, OPENAI)).rstrip("/")
    if not base.startswith(("https://", "http://")) or not base.isprintable() or " " in base:
        raise ValueError("its base_url is no http or https URL")
    if provider == ANTHROPIC:
        headers = {"x-api-key": detail["api_key"], "anthropic-version": ANTHROPIC_VERSION}
    else:
        headers = {"Authorization": f"Bearer {detail['api_key']}"}
        if detail["organization_id"]:
            headers["OpenAI-Organization"] = detail["organization_id"]
    headers |= {name: str(value) for name, value in detail["custom_headers"].items()}
    if not all(_fits(name) and _fits(value) for name, value in headers.items()):
        raise ValueError("its key or a header holds what no header may")
    return f"{base}/models", {"Accept": "application/json", **headers}


def models(body: bytes) -> Sequence[Model] | None:
    """The models in an answer, in its order; None where it is no list of models."""
    try:
        listed = json.loads(body)["data"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    if not isinstance(listed, list):
        return None
    return [_model(each) for each in listed if isinstance(each, dict) and isinstance(each.get("id"), str)]


def _model(each: Mapping[str, Any]) -> Model:
    names = (each.get(key) for key in ("display_name", "name"))
    return Model(id=each["id"], name=next((name for name in names if isinstance(name, str) and name), each["id"]))


def _fits(text: str) -> bool:
    """Whether it may stand in a header."""
    return text.isascii() and (text.isprintable() or not text)
