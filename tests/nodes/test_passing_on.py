"""
The node types that pass values on (calculator, code, code-execute, run-command, datetime, merge, filter, aggregator,
output-parser, wait, memory-read, memory-write, loop, http-request): what is hostile, and what they may not do.
"""

import json
from pathlib import Path

import pytest

from tests.nodes import batch, house

pytestmark = [pytest.mark.engine, pytest.mark.timeout(900)]

HUGE = b"9" * 5000
DEEP = b"[" * 100_000
HALF = b"\xff\xfe\x00binary"

# ── Calculator ───────────────────────────────────────────────────────────────────────────────────────────────────

RIGHT = {
    "1 + 2 * 3": 7,
    "(1 + 2) * 3": 9,
    "2 ** 3 ** 2": 512,
    "-2 ** 2": -4,
    "2 ** -1": 0.5,
    "7 // 2 + 7 % 2": 4,
    "1e3 / .5": 2000.0,
    "max(1, 2, 3) - min(4, 5)": -1,
    "sqrt(2) ^ 2": 2.0000000000000004,
    "round(2 / 3, 2)": 0.67,
    "floor(-1.5) + ceil(1.2) + abs(-3)": 3,
    "log(e) + cos(0) + log10(100)": 4.0,
    "2 ** 4000 // 2 ** 3999": 2,
    "--5": 5,
}
WRONG = [
    *("", " ", "1 +", "1 2", "(1", "1)", "()", "1..2", "sqrt", "sqrt()", "sqrt(1, 2)", "max(1)", "a", "pi(2)", "1 = 1"),
    *("9 ** 9 ** 9", "2 ** 100000", "10 ** 5000 * 10", "1e308 * 10", "1 / 0", "0 ** -1", "(-8) ** 0.5", "sqrt(-1)"),
    *(
        "log(0)",
        "1 % 0",
        "exp(1000)",
        "(" * 200 + "1" + ")" * 200,
        "2 ** " * 200 + "1",
        "9" * 9999,
    ),
    *(
        "__import__('os')",
        "().__class__",
        "open('/etc/passwd')",
        "lambda: 1",
        "1 if 1 else 2",
        "[1][0]",
        "'a' * 9",
        "1; 2",
    ),
    *("0x10", "1_000", "\u0661", "\uff11 + 1", "1e", "nan", "inf", "True"),
]


def test_a_calculator_works_out_numbers_and_nothing_else(tmp_path: Path) -> None:
    cases = {text: batch.Case(inputs={"input": text.encode()}) for text in (*RIGHT, *WRONG)}
    outcomes = batch.run("calculator", tmp_path, cases)
    assert {text: json.loads(outcomes[text].file("result")) for text in RIGHT} == pytest.approx(RIGHT)
    assert {text: outcomes[text].exit_code for text in WRONG} == dict.fromkeys(WRONG, 65)
    assert all("Traceback" not in outcome.complaint for outcome in outcomes.values())


# ── Code ─────────────────────────────────────────────────────────────────────────────────────────────────────────

CONFINED = """
import os, socket
found = {'user': os.getuid(), 'home': sorted(os.listdir('/pupload'))}
for name, path in (('write', '/etc/evil'), ('program', '/usr/local/bin/code-node'), ('input', files['input'])):
    try:
        open(path, 'w').close()
        found[name] = 'could'
    except OSError as error:
        found[name] = type(error).__name__
try:
    socket.create_connection(('192.0.2.1', 80), timeout=2)
    found['network'] = 'could'
except OSError as error:
    found['network'] = 'none'
return found
"""


def test_code_is_confined_as_every_node(tmp_path: Path) -> None:
    outcome = house.run("code", tmp_path, {"input": b"1"}, flags={"code": CONFINED})
    assert outcome.exit_code == 0, outcome.complaint
    found = json.loads(outcome.file("output"))
    assert found["user"] == 65534
    assert "could" not in found.values()
    assert found["network"] == "none"


