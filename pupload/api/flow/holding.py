"""What files hold, and what ports take of it at most, in the words of the wire."""

from dataclasses import fields
from typing import Any

from pupload.api.flow import models
from pupload.domain import facts, nodedef

_LIMITS = {
    "MaxBytes": "max_bytes",
    "MaxPixels": "max_pixels",
    "MaxDuration": "max_duration",
    "MaxRatio": "max_ratio",
    "MaxPages": "max_pages",
}
"""Fields of a port, by their words."""


def read_limits(asked: models.Port) -> dict[str, Any]:
    """Fields of `nodedef.Port`."""
    return {field: getattr(asked, word) for word, field in _LIMITS.items()}


def write_limits(this: nodedef.Port) -> dict[str, Any]:
    """Those that are set."""
    return {word: value for word, field in _LIMITS.items() if (value := getattr(this, field)) is not None}


def write_facts(this: facts.Facts) -> dict[str, Any]:
    """Those that are known."""
    return {
        "".join(part.capitalize() for part in each.name.split("_")): value
        for each in fields(this)
        if (value := getattr(this, each.name)) is not None
    }
