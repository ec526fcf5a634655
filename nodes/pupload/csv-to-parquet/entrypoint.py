#!/usr/bin/python3
"""
Turns a CSV into Parquet: the same table, typed, in columns, and much smaller.

DuckDB finds out what separates the fields, whether there is a header, and the type of each column. It may open the
input and the output and no other file.

    INPUT_TABLE   the CSV to read        OUTPUT_PARQUET   the file to write
"""

import shutil
import sys

import duckdb
import node
import tables


def main() -> None:
    """Does what the flags say."""
    compression = node.choice("compression", "zstd", "zstd", "snappy", "gzip", "none").replace("none", "uncompressed")
    options = tables.csv_options()
    options += ", ignore_errors = true" if node.boolean("lenient") else ""
    options += "" if node.boolean("types", default=True) else ", all_varchar = true"
    source, output = node.source("INPUT_TABLE"), node.place("OUTPUT_PARQUET")
    with source.open("rb") as file:
        head = file.read(65536)
    if not head.strip():
        node.die(node.WRONG_INPUT, "the input is empty: there is no table in it")
    if b"\0" in head and "utf-16" not in options:
        node.die(node.WRONG_INPUT, "the input is not text, so it is no CSV; is it UTF-16? then set flag encoding")
    options += tables.delimiter_of(head, options)
    spill = output.parent / ".spill"
    try:
        with duckdb.connect(":memory:", config=tables.shut_in(spill)) as database:
            tables.shut(database, [source, output])
            order = f"COPY (SELECT * FROM read_csv('{source}', {options})) TO '{output}'"  # noqa: S608 (all checked)
            found = database.execute(f"{order} (FORMAT parquet, COMPRESSION {compression})").fetchone()
    except duckdb.Error as error:
        output.unlink(missing_ok=True)
        shutil.rmtree(spill, ignore_errors=True)
        explain(error)
    shutil.rmtree(spill, ignore_errors=True)
    rows, before, after = found[0] if found else 0, source.stat().st_size, output.stat().st_size
    node.say(f"{rows} rows, {before} bytes of CSV to {after} bytes of Parquet", 1)


def explain(error: duckdb.Error) -> None:
    """Ends the node with what the error means."""
    reason = tables.first_line(error)
    if isinstance(error, duckdb.OutOfMemoryException):
        node.die(node.TOO_LARGE, "the table needs more memory than this tier has; try a larger one")
    if isinstance(error, duckdb.IOException):
        node.die(node.FAILED, f"a file could not be read or written: {reason}")
    node.die(node.WRONG_INPUT, f"the input cannot be read as one table; lenient leaves out bad lines ({reason})")


if __name__ == "__main__":
    sys.exit(main())
