"""
Checksums of objects in parts, from those of their parts. Pure.

S3 knows two kinds: COMPOSITE, a checksum of the parts' checksums with their number behind it; and FULL_OBJECT, of the
bytes themselves. The second can be had from the parts' own for CRCs, which can be added up; not for hashes.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from pupload.adapters.s3.embedded import checksums
from pupload.adapters.s3.embedded.refusals import Refusal

FULL, COMPOSITE = "FULL_OBJECT", "COMPOSITE"

_POLYNOMIAL = 0xEDB88320


@dataclass(frozen=True, slots=True)
class Both:
    """A checksum of an object in parts, in Base64; `full` is empty where it cannot be had."""

    composite: str
    full: str = ""

    def of_kind(self, kind: str) -> tuple[str, str]:
        """The checksum of this kind with its kind; the composite one where that cannot be had."""
        return (self.full, kind) if kind == FULL and self.full else (self.composite, COMPOSITE)


def usual_kind(name: str) -> str:
    """What S3 makes of it where nobody says: its newest, the AWS command line's own, is never composite."""
    return FULL if name == "crc64nvme" else COMPOSITE


def of_parts(parts: Sequence[Mapping[str, str]], sizes: Sequence[int]) -> dict[str, Both]:
    """By name, for every checksum that all parts have."""
    common = set(parts[0]).intersection(*parts[1:])
    return {name: _of_parts(name, [base64.b64decode(part[name]) for part in parts], sizes) for name in common}


def check(found: Mapping[str, Both], claimed: Mapping[str, str]) -> None:
    """Raises `Refusal` BadDigest unless everything claimed is so, NotImplemented where that cannot be told."""
    for name, value in claimed.items():
        both = found.get(name)
        is_composite = "-" in value
        if both is None or not (is_composite or both.full):
            raise Refusal("NotImplemented", f"The {name.upper()} of the whole object cannot be told from these parts.")
        if value != (both.composite if is_composite else both.full):
            raise Refusal("BadDigest", f"The {name.upper()} you specified did not match the calculated checksum.")


def _of_parts(name: str, raw: Sequence[bytes], sizes: Sequence[int]) -> Both:
    running = checksums.start(name)
    running.update(b"".join(raw))
    composite = f"{checksums.write(running.digest())}-{len(raw)}"
    combine = combine_crc32 if name == "crc32" else checksums.combiner(name)
    if combine is None:
        return Both(composite)
    full = 0
    for one, size in zip(raw, sizes, strict=True):
        full = combine(full, int.from_bytes(one, "big"), size)
    return Both(composite, checksums.write(full.to_bytes(checksums.SIZES[name], "big")))


def combine_crc32(first: int, second: int, second_size: int) -> int:
    """The CRC32 of two runs of bytes one after the other, from theirs."""
    return _times(_shift(second_size), first) ^ second


@lru_cache(maxsize=256)
def _shift(size: int) -> int:
    """x to the power of 8·size, modulo the polynomial: what appending so many bytes does to a CRC."""
    result, power = 1 << 31, 1 << 23
    while size:
        if size & 1:
            result = _times(power, result)
        power = _times(power, power)
        size >>= 1
    return result


def _times(a: int, b: int) -> int:
    """The product of two polynomials over GF(2), bits reflected as CRC32 has them."""
    product = 0
    for bit in range(31, -1, -1):
        if a >> bit & 1:
            product ^= b
        b = b >> 1 ^ (_POLYNOMIAL if b & 1 else 0)
    return product
