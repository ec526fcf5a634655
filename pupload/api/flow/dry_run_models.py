"""The names that go over the wire about dry runs; see `pupload.api.flow.models`."""

from typing import Any

from pydantic import Field

from pupload.api.flow.models import Answer, AnyText, Request, TestFlow


class DryInput(Request):
    """
    What is to lie on an edge that a real run would wait for: a text, bytes in Base64, or what lies on an edge of an
    earlier run. `ContentType` says what it is where its bytes do not tell, such as `text/csv`.
    """

    Text: str | None = None
    Base64: str | None = None
    ContentType: str = ""
    Run: str | None = None
    Edge: str = ""


class DryRunFlow(TestFlow):
    """A flow to try out, and what it is given, by edge. `Seconds` is how long it may take, as long as it may at all."""

    Inputs: dict[str, DryInput] = Field(default_factory=dict)
    Seconds: float | None = Field(default=None, gt=0)


class DryRunSaved(Request):
    """Which version of a saved flow to try out, else the latest, with what."""

    Params: dict[str, AnyText] = Field(default_factory=dict)
    Version: int | None = Field(default=None, ge=1)
    Inputs: dict[str, DryInput] = Field(default_factory=dict)
    Seconds: float | None = Field(default=None, gt=0)


class DryRunNode(Answer, frozen=True, kw_only=True):
    """
    What became of a node: `success`, `failed` or `skipped`, and why.

    `Columns` and `Rows` are of its first output that is a table or text: ten rows at most, values by column.
    """

    Node: str
    Status: str
    Error: str
    Columns: list[str]
    Rows: list[dict[str, Any]]


class DryRun(Answer, frozen=True, kw_only=True):
    """What became of a flow that was tried out: its nodes, in the flow's order. Nothing of it is left."""

    Nodes: list[DryRunNode]
