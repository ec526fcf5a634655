"""
The node types for data (sql, csv-to-parquet, jq, checksum, gzip, gunzip): what a question, a filter or a file
may not do.
"""

import gzip
import hashlib
import json
from pathlib import Path

import pytest

from tests.nodes import batch, house

pytestmark = [pytest.mark.engine, pytest.mark.timeout(900)]

CSV = b"x,y\n1,one\n2,two\n3,three\n"
ORDER = json.dumps({"items": [{"name": "pear"}, {"name": "plum"}]}).encode()

# ── SQL ──────────────────────────────────────────────────────────────────────────────────────────────────────────

NOT_THE_INPUTS = [
    "SELECT * FROM read_text('/etc/passwd')",
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM read_blob('/proc/self/environ')",
    "SELECT * FROM read_json('/pupload/in/../../etc/hostname')",
    "SELECT * FROM glob('/etc/*')",
    "SELECT * FROM sniff_csv('/etc/passwd')",
    "SELECT * FROM parquet_metadata('/etc/passwd')",
    "SELECT * FROM read_csv('http://169.254.169.254/latest/meta-data/')",
    "SELECT * FROM query('SELECT * FROM read_text(''/etc/passwd'')')",
]
NO_QUERY = [
    "COPY input TO '/pupload/out/evil.csv'",
    "COPY (SELECT 1) TO '/tmp/evil.csv'",
    "INSTALL httpfs",
    "LOAD '/pupload/in/0000/input'",
    "ATTACH '/tmp/evil.db' AS evil",
    "SET enable_external_access = true",
    "RESET lock_configuration",
    "PRAGMA enable_external_access",
    "EXPORT DATABASE '/tmp/evil'",
    "CREATE TABLE evil AS SELECT 1",
    "DROP VIEW input",
    "SELECT 1; COPY input TO '/tmp/evil.csv'",
    "SELECT 1) TO '/pupload/out/evil.csv' (FORMAT csv); --",
    "EXPLAIN SELECT 1",
    "PIVOT input ON x",
    ";",
    " ",
]
WRONG = [
    "SELECT",
    "SELECT nothing FROM input",
    "SELECT * FROM '/etc/passwd'",
    "SELECT getenv('PATH')",
    "SELECT * FROM node",
]


def _asked(tmp_path: Path, *questions: str) -> dict[str, house.Outcome]:
    return batch.run(
        "sql", tmp_path, {each: batch.Case(inputs={"input": CSV}, flags={"query": each}) for each in questions}
    )


def test_a_question_reaches_the_inputs_and_nothing_else(tmp_path: Path) -> None:
    outcomes = _asked(tmp_path, *NOT_THE_INPUTS, *NO_QUERY, *WRONG)
    assert {question for question, outcome in outcomes.items() if outcome.exit_code != 64} == set()
    assert {question for question, outcome in outcomes.items() if outcome.files} == set()
    for question in NOT_THE_INPUTS:
        assert "reaches for what it may not" in outcomes[question].complaint


def test_a_question_may_end_in_a_comment_or_a_semicolon(tmp_path: Path) -> None:
    asked = [
        "SELECT x FROM input -- all",
        "SELECT x FROM input ;",
        "SELECT x FROM input /* all */",
        "FROM input SELECT x",
    ]
    for outcome in _asked(tmp_path, *asked).values():
        assert outcome.complaint == ""
        assert outcome.file("result") == b"x\n1\n2\n3\n"


TABLES = {
    "json": (b'[{"x": 1}, {"x": 2}, {"x": 3}]', "x"),
    "json lines": (b'{"x": 1}\n{"x": 2}\n{"x": 3}\n', "x"),
    "tabs": (b"x\ty\n1\t2\n2\t3\n3\t4\n", "x"),
    "semicolons and a mark": (b"\xef\xbb\xbfx;y\n1;2\n2;3\n3;4\n", "x"),
}


def test_tables_of_all_kinds_are_read(tmp_path: Path) -> None:
    query = {"query": "SELECT x FROM input ORDER BY x"}
    cases = {name: batch.Case(inputs={"input": data}, flags=query) for name, (data, _) in TABLES.items()}
    assert {
        name: outcome.file("result") for name, outcome in batch.run("sql", tmp_path, cases).items()
    } == dict.fromkeys(TABLES, b"x\n1\n2\n3\n")


