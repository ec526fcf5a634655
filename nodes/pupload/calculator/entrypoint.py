#!/usr/bin/python3
"""
Works out an arithmetic expression: numbers, brackets, operators and a few functions, and nothing else that Python has.

    INPUT_INPUT       the expression where no flag says it; else an object of numbers that it may name
    FLAG_EXPRESSION   the expression, such as (a + b) / 2            OUTPUT_RESULT   the number, as JSON

A grammar of its own, read by recursive descent. Whole numbers are exact up to 4096 bits, all others doubles.
"""

import math
import operator
import re
import sys
from collections.abc import Callable, Mapping

import node
import passing

MOST_CHARACTERS, MOST_DEPTH, MOST_BITS = 10_000, 50, 4096

Number = int | float

_TOKEN = re.compile(
    r"\s*(?:((?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)|([A-Za-z_][A-Za-z0-9_]*)|(\*\*|//|[-+*/%^(),]))"
)

OPERATORS: Mapping[str, Callable[[Number, Number], Number]] = {
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
}

CONSTANTS: Mapping[str, Number] = {"pi": math.pi, "e": math.e, "tau": math.tau}

FUNCTIONS: Mapping[str, tuple[Callable[..., Number], int, int]] = {
    "abs": (abs, 1, 1),
    "ceil": (math.ceil, 1, 1),
    "cos": (math.cos, 1, 1),
    "exp": (math.exp, 1, 1),
    "floor": (math.floor, 1, 1),
    "log": (math.log, 1, 2),
    "log10": (math.log10, 1, 1),
    "log2": (math.log2, 1, 1),
    "max": (max, 2, 100),
    "min": (min, 2, 100),
    "round": (lambda value, digits=0: round(value, int(digits)) if digits else round(value), 1, 2),
    "sin": (math.sin, 1, 1),
    "sqrt": (math.sqrt, 1, 1),
    "tan": (math.tan, 1, 1),
}
"""By name: what is worked out, and of how many numbers at least and at most."""


class Mistaken(Exception):
    """The expression is none, or cannot be worked out."""


def main() -> None:
    """Does what the flag or the input says."""
    said = passing.value_of(passing.source("input"), "input") if passing.bound("input") else None
    expression, known = node.flag("expression"), dict[str, Number]()
    if expression and isinstance(said, dict):
        known = {str(name): value for name, value in said.items() if isinstance(value, int | float)}
    elif expression and isinstance(said, int | float) and not isinstance(said, bool):
        known = {"input": said}
    elif not expression:
        expression = (
            passing.as_text(said.get("expression") if isinstance(said, dict) else said) if said is not None else ""
        )
    code = node.WRONG_FLAG if node.flag("expression") else node.WRONG_INPUT
    if not expression.strip():
        node.die(code, "there is no expression: set flag expression, or give one on input")
    try:
        found = bounded(Reader(expression, known).whole())
    except Mistaken as error:
        node.die(code, f"the expression cannot be worked out: {error}")
    except (ArithmeticError, ValueError, TypeError) as error:
        node.die(code, f"the expression has no result: {error}")
    passing.write("result", found)
    node.say(f"{node.plain(expression)} = {found}", 1)


