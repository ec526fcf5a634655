"""
Conditions: whether a node runs, as a small expression over what is known of its inputs.

    input.image.type startswith 'image/' and not (input.image.size > 20MB)
    json(input.probe).format.duration > 90s or flag.force == true

`parse` makes a tree of the text; `pupload.domain.truth` works it out. There are no loops and no functions to call, and
text and depth are bounded: it takes time in proportion to the text.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from pupload.domain import duration

MOST_CHARACTERS, MOST_DEPTH = 2000, 32
"""Of a condition, and of parentheses and `not` within each other."""

TEXT, NUMBER, BOOLEAN, NULL, ANY = "a text", "a number", "true or false", "null", ""
"""The types, as sentences call them; of `ANY` the type is not known before it runs."""

FACTS = {
    "type": TEXT,
    "size": NUMBER,
    "width": NUMBER,
    "height": NUMBER,
    "pixels": NUMBER,
    "duration": NUMBER,
    "pages": NUMBER,
    "ratio": NUMBER,
    "name": TEXT,
    "present": BOOLEAN,
    "items": NUMBER,
}
"""What can be asked about an input, and its type."""

OUTCOMES = {"status": TEXT, "exit_code": NUMBER}
"""What can be asked about a node."""

Value = Any
"""None, a boolean, a number, a text, a `Word`; a list or mapping of JSON."""


class Word(str):
    """The value of a flag or parameter: a text that is a number or boolean to whom compares it with one."""

    __slots__ = ()


class Mistaken(ValueError):
    """The text is no condition."""

    def __init__(self, at: int, reason: str) -> None:
        super().__init__(f"at character {at + 1}: {reason}")
        self.at = at
        self.reason = reason


# ── The tree ─────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """A part of a condition."""

    text: str
    """As it was written."""
    at: int = field(compare=False)
    """Where it begins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Literal(Term):
    """A value as it was written."""

    value: Value


