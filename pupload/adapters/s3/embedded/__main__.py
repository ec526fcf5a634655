"""
`python -m pupload.adapters.s3.embedded`: runs the store until SIGTERM, or until whoever holds its stdin is gone.

When it serves it says so on stdout: `ready http://host:port`. Its keys are in `credentials.json` in the data folder.
"""

import argparse
import asyncio
import logging
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

from pupload.adapters.s3.embedded import server
from pupload.adapters.s3.embedded.room import Limits


def _parse(arguments: list[str]) -> server.Settings:
    limits = Limits()
    parser = argparse.ArgumentParser(prog="python -m pupload.adapters.s3.embedded", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the folder of everything it keeps")
    parser.add_argument("--host", action="append", dest="hosts", help="an address to listen on (default 127.0.0.1)")
    parser.add_argument("--port", type=int, default=0, help="0 finds a free one")
    parser.add_argument("--control", type=Path, help="path of the engine's socket")
    parser.add_argument("--region", default="us-east-1")
    parser.add_argument("--bucket", action="append", dest="buckets", default=[], help="made at the start")
    parser.add_argument("--domain", action="append", dest="domains", default=[], help="for bucket.domain in a Host")
    sizes = {
        "--max-object": (limits.max_object, "bytes of the largest object"),
        "--max-total": (limits.max_total, "bytes of all objects together; 0: no limit"),
        "--min-free": (limits.min_free, "bytes of the disk that must stay free"),
        "--max-bodies": (limits.max_bodies, "bodies received at the same time"),
    }
    for name, (default, text) in sizes.items():
        parser.add_argument(name, type=int, default=default, help=f"{text} (default {default})")
    parser.add_argument("--wait", type=float, default=limits.wait_seconds, help="seconds a body waits for its turn")
    parser.add_argument("--stall", type=float, default=limits.stall_seconds, help="seconds a body may bring nothing")
    parser.add_argument(
        "--lock-wait", type=float, default=10.0, help="seconds another process on the data may take to end"
    )
    given = parser.parse_args(arguments)
    return server.Settings(
        data=given.data.absolute(),
        hosts=given.hosts or ["127.0.0.1"],
        port=given.port,
        control=given.control,
        region=given.region,
        buckets=given.buckets,
        domains=["localhost", *given.domains],
        limits=Limits(
            max_object=given.max_object,
            max_total=given.max_total,
            min_free=given.min_free,
            max_bodies=given.max_bodies,
            wait_seconds=given.wait,
            stall_seconds=given.stall,
        ),
        lock_seconds=given.lock_wait,
    )


def _now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - the edge of this process: here its clock is


def _say_ready(url: str) -> None:
    sys.stdout.write(f"ready {url}\n")
    sys.stdout.flush()


def main() -> int:
    """The exit code."""
    settings = _parse(sys.argv[1:])
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s %(message)s", stream=sys.stderr)
    os.umask(0o077)
    try:
        asyncio.run(server.serve(settings, clock=_now, ready=_say_ready))
    except (server.Locked, OSError) as error:
        sys.stderr.write(f"the store cannot start: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
