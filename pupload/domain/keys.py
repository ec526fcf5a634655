"""
The keys under which a run's objects are kept.

What comes from users is made safe first, so that no name of an edge, a flow or a parameter can climb out of its place.
"""

import hashlib
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

from pupload.domain import template
from pupload.domain.plan import EdgePlan

_SAFE = re.compile(r"[A-Za-z0-9_~-][A-Za-z0-9._~-]*")
"""Nothing in it is written otherwise in a key."""

NO_NODE = "upload"
"""What `NODE_ID` is where no node makes the object."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """Writes the keys of one run."""

    run_id: str
    flow_name: str
    now: datetime
    tokens: Callable[[], str]
    """Text that nobody can guess, new with every call."""
    params: Mapping[str, str]

    def default(self, edge: str) -> str:
        """Where the object of an edge is kept when nobody says otherwise."""
        return f"{self.run_id}/{safe(edge)}"

    def upload(self, edge: str) -> str:
        """Where an upload is put before it is sealed."""
        return f"uploads/{self.run_id}/{safe(edge)}/{self.tokens()}"

    def expanded(self, key: str, *, edge: str, node: str | None) -> str:
        """The template of a well with its values; a parameter that was not given is empty."""
        values = {
            "RUN_ID": self.run_id,
            "FLOW_NAME": safe(self.flow_name),
            "EDGE": safe(edge),
            "NODE_ID": safe(node or NO_NODE),
            "UUID": _uuid_text(self.tokens()) if "UUID" in template.variables(key) else "",
            **template.moment(self.now),
            **{template.PARAM + name: safe(value) for name, value in self.params.items()},
        }
        return template.substitute(key, lambda name: values.get(name, ""))


def is_chosen(run_id: str, edge: EdgePlan) -> bool:
    """Whether the edge's key is one of `Keys.default`: no well named another, so the choice is ours."""
    if edge.place is None:
        return edge.key == f"{run_id}/{safe(edge.name)}"
    whole = edge.name.removesuffix(f".{edge.place}")
    return edge.key == f"{run_id}/{safe(whole)}/{edge.place:06}"


def of_attempt(run_id: str, edge: EdgePlan, number: int) -> str:
    """
    Where attempt `number` of the node that makes the edge's object keeps it; for an upload, the run's owner of that
    fencing token.

    No two write to one object, so that who is late changes nothing that counts; but for a well's own key, which is
    one for all. `@` is no part of a key that was made safe.
    """
    return edge.key if number == 1 or not is_chosen(run_id, edge) else f"{edge.key}@{number}"


def of_reuse(run_id: str, edge: EdgePlan, number: int, fence: int) -> str:
    """
    Where the object is copied to that spares attempt `number`, by the run's owner of that fencing token.

    Not where the attempt would store it: what is there the attempt takes for its own, should it run after all.
    """
    return f"{edge.key}@{number}r{fence}" if is_chosen(run_id, edge) else edge.key


def of_notes(run_id: str, edge: str = "") -> str:
    """
    Where is kept what was told of the object on the edge; without one, how all these keys of the run begin.

    No edge's own key is like it, for `@` is no part of one that was made safe.
    """
    return f"{run_id}/@notes/{safe(edge)}" if edge else f"{run_id}/@notes/"


def safe(text: str) -> str:
    """The text as one segment of a key: letters, digits, `.`, `_`, `-` and `~` stay, all else is percent-encoded."""
    if _SAFE.fullmatch(text):
        return text
    written = quote(text, safe="")
    return written if written.strip(".") else written.replace(".", "%2E")


def tells_edges_apart(key: str) -> bool:
    """Whether a key template gives two edges of a run two keys; only then can `DefaultDataWell` use it."""
    return not {"EDGE", "UUID"}.isdisjoint(template.variables(key))


def _uuid_text(token: str) -> str:
    """A UUID made of the token's chance."""
    return str(uuid.UUID(bytes=hashlib.sha256(token.encode()).digest()[:16], version=4))
