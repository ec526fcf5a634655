"""How commands end: the exit codes, and which error means which."""

from pupload import errors

OK = 0
FAILED = 1
"""The command was understood and went wrong: an invalid flow, a run that failed, a check that found something."""
USAGE = 2
"""The command line cannot be carried out as written."""
UNREACHABLE = 3
"""The server, or something it needs, does not answer."""
INTERRUPTED = 130
"""Ctrl-C."""


class Usage(errors.Refused):
    """{reason}"""


class Failed(errors.PuploadError):
    """{reason}"""


def sentence_of(error: errors.PuploadError) -> str:
    """What went wrong, and what to try where that is not plain."""
    if isinstance(error, errors.ServerUnreachable):
        return f"{error.message}; is it running? `pup dev` starts one here, --url names another"
    if type(error) in (errors.TokenMissing, errors.Unauthenticated):
        return f"{error.message.rstrip('.')}; `pup login` lets you in, PUPLOAD_TOKEN and --token-file name a token"
    return error.message


def code_of(error: errors.PuploadError) -> int:
    """The exit code."""
    if isinstance(error, Usage):
        return USAGE
    return UNREACHABLE if isinstance(error, errors.TryLater) else FAILED