class Reader:
    """Reads and works out at once, level by level of the grammar."""

    def __init__(self, text: str, known: Mapping[str, Number]) -> None:
        if len(text) > MOST_CHARACTERS:
            raise Mistaken(f"it is longer than {MOST_CHARACTERS} characters")
        self.tokens, self.place, self.depth, self.known = tokens(text), 0, 0, known

    def whole(self) -> Number:
        """All of it."""
        found = self.sum()
        if self.place < len(self.tokens):
            raise Mistaken(f"'{self.tokens[self.place]}' is not expected")
        return found

    def sum(self) -> Number:
        """`… + …`, `… - …`"""
        found = self.product()
        while (sign := self.takes("+", "-")) is not None:
            right = self.product()
            found = bounded(found + right if sign == "+" else found - right)
        return found

    def product(self) -> Number:
        """`… * …`, `… / …`, `… // …`, `… % …`"""
        found = self.signed()
        while (sign := self.takes("*", "/", "//", "%")) is not None:
            right = self.signed()
            found = bounded(OPERATORS[sign](found, right))
        return found

    def signed(self) -> Number:
        """`-…`, `+…`"""
        minus = False
        while (sign := self.takes("-", "+")) is not None:
            minus ^= sign == "-"
        found = self.power()
        return -found if minus else found

    def power(self) -> Number:
        """`… ** …`, from the right."""
        base = self.value()
        if self.takes("**", "^") is None:
            return base
        self.deeper()
        exponent = self.signed()
        self.depth -= 1
        return power(base, exponent)

    def value(self) -> Number:
        """A number, a name, a function or what is in brackets."""
        if self.place >= len(self.tokens):
            raise Mistaken("it ends too early")
        word = self.tokens[self.place]
        self.place += 1
        if word == "(":
            self.deeper()
            found = self.sum()
            self.need(")")
            self.depth -= 1
            return found
        if word[0].isdigit() or word[0] == ".":
            return as_number(word)
        if word[0].isalpha() or word[0] == "_":
            return self.named(word)
        raise Mistaken(f"'{word}' is not expected")

    def named(self, name: str) -> Number:
        """What a name stands for."""
        if name in FUNCTIONS and self.takes("(") is not None:
            self.deeper()
            values = [self.sum()]
            while self.takes(",") is not None:
                values.append(self.sum())
            self.need(")")
            self.depth -= 1
            function, least, most = FUNCTIONS[name]
            if not least <= len(values) <= most:
                raise Mistaken(f"{name} takes {least if least == most else f'{least} to {most}'} numbers")
            return bounded(function(*values))
        if name in self.known:
            return bounded(self.known[name])
        if name in CONSTANTS:
            return CONSTANTS[name]
        raise Mistaken(f"'{name[:50]}' is not known; there are {', '.join([*FUNCTIONS, *CONSTANTS, *self.known][:40])}")

    def deeper(self) -> None:
        """Into brackets."""
        self.depth += 1
        if self.depth > MOST_DEPTH:
            raise Mistaken(f"it is nested deeper than {MOST_DEPTH}")

    def takes(self, *signs: str) -> str | None:
        """The next token, where it is one of these."""
        if self.place < len(self.tokens) and self.tokens[self.place] in signs:
            self.place += 1
            return self.tokens[self.place - 1]
        return None

    def need(self, sign: str) -> None:
        """The next token has to be this one."""
        if self.takes(sign) is None:
            raise Mistaken(f"'{sign}' is missing")


def tokens(text: str) -> list[str]:
    """The numbers, names and signs of the text."""
    found, at, text = list[str](), 0, text.rstrip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise Mistaken(f"'{text[at:].lstrip()[:1]}' is not expected")
        found.append(match[1] or match[2] or match[3])
        at = match.end()
    return found


def as_number(token: str) -> Number:
    """The number that is written so."""
    return bounded(int(token) if token.isdigit() and len(token) <= 1300 else float(token))


def power(base: Number, exponent: Number) -> Number:
    """One to the power of the other, which is not tried where it has more digits than anybody writes."""
    if isinstance(base, int) and isinstance(exponent, int) and exponent >= 0:
        if abs(base) > 1 and exponent * abs(base).bit_length() > 2 * MOST_BITS:
            raise Mistaken("a number in it is too large")
        return bounded(base**exponent)
    return bounded(float(base) ** float(exponent))


def bounded(value: object) -> Number:
    """The number, where it is one and not too large."""
    if isinstance(value, complex) or not isinstance(value, int | float):
        raise Mistaken("it has no real result")
    if isinstance(value, int):
        if value.bit_length() > MOST_BITS:
            raise Mistaken("a number in it is too large")
    elif not math.isfinite(value):
        raise Mistaken("a number in it is too large, or none")
    return value


if __name__ == "__main__":
    sys.exit(main())
