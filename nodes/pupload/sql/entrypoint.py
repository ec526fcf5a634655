#!/usr/bin/python3
"""
Asks a table, or up to four, a question in SQL.

The inputs are views in a database that is nowhere but in memory. Before the question is looked at, the door is shut:
DuckDB may open the inputs and the output and no other file, load no extension, and change none of this. The question
must be one query; what would change, attach, copy or install anything is another kind of statement, and refused.

    INPUT_INPUT, INPUT_INPUT_2 …   CSV, JSON, JSON lines or Parquet, told from the bytes; the tables input, input_2 …
    OUTPUT_RESULT                  the file to write
"""

import os
import shutil
import sys
from pathlib import Path

import duckdb
import node
import tables

TABLES = ("input", "input_2", "input_3", "input_4")
WRITTEN = {
    "csv": "FORMAT csv, HEADER",
    "json": "FORMAT json, ARRAY true",
    "jsonl": "FORMAT json, ARRAY false",
    "parquet": "FORMAT parquet, COMPRESSION zstd",
}


def main() -> None:
    """Does what the flags say."""
    written = WRITTEN[node.choice("format", "csv", *WRITTEN)]
    options = tables.csv_options()
    question = node.flag("query")
    if not question.strip():
        node.die(node.WRONG_FLAG, "flag query must be a query such as SELECT * FROM input")
    inputs = {
        table: node.source(f"INPUT_{table.upper()}") for table in TABLES if f"INPUT_{table.upper()}" in os.environ
    }
    if not inputs:
        node.die(node.WRONG_INPUT, "there is no input; bind input to a CSV, JSON or Parquet file")
    output = node.place("OUTPUT_RESULT")
    # Beside the output: what does not fit into memory goes to disk, and /tmp is memory.
    spill = output.parent / ".spill"
    with duckdb.connect(":memory:", config=tables.shut_in(spill)) as database:
        for table, path in inputs.items():
            make_table(database, table, path, options)
        tables.shut(database, [*inputs.values(), output])
        question = one_query(database, question)
        try:
            # The line break ends a comment at the question's end.
            rows = database.execute(f"COPY ({question}\n) TO '{output}' ({written})").fetchone()
        except duckdb.Error as error:
            output.unlink(missing_ok=True)
            shutil.rmtree(spill, ignore_errors=True)
            explain(error)
    shutil.rmtree(spill, ignore_errors=True)
    node.say(f"{rows[0] if rows else 0} rows, {output.stat().st_size} bytes", 1)


def make_table(database: duckdb.DuckDBPyConnection, table: str, path: Path, options: str) -> None:
    """The view of this name; ends the node where the file is none that can be read."""
    with path.open("rb") as file:
        head = file.read(65536)
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    if head.startswith(b"PAR1"):
        reader = f"read_parquet('{path}')"
    elif not head.strip():
        node.die(node.WRONG_INPUT, f"{table} is empty: there is no table in it")
    elif b"\0" in head and "utf-16" not in options:
        node.die(node.WRONG_INPUT, f"{table} is neither CSV, JSON nor Parquet; is it UTF-16? then set flag encoding")
    elif start in (b"{", b"["):
        reader = f"read_json('{path}', maximum_object_size = {64 << 20})"
    else:
        reader = f"read_csv('{path}', {options}{tables.delimiter_of(head, options)})"
    try:
        database.execute(f"CREATE VIEW {table} AS SELECT * FROM {reader}")  # noqa: S608 (all checked)
    except duckdb.Error as error:
        node.die(node.WRONG_INPUT, f"{table} cannot be read as a table: {tables.first_line(error)}")


def one_query(database: duckdb.DuckDBPyConnection, question: str) -> str:
    """The question without a semicolon at its end; ends the node where it is anything but one query."""
    try:
        statements = database.extract_statements(question)
    except duckdb.Error as error:
        node.die(node.WRONG_FLAG, f"flag query is not right: {tables.first_line(error)}")
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT or not statements[0].query.strip():
        node.die(node.WRONG_FLAG, "flag query must be one query (SELECT, WITH, FROM or VALUES), and nothing else")
    return statements[0].query.strip().rstrip(";").rstrip()


def explain(error: duckdb.Error) -> None:
    """Ends the node with what the error means for whoever asked."""
    reason = tables.first_line(error)
    if isinstance(error, duckdb.OutOfMemoryException):
        node.die(
            node.TOO_LARGE, "the query needs more memory or disk than this tier has; try a larger one, or ask for less"
        )
    if isinstance(error, duckdb.PermissionException):
        node.die(node.WRONG_FLAG, f"flag query reaches for what it may not: it may ask the inputs alone ({reason})")
    if isinstance(
        error, duckdb.ParserException | duckdb.BinderException | duckdb.CatalogException | duckdb.SyntaxException
    ):
        node.die(node.WRONG_FLAG, f"flag query is not right: {reason}")
    if isinstance(error, duckdb.IOException):
        node.die(node.FAILED, f"the result could not be written: {reason}")
    node.die(node.WRONG_INPUT, f"the query does not fit what is in the input: {reason}")


if __name__ == "__main__":
    sys.exit(main())
