"""
Threads: what an account said to a flow, and what came back.

An account has one with each flow. It said something when it started a run with it; what came back is what that run came
to, and nothing came back of a run that failed.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

MOST_TEXT_BYTES = 1024 * 1024
"""Of a message; of what is longer the beginning is kept."""


class Role(StrEnum):
    """Who said something."""

    USER = "user"
    ASSISTANT = "assistant"


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """Something that was said, once."""

    id: int = 0
    """Given by the store; grows."""
    account: int | None = None
    """None: nobody's."""
    flow: str
    """What the thread is with: the id of a saved flow, or of a drawing."""
    run: str
    """That it started, or that came to it."""
    role: Role
    text: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Thread:
    """A thread, as lists show it."""

    account: int | None
    flow: str
    messages: int
    turns: int
    """How often the account said something."""
    size: int
    """Bytes of all that was said."""
    first_at: datetime
    last_at: datetime


def cut(text: str) -> str:
    """The text, or so much of its beginning as is kept."""
    data = text.encode(errors="replace")
    return text if len(data) <= MOST_TEXT_BYTES else data[:MOST_TEXT_BYTES].decode(errors="ignore")