def test_what_is_no_table_is_refused_in_a_sentence(tmp_path: Path) -> None:
    data = {
        "empty": b"",
        "blank": b"\n \n",
        "picture": b"\x89PNG\r\n\x1a\n\0\0",
        "half": b'[{"x": 1',
        "parquet": b"PAR1" + b"\1" * 40,
    }
    query = {"query": "FROM input"}
    outcomes = batch.run(
        "sql", tmp_path, {name: batch.Case(inputs={"input": each}, flags=query) for name, each in data.items()}
    )
    assert {name for name, outcome in outcomes.items() if outcome.exit_code != 65 or not outcome.complaint} == set()


def test_a_question_that_is_too_large_ends_in_a_sentence(tmp_path: Path) -> None:
    question = "SELECT list(a) FROM range(400000000) t(a)"
    outcome = house.run("sql", tmp_path, {"input": CSV}, flags={"query": question}, memory="400m")
    assert (outcome.exit_code, "more memory or disk" in outcome.complaint) == (71, True)
    assert outcome.files == {}


def test_parquet_of_a_csv_has_its_types_and_rows(tmp_path: Path) -> None:
    table = b"day,count,name\n2026-01-05,1,a\n2026-01-06,2,b\n"
    made = house.run("csv-to-parquet", tmp_path, {"table": table})
    assert (made.exit_code, made.last.progress) == (0, 1.0)
    described = {"query": "SELECT column_name, column_type FROM (DESCRIBE input)"}
    outcome = house.run("sql", tmp_path, {"input": made.file("parquet")}, flags=described)
    assert outcome.file("result") == b"column_name,column_type\nday,DATE\ncount,BIGINT\nname,VARCHAR\n"


def test_lines_that_do_not_fit_are_refused_or_left_out(tmp_path: Path) -> None:
    table = CSV + b"4,four,and,more\n"
    strict = batch.Case(inputs={"table": table})
    lenient = batch.Case(inputs={"table": table}, flags={"lenient": "true"})
    injected = batch.Case(inputs={"table": table}, flags={"delimiter": "'"})
    outcomes = batch.run("csv-to-parquet", tmp_path, {"strict": strict, "lenient": lenient, "injected": injected})
    assert {name: outcome.exit_code for name, outcome in outcomes.items()} == {
        "strict": 65,
        "lenient": 0,
        "injected": 64,
    }
    assert outcomes["lenient"].last.message.startswith("3 rows")


# ── jq ───────────────────────────────────────────────────────────────────────────────────────────────────────────

FILTERS = {
    'env | keys | join(",")': (0, '"LC_ALL,PATH,PWD"\n'),
    "$ENV.FLAG_FILTER": (0, "null\n"),
    "input_filename": (0, '"<stdin>"\n'),
    ".items | length": (0, "2\n"),
    'import "/etc/passwd" as $p; $p': (64, "there are no modules"),
    "# text": (0, None),
    ' include "a"; .': (64, "there are no modules"),
    "module {}; .": (64, "there are no modules"),
    ".items[": (64, "is not right"),
    ". | nothing": (64, "is not right"),
    "-r": (64, "is not right"),
    "--version": (64, "is not right"),
    ".items.name": (65, "does not fit the document"),
    'error("no")': (65, "no"),
    "$__loc__": (0, None),
    "[limit(3; repeat(1))]|length": (0, "3\n"),
}


def test_a_filter_sees_the_document_and_nothing_else(tmp_path: Path) -> None:
    cases = {each: batch.Case(inputs={"document": ORDER}, flags={"filter": each}) for each in FILTERS}
    for each, outcome in batch.run("jq", tmp_path, cases).items():
        code, says = FILTERS[each]
        assert outcome.exit_code == code, (each, outcome.complaint)
        if says is not None:
            assert says in (outcome.complaint if code else outcome.file("result").decode()), each


