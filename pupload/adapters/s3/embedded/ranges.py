"""
Byte ranges (RFC 9110, section 14). Pure.

One range is answered; several at once are not (S3 does not either): the whole object is sent then, as the standard
allows. So it is with a range nobody can read.
"""

import re

from pupload.adapters.s3.embedded.refusals import Refusal

_ONE = re.compile(r"bytes\s*=\s*(\d*)\s*-\s*(\d*)\s*", re.IGNORECASE)
_COPY = re.compile(r"bytes=(\d+)-(\d+)")


def read(header: str, size: int) -> tuple[int, int] | None:
    """
    `(start, length)` of the bytes asked for; None where all are to be sent.

    Raises `Refusal` InvalidRange when the object has none of them.
    """
    match = _ONE.fullmatch(header.strip())
    if match is None or match[1] == match[2] == "":
        return None
    if match[1] == "":
        start, stop = max(0, size - _number(match[2])), size
    else:
        start = _number(match[1])
        stop = min(size, _number(match[2]) + 1) if match[2] else size
        if match[2] and _number(match[2]) < start:
            return None
    if start >= stop:
        raise Refusal("InvalidRange", headers={"Content-Range": f"bytes */{size}"}, ActualObjectSize=str(size))
    return start, stop - start


def read_copy(header: str, size: int) -> tuple[int, int]:
    """`(start, length)` of `x-amz-copy-source-range`, which must be whole and inside. Raises `Refusal`."""
    match = _COPY.fullmatch(header.strip())
    if match is None:
        raise Refusal("InvalidArgument", "The x-amz-copy-source-range value must be of the form bytes=first-last.")
    start, last = _number(match[1]), _number(match[2])
    if last < start or last >= size:
        raise Refusal("InvalidRange", f"Range specified is not valid for source object of size: {size}")
    return start, last - start + 1


def _number(digits: str) -> int:
    # A thousand digits are no size, and int() of them is no bargain.
    return int(digits) if len(digits) < 20 else 1 << 64
