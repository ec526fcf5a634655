"""
What to say when the wall clock and the time that runs are told (`ports.Clock`) differ.
"""

from datetime import timedelta

FORGIVEN_SECONDS = 5.0
"""A difference up to this is not worth a word."""


def complaint(skew: timedelta) -> str:
    """A sentence about how far the wall clock is ahead of the time that runs have; empty where it is not worth one."""
    seconds = skew.total_seconds()
    if abs(seconds) <= FORGIVEN_SECONDS:
        return ""
    where = "ahead of" if seconds > 0 else "behind"
    return (
        f"the wall clock is {abs(seconds):.0f} s {where} the time that runs have: it was set. Their deadlines are "
        "kept, and their time follows slowly; stores and other servers refuse signatures if the wall clock is wrong"
    )