CODES = {
    "return input": (0, "5"),
    "output = [input, sorted(inputs)]": (0, '[5, ["input", "input_2"]]'),
    "result = input + 1": (0, "6"),
    "print('a'); print('b')": (0, "a\nb\n"),
    "pass": (0, "null"),
    "return 'text'": (0, "text"),
    "def f(n): return 1 if n < 2 else n * f(n - 1)\nreturn f(5)": (0, "120"),
    "import sys; sys.exit(0)": (0, "null"),
    "return inputs['input_2']": (0, "words"),
    "return {1, 2}": (65, "cannot be written as JSON"),
    "return float('nan')": (65, "cannot be written as JSON"),
    "x = []; x.append(x); return x": (65, "cannot be written as JSON"),
    "raise ValueError('no such plum')": (65, "line 1: ValueError: no such plum"),
    "import sys; sys.exit('enough')": (65, "the code ended with enough"),
    "def f(): f()\nf()": (65, "RecursionError"),
    "while True: print('x' * 1000000)": (65, "OverflowError"),
    "return (": (64, "flag code is not Python"),
    "yield 1 from": (64, "flag code is not Python"),
    "(" * 5000: (64, "flag code is not Python"),
}


def test_code_gives_what_it_returns_or_says_where_it_fails(tmp_path: Path) -> None:
    for code, (exit_code, text) in CODES.items():
        outcome = house.run("code", tmp_path, {"input": b"5\n", "input_2": b"words"}, flags={"code": code})
        assert outcome.exit_code == exit_code, (code, outcome.complaint)
        assert outcome.file("output").decode() == text if exit_code == 0 else text in outcome.complaint
        assert "Traceback" not in outcome.complaint


def test_code_that_needs_too_much_memory_ends_alone(tmp_path: Path) -> None:
    outcome = house.run("code", tmp_path, {}, flags={"code": "x = 'x' * (8 << 30)"}, memory="64m")
    assert outcome.exit_code in (71, 137)


@pytest.mark.parametrize("name", ["code-execute", "run-command"])
def test_what_is_run_ends_when_it_writes_without_end(name: str, tmp_path: Path) -> None:
    flags = {"run-command": {"command": "yes"}, "code-execute": {"language": "sh", "code": "yes"}}[name]
    outcome = house.run(name, tmp_path, {}, flags=flags)
    assert outcome.exit_code == 65
    assert "it wrote more than" in outcome.complaint


def test_what_a_command_leaves_behind_ends_with_it(tmp_path: Path) -> None:
    outcome = house.run(
        "run-command", tmp_path, {}, flags={"command": "sleep 1000 & echo done; sleep 1000", "seconds": "2"}
    )
    assert outcome.exit_code == 65
    assert "longer than 2 s" in outcome.complaint


def test_a_command_gets_its_input_and_no_more_of_the_environment(tmp_path: Path) -> None:
    outcome = house.run("run-command", tmp_path, {"input": b"plum"}, flags={"command": "cat; echo; env | sort"})
    lines = outcome.file("output").decode().splitlines()
    assert lines[0] == "plum"
    assert {line.partition("=")[0] for line in lines[1:]} <= {
        "HOME",
        "INPUT_INPUT",
        "LC_ALL",
        "PATH",
        "PWD",
        "OLDPWD",
        "_",
    }


# ── Values ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["filter", "aggregator", "output-parser", "loop", "memory-write", "datetime"])
def test_whatever_the_input_is_there_is_a_result_or_a_sentence(name: str, tmp_path: Path) -> None:
    hostile = {
        "huge": HUGE,
        "deep": DEEP,
        "binary": HALF,
        "empty": b"",
        "nan": b"[NaN]",
        "half": b'{"a": ',
        "nul": b"a\0b",
    }
    outcomes = batch.run(name, tmp_path, {each: batch.Case(inputs={"input": data}) for each, data in hostile.items()})
    for each, outcome in outcomes.items():
        assert outcome.exit_code in (0, 65), (each, outcome.complaint)
        assert "Traceback" not in outcome.complaint, each


