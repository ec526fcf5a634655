"""How many files and connections this process may have open."""

import resource

ENOUGH = 65536
"""Nobody needs more, and where there is no limit at all some systems reckon with an enormous one."""


def raise_limit() -> int:
    """Lets this process open as many files as it may at most; how many that are."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = ENOUGH if hard == resource.RLIM_INFINITY else min(hard, ENOUGH)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        return wanted
    return ENOUGH if soft == resource.RLIM_INFINITY else soft
