"""
The names of runs: `run_` and a ULID, 128 bits of which the first 48 are the moment of making in milliseconds.

The same bits written as a UUID, and the bare ULID in any case, mean the same run; everything inside pupload uses the
canonical form. Making new ids needs a clock and chance and is `pupload.ports.Ids`.

An artifact has no id of its own: the one that is shown follows from the run and the edge.
"""

import hashlib
import re
import uuid

PREFIX = "run_"
ARTIFACT_PREFIX = "artifact_"
RANDOM_BITS = 80
TIME_BITS = 48

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base 32: no I, L, O, U."""
_LENGTH = 26
_TIME_LETTERS = 10
_VALUES = {letter: value for value, letter in enumerate(_ALPHABET)}
_ULID = re.compile(f"[0-7][{_ALPHABET}]{{{_LENGTH - 1}}}")
"""26 letters hold 130 bits: the first may be 7 at most."""
_UUID = re.compile(r"[0-9A-F]{8}-[0-9A-F]{4}-[0-9A-F]{4}-[0-9A-F]{4}-[0-9A-F]{12}")


def run_id(bits: int) -> str:
    """The canonical id of these 128 bits. Ids sort as text like their bits."""
    if not 0 <= bits < 1 << (TIME_BITS + RANDOM_BITS):
        raise ValueError("an id has 128 bits")
    return PREFIX + _letters(bits)


def canonical_run_id(text: str) -> str | None:
    """`text` in canonical form, None when it can name no run: takes `run_` and a ULID, a bare ULID, a UUID."""
    bits = _bits(text)
    return None if bits is None else run_id(bits)


def uuid_of(run_id: str) -> str:
    """The same bits as UUID text, lower case. Raises ValueError when `run_id` is no run id."""
    bits = _bits(run_id)
    if bits is None:
        raise ValueError(f"{run_id!r} is no run id")
    return str(uuid.UUID(int=bits))


def milliseconds_of(run_id: str) -> int:
    """When the id was made, in milliseconds since 1970. Raises ValueError when `run_id` is no run id."""
    bits = _bits(run_id)
    if bits is None:
        raise ValueError(f"{run_id!r} is no run id")
    return bits >> RANDOM_BITS


def artifact_id(run_id: str, edge: str) -> str:
    """
    `artifact_` and a ULID: the moment is that of the run's id, the rest a hash of both.

    Raises ValueError when `run_id` is no run id.
    """
    made = milliseconds_of(run_id) << RANDOM_BITS
    told = int.from_bytes(hashlib.sha256(f"{run_id}/{edge}".encode()).digest()[: RANDOM_BITS // 8])
    return ARTIFACT_PREFIX + _letters(made | told)


def canonical_artifact_id(text: str) -> str | None:
    """`text` in canonical form, None when it can name no artifact; spelled as ids of runs are."""
    bare = text.removeprefix(ARTIFACT_PREFIX)
    bits = None if bare.startswith(PREFIX) else _bits(bare)
    return None if bits is None else ARTIFACT_PREFIX + _letters(bits)


def runs_of_artifact(artifact_id: str) -> tuple[str, str]:
    """The first and the last id of the runs that may have the artifact: those of one moment."""
    moment = PREFIX + artifact_id.removeprefix(ARTIFACT_PREFIX)[:_TIME_LETTERS]
    rest = _LENGTH - _TIME_LETTERS
    return moment + _ALPHABET[0] * rest, moment + _ALPHABET[-1] * rest


def _letters(bits: int) -> str:
    return "".join(_ALPHABET[(bits >> shift) & 31] for shift in range(5 * (_LENGTH - 1), -1, -5))


def _bits(text: str) -> int | None:
    if not text.isascii():  # some letters become ASCII only when they are made capitals
        return None
    letters = text.removeprefix(PREFIX).upper()
    if _ULID.fullmatch(letters):
        bits = 0
        for letter in letters:
            bits = bits << 5 | _VALUES[letter]
        return bits
    if not text.startswith(PREFIX) and _UUID.fullmatch(letters):
        return int(letters.replace("-", ""), 16)
    return None
