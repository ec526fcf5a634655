"""
Holds what a real server left to what it promised: `python -m tests.check --data FOLDER`.

Reads the database (SQLite in the folder, or `--database-url`), the store, the container engine and the attempts'
directories, and has `tests.checker` judge them. Nothing is changed. The server may be running or not; where it does
not run, its store is started for the moment, unless `--store-url` names one that runs.
"""

import argparse
import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import docker
import docker.utils

from pupload import ports, storing
from pupload.adapters.db import journal, outbox, postgres, postgres_readers, readers, runs, session, statements
from pupload.adapters.db.hub import Hub
from pupload.adapters.db.me import Me
from pupload.adapters.db.sealed import Seal
from pupload.adapters.docker.executor import DockerExecutor
from pupload.adapters.docker.names import INSTANCE
from pupload.adapters.s3 import places, signing
from pupload.adapters.sealing.sealer import FileSealer
from pupload.adapters.system.clock import SystemClock
from pupload.settings import Settings
from tests.checker import Checker, Violation, as_json, describe

PATIENCE_SECONDS = 10.0

SETTLING_SECONDS = 30.0
"""What clearing up takes at most, on a machine that does much else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """What a server left, open for reading."""

    checker: Checker
    instance: str
    attempts: Sequence[Path]
    """More directories of attempts."""
    runs: ports.RunStore
    journal: ports.Journal

    async def judge(
        self, *, ended: bool, said: Mapping[str, Sequence[str]] | None = None, output: Sequence[str] = ()
    ) -> list[Violation]:
        """All violations; the arguments are those of `Checker.judge`."""
        broken = await self.checker.judge(ended=ended, said=said, output=output)
        for path in (path for folder in self.attempts for path in sorted(folder.iterdir()) if ended):
            broken.append(Violation(invariant="I8", run=path.name.partition(".")[0], sentence=f"{path} is left"))
        return [*broken, *await asyncio.to_thread(_volumes, self.instance)]

    async def settled(self, *, output: Sequence[str] = ()) -> list[Violation]:
        """As `judge` of what has ended, on a server that runs and has time to clear up."""
        until = time.monotonic() + SETTLING_SECONDS
        while True:
            broken = await self.judge(ended=True, output=output)
            if {one.invariant for one in broken} != {"I8"} or time.monotonic() > until:
                return broken
            await asyncio.sleep(0.1)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Served:
    """An embedded store that somebody else runs, as far as `storing` asks for it."""

    endpoint: places.Endpoint
    credentials: signing.Credentials
    control: Path
    bucket: str = "pupload"


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """Which server's."""

    data: Path
    database_url: str = ""
    store_url: str = ""
    """Of the embedded store, where it runs; empty: it is started, or the settings name another store."""
    docker_host: str = ""
    attempts: tuple[Path, ...] = ()
    """Directories of attempts of other servers on the same database."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """Of the server, beside those that the environment gives: of another store than the embedded one."""
    room: Mapping[str, float] = field(default_factory=dict)


@asynccontextmanager
async def opened(where: Where) -> AsyncIterator[Left]:
    """What is left there. Raises `errors.PuploadError` for what cannot be opened."""
    async with AsyncExitStack() as stack:
        clock = SystemClock()
        reading = _readers(where)
        stack.push_async_callback(reading.close)
        instance = await reading.do(_instance)
        stores = await stack.enter_async_context(_stores(where, clock))
        executor = DockerExecutor(instance=instance, clock=clock, host=where.docker_host or None)
        stack.push_async_callback(executor.close)
        seal = Seal(FileSealer(_key_file(where)))
        kept = runs.Runs(_NoWriter(), reading, Me(), seal)
        story = journal.Journal(_NoWriter(), reading, Hub())
        checker = Checker(
            runs=kept,
            journal=story,
            stores=stores,
            executor=executor,
            clock=clock,
            attempts_root=where.data / "attempts",
            room=where.room,
            secrets=_secrets(where),
            outbox=outbox.Outbox(_NoWriter(), reading, seal),
            operator_url=where.settings.get("callback_url") or os.environ.get("PUPLOAD_CALLBACK_URL", ""),
        )
        yield Left(checker=checker, instance=instance, attempts=where.attempts, runs=kept, journal=story)


def _key_file(where: Where) -> Path:
    said = where.settings.get("secret_key_file") or os.environ.get("PUPLOAD_SECRET_KEY_FILE")
    return Path(said) if said else where.data / "secret.key"


class _NoWriter:
    """Nothing is written here."""

    async def do(self, *_: object, **__: object) -> Any:
        raise AssertionError("a check writes nothing")


def _readers(where: Where) -> Any:
    if where.database_url:
        engine = postgres.make_engine(where.database_url, connections=2)
        name = postgres.name_of(where.database_url)
        return postgres_readers.PostgresReaders(engine, name, patience_seconds=PATIENCE_SECONDS)
    return readers.Readers(where.data / "pupload.db")


def _instance(reading: session.Session) -> str:
    return str(reading.run(statements.META, {"name": "instance"}).fetchone()[0])


@asynccontextmanager
async def _stores(where: Where, clock: ports.Clock) -> AsyncIterator[ports.Stores]:
    given: dict[str, Any] = {**where.settings, "data": where.data, "store_port": 0}
    settings = Settings(**given)
    folder = where.data / "store"
    if where.store_url:
        parts = urlsplit(where.store_url)
        found = _keys(folder)
        served = _Served(
            endpoint=places.Endpoint(parts.scheme, parts.netloc),
            credentials=signing.Credentials(found["access_key"], found["secret_key"]),
            control=folder / "control.sock",
            bucket=settings.store_bucket,
        )
        stores = storing._embedded_stores(settings, served, clock)  # type: ignore[arg-type]
        try:
            yield stores
        finally:
            await stores.close()
        return
    async with storing.opened_stores(settings, where.data, clock) as made:
        yield made


def _keys(folder: Path) -> dict[str, str]:
    found: dict[str, str] = json.loads((folder / "credentials.json").read_text())
    return found


def _secrets(where: Where) -> tuple[str, ...]:
    """What must be read nowhere: the store's key, the database's password."""
    try:
        keys = [_keys(where.data / "store")["secret_key"]]
    except OSError:
        keys = []
    password = urlsplit(where.database_url).password
    return (*keys, *([password] if password else []))


def _volumes(instance: str) -> list[Violation]:
    """I8: volumes and networks that carry the instance's name."""
    labelled = {"label": f"{INSTANCE}={instance}"}
    client: Any = docker.APIClient(**docker.utils.kwargs_from_env())
    with closing(client):
        found = [f"volume {each['Name']} is left" for each in client.volumes(filters=labelled)["Volumes"] or []]
        found += [f"network {each['Name']} is left" for each in client.networks(filters=labelled)]
    return [Violation(invariant="I8", run="", sentence=one) for one in found]