def test_a_filter_compares_numbers_as_numbers(tmp_path: Path) -> None:
    items = [1, "2", 10, "ten", None, True, {"n": 3}]
    rules = {
        ("gt", "1"): ["2", 10],
        ("equals", "2"): ["2"],
        ("equals", "true"): [True],
        ("equals", "null"): [None],
        ("not_exists", ""): [None],
        ("contains", "e"): ["ten"],
        ("not_equals", "ten"): [1, "2", 10, None, True, {"n": 3}],
    }
    cases = {
        f"{operator} {value}": batch.Case(
            inputs={"input": json.dumps(items).encode()}, flags={"operator": operator, "value": value}
        )
        for operator, value in rules
    }
    outcomes = batch.run("filter", tmp_path, cases)
    assert {key: json.loads(outcome.file("output")) for key, outcome in outcomes.items()} == {
        f"{operator} {value}": kept for (operator, value), kept in rules.items()
    }


@pytest.mark.parametrize(
    ("kind", "text", "found"),
    [
        ("json", 'The answer is {not json} but [1, {"a": 2}] it is', [1, {"a": 2}]),
        ("json", '"yes"', "yes"),
        ("list", "pear, plum , fig", ["pear", "plum", "fig"]),
        ("number", "about -12.5e1 of them", -125.0),
        ("boolean", " Yes. \n", True),
        ("lines", "a\n\nb\n", ["a", "b"]),
    ],
)
def test_something_is_read_out_of_a_text(kind: str, text: str, found: object, tmp_path: Path) -> None:
    outcome = house.run("output-parser", tmp_path, {"input": text.encode()}, flags={"parser_type": kind})
    data = outcome.file("output").decode()
    assert (data if isinstance(found, str) else json.loads(data)) == found


def test_a_fact_is_written_as_the_server_reads_it(tmp_path: Path) -> None:
    outcome = house.run("memory-write", tmp_path, {"input": b'{"a": [1]}'}, flags={"key": "k", "scope": "agent"})
    line = {"key": "k", "value": {"a": [1]}, "scope": "agent", "fact_type": "world_knowledge"}
    assert [json.loads(each) for each in outcome.file("facts").decode().splitlines()] == [line]


def test_waiting_ends_when_it_is_told_to(tmp_path: Path) -> None:
    outcome = house.run("wait", tmp_path, {}, flags={"seconds": "0"})
    assert json.loads(outcome.file("output")) == {"waited_seconds": 0}


# ── The web ──────────────────────────────────────────────────────────────────────────────────────────────────────

NOT_PUBLIC = [
    *(
        "http://127.0.0.1/",
        "http://[::1]/",
        "http://10.0.0.1/",
        "http://169.254.169.254/",
        "http://0/",
        "http://[::ffff:127.0.0.1]/",
    ),
    *(
        "http://2130706433/",
        "http://0x7f.1/",
        "file:///etc/passwd",
        "ftp://example.org/",
        "http://a@192.0.2.1/",
        "http://192.0.2.1:22/",
    ),
]


def test_only_what_is_public_is_asked(tmp_path: Path) -> None:
    cases = {url: batch.Case(inputs={"input": json.dumps({"url": url}).encode()}) for url in NOT_PUBLIC}
    outcomes = batch.run("http-request", tmp_path, cases)
    assert {url: outcome.exit_code for url, outcome in outcomes.items()} == dict.fromkeys(NOT_PUBLIC, 65)


@pytest.mark.parametrize(
    "order",
    [
        {"url": "http://192.0.2.1/", "method": "CONNECT"},
        {"url": "http://192.0.2.1/", "headers": {"Host": "evil"}},
        {"url": "http://192.0.2.1/", "headers": {"A": "b\r\nC: d"}},
        {"url": "http://192.0.2.1/", "headers": {"A b": "c"}},
        {"url": "http://192.0.2.1/", "headers": [1]},
        {"url": "http://192.0.2.1/\r\nHost: evil"},
        {"url": ""},
    ],
)
def test_a_request_is_one_request(order: dict[str, object], tmp_path: Path) -> None:
    outcome = house.run("http-request", tmp_path, {"input": json.dumps(order).encode()})
    assert outcome.exit_code == 64, outcome.complaint
