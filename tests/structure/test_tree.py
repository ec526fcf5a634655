"""The tree is as CONTRIBUTING.md draws it, and what stands in it keeps to the rules that no linter knows."""

import ast
import re
import sys
import tokenize
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from tests.structure import tree

TOP = {
    *(".ci", ".gitignore", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "README.md", "deploy", "docs", "nodes"),
    *("pupload", "pyproject.toml", "scripts", "tests"),
}

MOST_LINES = 400
"""
Of code in a module. Docstrings, comments and blank lines are not counted, for a word more of explanation is no fault;
nor are tables of values.
"""

SCREEN = 60
"""Lines of a function."""

HOMES = {
    "PIL": ("adapters/content",),
    "aiohttp": ("api", "client.py", "adapters/docker", "adapters/http", "adapters/s3", "refusals.py", "wiring.py"),
    "alembic": ("adapters/db",),
    "asyncpg": ("adapters/db",),
    "awscrt": ("adapters/s3/embedded",),
    "boto3": ("adapters/s3",),
    "botocore": ("adapters/s3",),
    "argon2": ("adapters/passwords",),
    "cronsim": ("adapters/cron",),
    "cryptography": ("adapters/sealing",),
    "docker": ("adapters/docker",),
    "httptools": ("adapters/http",),
    "minio": ("adapters/s3",),
    "multidict": ("api", "client.py", "adapters/s3"),
    "msgspec": ("api", "adapters/db", "adapters/docker"),
    "prometheus_client": ("api/metrics.py",),
    "pyarrow": ("adapters/tables",),
    "pydantic": ("api", "settings.py", "cli"),
    "pydantic_core": ("api",),
    "pydantic_settings": ("settings.py",),
    "pylibmagic": ("adapters/magic",),
    "pymediainfo": ("adapters/content",),
    "pypdf": ("adapters/content",),
    "rich": ("cli",),
    "sqlalchemy": ("adapters/db",),
    "strawberry": ("api/studio",),
    "graphql": ("api/studio",),
    "tenacity": ("engine", "adapters"),
    "throttled": ("api/limiting.py",),
    "typer": ("cli",),
    "types_boto3_s3": ("adapters/s3",),
    "urllib3": ("adapters/docker", "adapters/s3"),
    "requests": ("adapters/docker",),
    "uvloop": ("cli", "wiring.py", "adapters/s3/embedded"),
    "yaml": ("api/documents.py",),
    "yarl": ("api", "client.py", "adapters/s3"),
}
"""Where each third-party library may be imported."""


def test_the_root_holds_nothing_that_has_no_room_there() -> None:
    assert {path.relative_to(tree.ROOT).parts[0] for path in tree.tracked()} <= TOP


def test_a_module_opens_with_its_idea() -> None:
    silent = [path for path in tree.modules() if path.read_bytes().strip() and not ast.get_docstring(tree.parsed(path))]
    assert not names(silent)


def names(paths: Iterable[Path]) -> list[str]:
    """The paths as people say them."""
    return [tree.name(path) for path in paths]


# ── Docstrings ───────────────────────────────────────────────────────────────────────────────────────────────────

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def test_whatever_is_public_says_what_it_is() -> None:
    promised = _promised()
    silent = [
        f"{tree.name(path)}: {name}"
        for path in tree.modules()
        for name, each in _public(tree.parsed(path).body)
        if not ast.get_docstring(each) and not _is_told_elsewhere(path, name, each, promised)
    ]
    assert not silent


def _public(body: list[ast.stmt], *, within: str = "") -> Iterator[tuple[str, Definition]]:
    """Public classes and functions of a module, and the public methods of its public classes."""
    for each in body:
        if isinstance(each, Definition) and not each.name.startswith("_"):
            yield within + each.name, each
            if isinstance(each, ast.ClassDef):
                yield from _public(each.body, within=f"{each.name}.")


def _promised() -> frozenset[str]:
    """The methods of all protocols: what they promise is said there, once."""
    classes = (
        each for path in tree.modules() for each in ast.walk(tree.parsed(path)) if isinstance(each, ast.ClassDef)
    )
    return frozenset(
        method.name
        for kind in classes
        if any("Protocol" in ast.unparse(base) for base in kind.bases)
        for method in kind.body
        if isinstance(method, ast.FunctionDef | ast.AsyncFunctionDef)
    )


