"""
What the node types share that have DuckDB work on tables: how a CSV is read, and what the database may reach.
"""

import re
from pathlib import Path

import duckdb
import node


def csv_options() -> str:
    """How a CSV is to be read, as far as flags say; DuckDB finds out the rest."""
    header = node.choice("header", "auto", "auto", "true", "false")
    encoding = node.choice("encoding", "utf-8", "utf-8", "utf-16", "latin-1")
    delimiter = node.flag("delimiter").replace("\\t", "\t")
    if len(delimiter) > 1 or delimiter in ("'", '"', "\n", "\r"):
        node.die(node.WRONG_FLAG, f"flag delimiter must be one character, or \\t, not '{delimiter}'")
    given = [f"encoding = '{encoding}'", "sample_size = 200000", "skip = 0"]
    given += [] if header == "auto" else [f"header = {header}"]
    given += [f"delim = '{delimiter}'"] if delimiter else []
    return ", ".join(given)


def delimiter_of(head: bytes, options: str) -> str:
    """
    What separates the fields of the first line, as an option; nothing where a flag has said it.

    Left to itself, DuckDB looks for the reading with most columns, and leaves out lines in front that do not fit it.
    """
    if "delim = " in options:
        return ""
    encoding = next((each for each in ("utf-16", "latin-1") if each in options), "utf-8")
    lines = [
        line for line in head.decode(encoding, "replace").splitlines() if line.strip() and not line.startswith("#")
    ]
    bare = re.sub(r'"[^"]*"', "", lines[0]) if lines else ""
    return ", delim = '{}'".format(max(",;\t|", key=bare.count))


def shut_in(spill: Path) -> dict[str, str]:
    """The settings that a database here begins with."""
    return {
        "memory_limit": f"{node.memory_limit() * 6 // 10 >> 20}MiB",
        "threads": str(node.processors()),
        "temp_directory": str(spill),
        "max_temp_directory_size": "8GiB",
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "allow_community_extensions": "false",
        "python_enable_replacements": "false",
    }


def shut(database: duckdb.DuckDBPyConnection, paths: list[Path]) -> None:
    """From here on no file but these, no extension, and no way back."""
    allowed = ", ".join(f"'{path}'" for path in paths)
    database.execute(f"SET allowed_paths = [{allowed}]")
    database.execute("SET enable_external_access = false")
    database.execute("SET lock_configuration = true")


def first_line(error: Exception) -> str:
    """The gist of what DuckDB says, which quotes the query at length."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
