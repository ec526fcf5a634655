"""Making buckets ready, and finding keys, by boto3: against the embedded store and the chain's own sources."""

import asyncio
import json
import logging
import threading
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import botocore.session
import pytest
from aiohttp import web

from pupload import errors
from pupload.adapters.s3 import admin, buckets, client, places, signing, supervisor
from pupload.adapters.system import clock
from tests.adapters.s3 import faulty
from tests.adapters.s3.faulty import error, in_turn, says, scene


@pytest.fixture
async def process(tmp_path: Path) -> AsyncIterator[supervisor.EmbeddedProcess]:
    process = supervisor.EmbeddedProcess(data=tmp_path / "store", clock=clock.SystemClock())
    await process.start()
    yield process
    await process.stop()


# ── Buckets ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_bucket_is_made_and_lets_browsers_in(process: supervisor.EmbeddedProcess) -> None:
    store = client.S3Store(
        name="s",
        endpoint=process.endpoint,
        bucket="fresh",
        credentials=process.credentials,
        clock=clock.SystemClock(),
    )
    with pytest.raises(errors.StoreRefused):
        await store.stat("k")
    await store.ensure_ready()
    await store.ensure_ready()
    rules = await asyncio.to_thread(cors_rules, store.bucket, process.credentials)
    assert [rule["ID"] for rule in rules] == ["pupload"]
    await store.close()


def cors_rules(bucket: places.Bucket, credentials: signing.Credentials) -> list[dict[str, object]]:
    boto = buckets.connect(bucket, "us-east-1", credentials)
    try:
        return list(boto.get_bucket_cors(Bucket=bucket.name)["CORSRules"])  # type: ignore[arg-type]
    finally:
        boto.close()


OTHER_RULE = (
    "<CORSConfiguration><CORSRule><ID>theirs</ID><AllowedOrigin>https://app.example</AllowedOrigin>"
    "<AllowedMethod>GET</AllowedMethod></CORSRule></CORSConfiguration>"
)


async def test_rules_that_are_there_stay() -> None:
    def choose(request: web.Request) -> faulty.Answer:
        return says(200, OTHER_RULE) if request.method == "GET" else says(200)

    async with scene(in_turn(choose)) as at:
        await at.store.ensure_ready()
        put = at.server.asked[-1]
        assert (put.method, put.query) == ("PUT", "cors")
        assert put.body.index(b"theirs") < put.body.index(b"<ID>pupload</ID>")


async def test_a_store_without_cors_is_ready_all_the_same(caplog: pytest.LogCaptureFixture) -> None:
    def choose(request: web.Request) -> faulty.Answer:
        return error(501, "NotImplemented") if "cors" in request.query else says(200)

    async with scene(in_turn(choose)) as at:
        with caplog.at_level(logging.WARNING):
            await at.store.ensure_ready()
    assert "CORS" in caplog.text


async def test_a_region_that_is_but_a_word_does_not_hinder() -> None:
    asked: list[bytes] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.method == "HEAD":
            return web.Response(status=404)
        if request.method == "PUT" and not request.query_string:
            asked.append(await request.read())
            if asked[-1]:
                return await error(400, "InvalidLocationConstraint")(request)
        return web.Response()

    async with scene(answer) as at:
        at.store.region = "my-rack"
        await at.store.ensure_ready()
    assert b"my-rack" in asked[0]
    assert asked[1:] == [b""]


@pytest.mark.parametrize(
    ("answer", "meaning"),
    [(says(403), errors.ObjectForbidden), (says(400), errors.StoreRefused)],
)
async def test_a_bucket_that_cannot_be_made_ready_is_told(
    answer: faulty.Answer, meaning: type[errors.PuploadError]
) -> None:
    async with scene(answer) as at:
        with pytest.raises(meaning):
            await at.store.ensure_ready()


async def test_a_store_that_is_gone_is_unavailable(process: supervisor.EmbeddedProcess) -> None:
    bucket = places.Bucket(endpoint=process.endpoint, name="fresh")
    await process.stop()
    with pytest.raises(errors.StoreUnavailable):
        await admin.ensure_bucket("s", bucket, "us-east-1", process.credentials)


# ── Keys ─────────────────────────────────────────────────────────────────────────────────────────────────────────


class Chain:
    """A chain whose only source is a program, as a sign-on would be: it prints keys that end in a while."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, *, lasts: timedelta) -> None:
        self.keys = folder / "keys.json"
        self.lasts = lasts
        self.tell("first")
        (folder / "config").write_text(f"[default]\ncredential_process = cat {self.keys}\n")
        monkeypatch.setenv("AWS_CONFIG_FILE", str(folder / "config"))
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(folder / "none"))
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
            monkeypatch.delenv(name, raising=False)
        self.session = botocore.session.Session()

    def tell(self, access_key: str) -> None:
        until = (datetime.now(UTC) + self.lasts).isoformat()
        told = {
            "Version": 1,
            "AccessKeyId": access_key,
            "SecretAccessKey": "s",
            "SessionToken": "t",
            "Expiration": until,
        }
        self.keys.write_text(json.dumps(told))


async def test_keys_of_the_chain_are_found_and_carry_their_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain = Chain(tmp_path, monkeypatch, lasts=timedelta(hours=1))
    keys = admin.ChainKeys(faulty.QuickClock(), chain.session)
    await keys.ready()
    assert keys.current() == signing.Credentials("first", "s", "t")


async def test_keys_that_will_end_are_refreshed_while_the_old_ones_serve(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """botocore asks anew when less than a quarter of an hour is left."""
    chain = Chain(tmp_path, monkeypatch, lasts=timedelta(minutes=14))
    quick = faulty.QuickClock()
    keys = admin.ChainKeys(quick, chain.session)
    assert keys.current().access_key == "first"
    chain.tell("second")
    quick.later += timedelta(minutes=2)
    assert keys.current().access_key == "first"  # nobody waits for the refresh
    looking = keys._looking
    assert looking is not None
    done = threading.Event()
    looking.add_done_callback(lambda _: done.set())
    assert await asyncio.to_thread(done.wait, 20)
    assert keys.current().access_key == "second"


async def test_no_keys_anywhere_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chain = Chain(tmp_path, monkeypatch, lasts=timedelta(hours=1))
    (tmp_path / "config").write_text("")
    keys = admin.ChainKeys(faulty.QuickClock(), chain.session)
    for _ in range(2):
        with pytest.raises(errors.Misconfigured) as raised:
            await keys.ready()
        assert "AccessKey" in str(raised.value)