def _is_told_elsewhere(path: Path, name: str, each: Definition, promised: frozenset[str]) -> bool:
    if isinstance(each, ast.ClassDef):
        return False
    if "." in name:
        return each.name in promised or any(ast.unparse(one).endswith(".setter") for one in each.decorator_list)
    # A route's summary, in the table below it, says what it does; a migration is told by its module.
    first = each.args.args[0].annotation if each.args.args else None
    return (first is not None and "Request" in ast.unparse(first)) or _is_migration(path)


def _is_migration(path: Path) -> bool:
    """Written once and never touched again."""
    return path.parent.name == "versions"


# ── Size ─────────────────────────────────────────────────────────────────────────────────────────────────────────

_NO_CODE = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENCODING}


def test_a_module_is_one_idea() -> None:
    counted = {tree.name(path): _lines_of_code(path) for path in tree.modules()}
    assert not {name: lines for name, lines in counted.items() if lines > MOST_LINES}


def _lines_of_code(path: Path) -> int:
    module, told = tree.parsed(path), set[int]()
    tables = [each for each in module.body if isinstance(each, ast.Assign | ast.AnnAssign)]
    texts = [
        each
        for each in ast.walk(module)
        if isinstance(each, ast.Expr) and isinstance(each.value, ast.Constant) and isinstance(each.value.value, str)
    ]
    for each in (*tables, *texts):
        told.update(range(each.lineno, (each.end_lineno or each.lineno) + 1))
    with path.open("rb") as file:
        tokens = [token for token in tokenize.tokenize(file.readline) if token.type not in _NO_CODE and token.string]
    return len({line for token in tokens for line in range(token.start[0], token.end[0] + 1)} - told)


def test_a_function_fits_a_screen() -> None:
    long = [
        f"{tree.name(path)}: {each.name}"
        for path in tree.modules()
        for each in ast.walk(tree.parsed(path))
        if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)
        if (each.end_lineno or each.lineno) - each.lineno >= SCREEN and not _is_migration(path)
    ]
    assert not long


# ── Rooms ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_library_is_imported_only_where_it_lives() -> None:
    # For a library without a home: give it one above, and a reason in docs/decisions/.
    assert not [
        f"{tree.name(path)}: {library}"
        for path in tree.modules()
        for library in set(tree.imports(path)) - set(sys.stdlib_module_names) - {"pupload"}
        if not any(path.relative_to(tree.PACKAGE).is_relative_to(home) for home in HOMES.get(library, ()))
    ]


def test_every_room_of_the_package_has_its_tests() -> None:
    rooms = {Path(path.relative_to(tree.PACKAGE).parts[0]) for path in tree.modules() if path.parent != tree.PACKAGE}
    adapters = {
        Path(*path.relative_to(tree.PACKAGE).parts[:2])
        for path in tree.modules()
        if path.is_relative_to(tree.PACKAGE / "adapters") and path.parent.name != "adapters"
    }
    tests = [path.relative_to(tree.ROOT / "tests") for path in tree.tracked() if path.match("tests/**/test_*.py")]
    tests += [path.relative_to(tree.ROOT / "tests") for path in tree.tracked() if path.name.startswith("test_")]
    elsewhere = {Path("ports"): Path("contracts")}  # what is promised is shown by those who keep it
    rooms = {elsewhere.get(room, room) for room in rooms | adapters}
    bare = [str(room) for room in rooms if not any(test.is_relative_to(room) for test in tests)]
    assert not sorted(bare)


# ── What no file may hold ────────────────────────────────────────────────────────────────────────────────────────


def _any_of(*words: str) -> str:
    """A pattern of words that are written here with a blank in them, so that this file does not hold them itself."""
    return "|".join(re.escape(word.replace(" ", "")) for word in words)


FORBIDDEN = {
    "something unfinished": re.compile(rf"\b(?:{_any_of('TO DO', 'FIX ME', 'XX X')})\b"),
    "a package index or image registry": re.compile(
        rf"\b(?:{_any_of('py pi', 'python hosted', 'npm js', 'gh cr', 'qu ay', 'gc r')})\.(?:org|io|com)\b"
    ),
    "a path of one machine": re.compile(rf"(?<![\w./*-])/(?:{_any_of('wo rk', 'ro ot', 'ho me', 'Us ers')})/[\w.-]"),
}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_file_holds(what: str) -> None:
    assert not [
        f"{tree.name(path)}:{text.count(chr(10), 0, each.start()) + 1}: {each[0]}"
        for path in tree.tracked()
        if (text := tree.text_of(path)) is not None
        for each in FORBIDDEN[what].finditer(text)
    ]