@dataclass(frozen=True, slots=True, kw_only=True)
class Name(Term):
    """`input.image.size`, `flag.width`, `param.limit`, `node.probe.status`."""

    kind: str
    """The word before the first dot."""
    name: str
    asked: str = ""
    """The word behind the last dot, of inputs and nodes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Json(Term):
    """A value out of the file on an input."""

    name: str
    """The input's."""
    path: tuple[str | int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Text(Term):
    """What the file on an input says, blanks around it left out."""

    name: str
    """The input's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Not(Term):
    """What is met when its inner term is not."""

    inner: Term


@dataclass(frozen=True, slots=True, kw_only=True)
class Every(Term):
    """Terms with `and` between them."""

    parts: tuple[Term, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Some(Term):
    """Terms with `or` between them."""

    parts: tuple[Term, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared(Term):
    """Two values with an operator between them."""

    op: str
    left: Term
    right: Term


@dataclass(frozen=True, slots=True, kw_only=True)
class Among(Term):
    """Whether a value is one of several."""

    left: Term
    values: tuple[Term, ...]


# ── Reading ──────────────────────────────────────────────────────────────────────────────────────────────────────

_SPACE = re.compile(r"\s*")
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
DIGITS = re.compile(r"-?[0-9]+(?:\.[0-9]+)?")
_UNIT = re.compile(r"[A-Za-z0-9.µμ]*")
_OPERATOR = re.compile(r"==|!=|<=|>=|<|>|(?:startswith|endswith|contains)(?![A-Za-z0-9_.-])")
_KEY = re.compile(r"\.([A-Za-z_][A-Za-z0-9_-]*)")
_PLACE = re.compile(r"\[\s*([0-9]{1,6})\s*\]")
_SIZES = {"B": 1} | {
    f"{prefix}{unit}": base**power
    for base, unit in ((1000, "B"), (1024, "iB"))
    for power, prefix in enumerate(("K", "M", "G", "T"), start=1)
}
CONSTANTS = {"true": True, "false": False, "null": None}
_TAKEN = frozenset({"and", "or", "not", "in", "startswith", "endswith", "contains"})


@lru_cache(maxsize=1024)
def parse(text: str) -> Term:
    """The tree of the condition. Raises `Mistaken`."""
    if len(text) > MOST_CHARACTERS:
        raise Mistaken(MOST_CHARACTERS, f"it has {len(text)} characters, and a condition at most {MOST_CHARACTERS}")
    reader = _Reader(text)
    found = reader.either()
    if reader.at < len(text):
        raise Mistaken(reader.at, f"{reader.shown()} is not expected here; join conditions with and, or")
    return found


class _Reader:
    """Recursive descent: each method reads one level of the grammar from `at` on."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self._depth = 0
        self._skip()

    def either(self) -> Term:
        """`… or …`"""
        begin, parts = self.at, [self._both()]
        while self._takes_word("or"):
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else Some(**self._since(begin), parts=tuple(parts))

    def shown(self) -> str:
        """What stands where it reads, for a sentence."""
        if self.at >= len(self.text):
            return "the end"
        word = _WORD.match(self.text, self.at) or DIGITS.match(self.text, self.at)
        return quoted(word[0] if word else self.text[self.at])

    def _both(self) -> Term:
        begin, parts = self.at, [self._negated()]
        while self._takes_word("and"):
            parts.append(self._negated())
        return parts[0] if len(parts) == 1 else Every(**self._since(begin), parts=tuple(parts))

    def _negated(self) -> Term:
        begin = self.at
        if not self._takes_word("not"):
            return self._compared()
        self._deeper(begin)
        inner = self._negated()
        self._depth -= 1
        return Not(**self._since(begin), inner=inner)

    def _compared(self) -> Term:
        begin, left = self.at, self._operand()
        if (found := _OPERATOR.match(self.text, self.at)) is not None:
            self._skip(found.end())
            return Compared(op=found[0], left=left, right=self._operand(), **self._since(begin))
        is_not = self._takes_word("not")
        if not self._takes_word("in"):
            if is_not:
                raise Mistaken(self.at, f"{self.shown()} is not expected here; behind not there is in")
            return left
        among = Among(left=left, values=self._list(), **self._since(begin))
        return Not(inner=among, **self._since(begin)) if is_not else among

    def _list(self) -> tuple[Term, ...]:
        self._need("[")
        values = [self._operand()]
        while self._takes(","):
            values.append(self._operand())
        self._need("]")
        return tuple(values)

    def _operand(self) -> Term:
        begin = self.at
        if self._takes("("):
            self._deeper(begin)
            inner = self.either()
            self._need(")")
            self._depth -= 1
            return inner
        if self.text[begin : begin + 1] in ("'", '"'):
            value = self._string()
            return Literal(value=value, **self._since(begin))
        if (number := DIGITS.match(self.text, begin)) is not None:
            return self._number(number)
        if (word := _WORD.match(self.text, begin)) is not None and word[0] not in _TAKEN:
            return self._named(word)
        raise Mistaken(begin, f"a name or a value is expected here, not {self.shown()}")

    def _string(self) -> str:
        begin, mark, said = self.at, self.text[self.at], list[str]()
        at = begin + 1
        while at < len(self.text) and self.text[at] != mark:
            if self.text[at] == "\\":
                at += 1
                if self.text[at : at + 1] not in ("\\", "'", '"'):
                    raise Mistaken(at - 1, "behind a backslash there is a quote or another backslash")
            said.append(self.text[at])
            at += 1
        if at >= len(self.text):
            raise Mistaken(begin, "this text is not closed")
        self._skip(at + 1)
        return "".join(said)

    def _number(self, number: re.Match[str]) -> Term:
        begin = self.at
        unit = _UNIT.match(self.text, number.end())
        assert unit is not None  # it may be empty
        self._skip(unit.end())
        value: float = float(number[0])
        if unit[0] in _SIZES:
            value *= _SIZES[unit[0]]
        elif unit[0]:
            try:
                value = duration.seconds(number[0] + unit[0])
            except ValueError:
                reason = "is no unit; there are B, KB, MB, GB, TB, KiB, MiB, GiB, TiB, and ms, s, m, h"
                raise Mistaken(number.end(), f"{quoted(unit[0])} {reason}") from None
        return Literal(value=int(value) if value.is_integer() else value, **self._since(begin))

    def _named(self, word: re.Match[str]) -> Term:
        begin = self.at
        self._skip(word.end())
        if word[0] in CONSTANTS:
            return Literal(value=CONSTANTS[word[0]], **self._since(begin))
        if word[0] in ("json", "text") and self._takes("("):
            return self._read(begin, word[0])
        kind, _, rest = word[0].partition(".")
        if kind in ("flag", "param") and rest:
            return Name(kind=kind, name=rest, **self._since(begin))
        name, _, asked = rest.rpartition(".")
        if kind in ("input", "node") and name:
            return Name(kind=kind, name=name, asked=asked, **self._since(begin))
        raise Mistaken(begin, f"{quoted(word[0])} is no name; {NAMES}")

    def _read(self, begin: int, how: str) -> Term:
        """What is in the file of an input."""
        word = _WORD.match(self.text, self.at)
        kind, _, name = word[0].partition(".") if word else ("", "", "")
        if word is None or kind != "input" or not name:
            raise Mistaken(self.at, f"{how}() takes an input, as in {how}(input.probe), not {self.shown()}")
        self._skip(word.end())
        self._need(")", skip=False)
        if how == "text":
            term = Text(name=name, text=self.text[begin : self.at], at=begin)
            self._skip()
            return term
        path = list[str | int]()
        while (step := self._step()) is not None:
            path.append(step)
        found = Json(name=name, path=tuple(path), text=self.text[begin : self.at], at=begin)
        self._skip()
        return found

    def _step(self) -> str | int | None:
        """The next step into what is in the file."""
        if (key := _KEY.match(self.text, self.at)) is not None:
            self.at = key.end()
            return key[1]
        if self.text[self.at : self.at + 1] != "[":
            return None
        if (place := _PLACE.match(self.text, self.at)) is not None:
            self.at = place.end()
            return int(place[1])
        self._skip(self.at + 1)
        if self.text[self.at : self.at + 1] not in ("'", '"'):
            raise Mistaken(self.at, f"in brackets there is a place or a quoted key, not {self.shown()}")
        named = self._string()
        self._need("]", skip=False)
        return named

    def _deeper(self, begin: int) -> None:
        self._depth += 1
        if self._depth > MOST_DEPTH:
            raise Mistaken(begin, f"it is nested deeper than {MOST_DEPTH}")

    def _since(self, begin: int) -> dict[str, Any]:
        return {"text": self.text[begin : self.at].rstrip(), "at": begin}

    def _skip(self, to: int | None = None) -> None:
        space = _SPACE.match(self.text, self.at if to is None else to)
        assert space is not None  # it may be empty
        self.at = space.end()

    def _takes_word(self, word: str) -> bool:
        found = _WORD.match(self.text, self.at)
        if found is None or found[0] != word:
            return False
        self._skip(found.end())
        return True

    def _takes(self, mark: str) -> bool:
        if not self.text.startswith(mark, self.at):
            return False
        self._skip(self.at + 1)
        return True

    def _need(self, mark: str, *, skip: bool = True) -> None:
        if not self.text.startswith(mark, self.at):
            raise Mistaken(self.at, f"{quoted(mark)} is expected here, not {self.shown()}")
        self.at += 1
        if skip:
            self._skip()


NAMES = "names begin with input., flag., param. or node., and texts stand in quotes"


def quoted(text: str) -> str:
    """Some of the text, for a sentence."""
    cut = text if len(text) <= 100 else text[:100] + "…"
    return f"'{cut}'" if cut.isprintable() else ascii(cut)


def named(term: Term) -> Iterator[Name | Json | Text]:
    """Every name in the condition, in order."""
    match term:
        case Name() | Json() | Text():
            yield term
        case Not(inner=inner):
            yield from named(inner)
        case Every(parts=parts) | Some(parts=parts):
            for part in parts:
                yield from named(part)
        case Compared(left=left, right=right):
            yield from named(left)
            yield from named(right)
        case Among(left=left, values=values):
            yield from named(left)
            for value in values:
                yield from named(value)


def inputs(text: str) -> frozenset[str]:
    """The inputs that the condition asks about; none where the text is no condition."""
    try:
        names = named(parse(text))
    except Mistaken:
        return frozenset()
    return frozenset(name.name for name in names if not isinstance(name, Name) or name.kind == "input")
