"""What the structure tests look at: the repository's files and their syntax trees."""

import ast
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "pupload"


@cache
def tracked() -> tuple[Path, ...]:
    """Every file that belongs to the repository and is there: tracked, or new and not ignored."""
    if not (ROOT / ".git").exists():
        return tuple(path for path in sorted(ROOT.rglob("*")) if path.is_file() and ".venv" not in path.parts)
    listed = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    return tuple(path for name in sorted(set(listed.stdout.split("\0"))) if name and (path := ROOT / name).is_file())


@cache
def modules() -> tuple[Path, ...]:
    """The modules of the package."""
    return tuple(path for path in tracked() if path.suffix == ".py" and path.is_relative_to(PACKAGE))


@cache
def pages() -> tuple[Path, ...]:
    """The Markdown files, but for those that are samples of node types."""
    return tuple(path for path in tracked() if path.suffix == ".md" and not _is_a_sample(path))


def _is_a_sample(path: Path) -> bool:
    return path.is_relative_to(ROOT / "nodes") and "sample" in path.parts and path.name != "LICENCE.md"


def name(path: Path) -> str:
    """The path as people say it."""
    return str(path.relative_to(ROOT))


@cache
def parsed(path: Path) -> ast.Module:
    """The module's syntax tree."""
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def text_of(path: Path) -> str | None:
    """The file's text; None for pictures and other files that are none."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return None


def imports(path: Path) -> Iterator[str]:
    """The top-level packages that the module imports, wherever in it."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.split(".")[0]