# ── By hand ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def _look(where: Where, *, ended: bool, log: Sequence[str]) -> list[Violation]:
    async with opened(where) as left:
        return await left.judge(ended=ended, output=log)


def main() -> int:
    """0 where every promise was kept, else 1."""
    given = argparse.ArgumentParser(prog="python -m tests.check", description=__doc__)
    given.add_argument("--data", type=Path, required=True, help="the server's data folder")
    given.add_argument("--database-url", default=os.environ.get("PUPLOAD_DATABASE_URL", ""), help="its PostgreSQL")
    given.add_argument("--store-url", default="", help="where its embedded store listens, when the server runs")
    given.add_argument("--docker-host", default="", help="its container engine")
    given.add_argument("--ended", action="store_true", help="every run should be over by now")
    given.add_argument("--log", type=Path, help="what the server wrote to stderr: no secret may be in it")
    given.add_argument("--json", action="store_true", help="the violations as a JSON list")
    said = given.parse_args()
    where = Where(
        data=said.data.absolute(),
        database_url=said.database_url,
        store_url=said.store_url,
        docker_host=said.docker_host,
    )
    log = said.log.read_text(errors="replace").splitlines() if said.log else ()
    broken = asyncio.run(_look(where, ended=said.ended, log=log))
    print(json.dumps(as_json(broken)) if said.json else describe(broken))
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
