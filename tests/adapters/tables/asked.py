"""Files made of bytes, and what is told of them: in this process, as quick as it gets."""

import os
import tempfile
from pathlib import Path
from typing import Any

from pupload import ports
from pupload.adapters.tables import reading
from pupload.domain.tables import Kind


def answer(
    data: bytes, kind: Kind, *, task: str = "preview", rows: int = 50, head: int | None = None, tail: int | None = None
) -> dict[str, Any]:
    """What is told of the bytes, of which `head` are at hand, and those from `tail` on."""
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        size = len(data)
        order = reading.Order(
            task=task,
            kind=kind,
            size=size,
            limit=size if head is None else head,
            tail=size if tail is None else tail,
            rows=rows,
            seconds=60.0,
        )
        return reading.answer(os.dup(file.fileno()), order)


def cells(data: bytes, kind: Kind, **how: Any) -> tuple[list[str], list[list[Any]]]:
    """Columns and rows of the preview."""
    told = answer(data, kind, **how)
    return told["columns"], [[row[name] for name in told["columns"]] for row in told["rows"]]


def a_file(folder: Path, data: bytes, kind: Kind) -> ports.TableFile:
    """The bytes, in a file."""
    path = folder / "file"
    path.write_bytes(data)
    path.chmod(0o600)
    return ports.TableFile(path=path, kind=kind, size=len(data), head=len(data), tail=len(data))