def test_a_filter_without_end_is_stopped_by_the_size_of_its_result(tmp_path: Path) -> None:
    flags = {"filter": "range(1e12)", "max_bytes": "100000"}
    outcome = house.run("jq", tmp_path, {"document": ORDER}, flags=flags)
    assert (outcome.exit_code, "larger than 100000 bytes" in outcome.complaint) == (65, True)


def test_a_document_too_large_for_the_tier_says_so(tmp_path: Path) -> None:
    flags = {"filter": "[range(1e9)]"}
    outcome = house.run("jq", tmp_path, {"document": ORDER}, flags=flags, memory="48m")
    assert (outcome.exit_code, "more memory" in outcome.complaint) == (71, True)


# ── Sums and compression ─────────────────────────────────────────────────────────────────────────────────────────


def test_each_sum_is_what_it_should_be(tmp_path: Path) -> None:
    data = bytes(range(256)) * 1000
    algorithms = ["sha256", "sha512", "sha1", "md5", "blake2b"]
    cases = {each: batch.Case(inputs={"file": data}, flags={"algorithm": each}) for each in algorithms}
    for algorithm, outcome in batch.run("checksum", tmp_path, cases).items():
        assert outcome.file("sums").decode() == f"{hashlib.new(algorithm, data).hexdigest()}  file\n"


def test_a_collection_has_a_line_for_each_file(tmp_path: Path) -> None:
    files = {"a.txt": b"one", "b.txt": b"two"}
    outcome = house.run("checksum", tmp_path, {"files": files}, flags={"format": "json"})
    told = json.loads(outcome.file("sums"))
    assert [(each["name"], each["sum"]) for each in told] == [
        (name, hashlib.sha256(data).hexdigest()) for name, data in files.items()
    ]


def test_wrong_flags_and_nothing_to_sum_are_named(tmp_path: Path) -> None:
    def case(**flags: str) -> batch.Case:
        return batch.Case(inputs={"file": b"x"}, flags=flags)

    outcomes = batch.run(
        "checksum",
        tmp_path,
        {
            "algorithm": case(algorithm="crc; id"),
            "expected": case(expected="$(id)"),
            "name": case(name="../x"),
            "nothing": batch.Case(inputs={}),
        },
    )
    assert [outcome.exit_code for outcome in outcomes.values()] == [64, 64, 64, 65]


def test_what_is_compressed_comes_back_and_is_the_same_each_time(tmp_path: Path) -> None:
    data = b"again and again " * 10_000
    first, second = (house.run("gzip", tmp_path, {"file": data}, flags={"level": "9"}) for _ in range(2))
    assert first.file("compressed") == second.file("compressed")
    outcome = house.run("gunzip", tmp_path, {"compressed": first.file("compressed")})
    assert (outcome.exit_code, outcome.file("file")) == (0, data)


RUINS = {
    "bomb": (gzip.compress(bytes(50_000_000)), {}, "raise max_ratio"),
    "over the limit": (gzip.compress(bytes(2_000_000)), {"max_bytes": "1999999"}, "raise max_bytes"),
    "members": (gzip.compress(bytes(1_000_000)) * 40, {"max_bytes": "20000000"}, "raise max_"),
    "half": (gzip.compress(b"text" * 1000)[:-9], {}, "damaged"),
    "changed": (gzip.compress(b"text" * 1000)[:-8] + bytes(8), {}, "damaged"),
    "no gzip": (b"PK\3\4", {}, "not compressed with gzip"),
    "empty": (b"", {}, "not compressed with gzip"),
}


def test_what_cannot_be_unpacked_ends_in_a_sentence(tmp_path: Path) -> None:
    cases = {name: batch.Case(inputs={"compressed": data}, flags=flags) for name, (data, flags, _) in RUINS.items()}
    for name, outcome in batch.run("gunzip", tmp_path, cases).items():
        assert outcome.exit_code == 65, name
        assert RUINS[name][2] in outcome.complaint, name


def test_a_limit_is_held_to_the_byte(tmp_path: Path) -> None:
    data = {"compressed": gzip.compress(bytes(2_000_000))}
    cases = {most: batch.Case(inputs=data, flags={"max_bytes": most}) for most in ("1999999", "2000000")}
    assert [outcome.exit_code for outcome in batch.run("gunzip", tmp_path, cases).values()] == [65, 0]
