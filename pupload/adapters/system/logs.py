"""
Where log lines go, and what none of them holds.

Our own lines name no query strings to begin with. The formatter is for those of libraries, and for tracebacks, which
hold whatever an error was made of.
"""

import logging
import sys
from typing import TextIO

from pupload.domain.masking import without_signatures

TALKATIVE = ("boto3", "botocore", "docker", "minio", "urllib3")
"""Libraries that write requests down when they debug, signatures and all."""


class Discreet(logging.Formatter):
    """Leaves out of each line, tracebacks included, what presigned URLs are signed with."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        return without_signatures(super().format(record))


def set_up(level: str, *, requests: bool, stream: TextIO | None = None) -> None:
    """Log lines from `level` on go to `stream` (stderr), once; with `requests` one for each request as well."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(Discreet("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=level, handlers=[handler])
    logging.getLogger("pupload.access").setLevel("INFO" if requests else "WARNING")
    logging.getLogger("alembic").setLevel("WARNING")
    if level == "DEBUG":
        for name in TALKATIVE:
            logging.getLogger(name).setLevel("INFO")
