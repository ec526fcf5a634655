#!/usr/bin/python3
"""
Turns a CSV into Parquet: the same table, typed, in columns, and much smaller.

DuckDB finds out what separates the fields, whether there is a header, and the type of each column. It may open the
input and the output and no other file.

    INPUT_TABLE   the CSV to read        OUTPUT_PARQUET   the file to write
"""

import re
import shutil
import sys
from pathlib import Path

import duckdb
import node


def main() -> None:
    """Does what the flags say."""
    compression = node.choice("compression", "zstd", "zstd", "snappy", "gzip", "none").replace("none", "uncompressed")
    lenient = node.boolean("lenient")
    options = csv_options(lenient=lenient, typed=node.boolean("types", default=True))
    source, output = node.source("INPUT_TABLE"), node.place("OUTPUT_PARQUET")
    with source.open("rb") as file:
        head = file.read(65536)
    if not head.strip():
        node.die(node.WRONG_INPUT, "the input is empty: there is no table in it")
    if b"\0" in head and "utf-16" not in options:
        node.die(node.WRONG_INPUT, "the input is not text, so it is no CSV; is it UTF-16? then set flag encoding")
    options += delimiter_of(head, options)
    spill = output.parent / ".spill"
    try:
        with duckdb.connect(":memory:", config=settings(spill)) as database:
            database.execute(f"SET allowed_paths = ['{source}', '{output}']")
            database.execute("SET enable_external_access = false")
            database.execute("SET lock_configuration = true")
            order = f"COPY (SELECT * FROM read_csv('{source}', {options})) TO '{output}'"  # noqa: S608 (all checked)
            found = database.execute(f"{order} (FORMAT parquet, COMPRESSION {compression})").fetchone()
    except duckdb.Error as error:
        output.unlink(missing_ok=True)
        shutil.rmtree(spill, ignore_errors=True)
        explain(error)
    shutil.rmtree(spill, ignore_errors=True)
    rows, before, after = found[0] if found else 0, source.stat().st_size, output.stat().st_size
    node.say(f"{rows} rows, {before} bytes of CSV to {after} bytes of Parquet", 1)


def csv_options(*, lenient: bool, typed: bool) -> str:
    """How the CSV is to be read, as far as flags say; DuckDB finds out the rest."""
    header = node.choice("header", "auto", "auto", "true", "false")
    encoding = node.choice("encoding", "utf-8", "utf-8", "utf-16", "latin-1")
    delimiter = node.flag("delimiter").replace("\\t", "\t")
    if len(delimiter) > 1 or delimiter in ("'", '"', "\n", "\r"):
        node.die(node.WRONG_FLAG, f"flag delimiter must be one character, or \\t, not '{delimiter}'")
    given = [f"encoding = '{encoding}'", "sample_size = 200000", "skip = 0"]
    given += [] if header == "auto" else [f"header = {header}"]
    given += [f"delim = '{delimiter}'"] if delimiter else []
    given += ["ignore_errors = true"] if lenient else []
    given += [] if typed else ["all_varchar = true"]
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


def settings(spill: Path) -> dict[str, str]:
    """The settings that the database begins with."""
    return {
        "memory_limit": f"{node.memory_limit() * 6 // 10 >> 20}MiB",
        "threads": str(node.processors()),
        "temp_directory": str(spill),
        "max_temp_directory_size": "8GiB",
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "python_enable_replacements": "false",
    }


def explain(error: duckdb.Error) -> None:
    """Ends the node with what the error means."""
    reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
    if isinstance(error, duckdb.OutOfMemoryException):
        node.die(node.TOO_LARGE, "the table needs more memory than this tier has; try a larger one")
    if isinstance(error, duckdb.IOException):
        node.die(node.FAILED, f"a file could not be read or written: {reason}")
    node.die(node.WRONG_INPUT, f"the input cannot be read as one table; lenient leaves out bad lines ({reason})")


if __name__ == "__main__":
    sys.exit(main())
