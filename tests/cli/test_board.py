"""What is shown while a run goes on."""

from typing import Any

import pytest

from pupload.cli.board import Board
from pupload.cli.output import Output
from pupload.client import Event


def see(board: Board, kind: str, node: str, **facts: Any) -> None:
    board.see(Event(kind=kind, data={"Data": {"Node": node, **facts}}))


def test_items_are_counted_and_those_that_fail_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    board = Board(Output(), ["split", "shrink"])
    see(board, "node.expanded", "shrink", Items=1000, Reused=0)
    for place in range(1000):
        see(board, "node.ready", f"shrink.{place}", Attempt=1)
        see(board, "node.admitted", f"shrink.{place}", Attempt=1)
        failed = place == 499
        see(
            board, "node.failed" if failed else "node.succeeded", f"shrink.{place}", Reason="it broke" if failed else ""
        )
    see(board, "node.gathered", "shrink", Items=1000)
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "shrink: RUNNING: 0 of 1000 items"
    assert "shrink: RUNNING: 100 of 1000 items" in told
    assert "shrink.499: ERROR: it broke" in told
    assert told[-1] == "shrink: COMPLETE: 1000 of 1000 items, 1 failed"
    assert len(told) < 15
