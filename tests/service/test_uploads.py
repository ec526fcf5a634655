"""Uploads: fresh URLs, parts, webhooks, and the word that it is there."""

import asyncio
import hashlib
import hmac
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from pupload import errors
from pupload.domain import signing
from pupload.domain.run import Run, Status
from pupload.service import uploads
from pupload.service.views import RunView, UploadTicket, WaitingUpload
from tests.bench import PNG, TEXT, Bench, a_bench, copies
from tests.builders import a_chain, a_definition, a_flow, a_node, a_port, a_well
from tests.engine.worlds import Faulty, Gate, OneStore, changed

IMAGE = "pupload/resize:latest"
MIB = uploads.MIB


async def the_waiting(bench: Bench, run: Run) -> WaitingUpload:
    (waiting,) = (await bench.view(run)).waiting
    return waiting


# ── Fresh URLs ───────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_url_that_expired_is_had_anew(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        bench.image(IMAGE, copies("image", "resized"))
        run = await bench.start(a_flow())
        old = (await the_waiting(bench, run)).url
        await bench.clock.run_for(3601)
        with pytest.raises(errors.ObjectForbidden, match="expired"):
            await bench.store.use("PUT", old, PNG)
        ticket = await bench.uploads.renew(run.id, "resize-in", size=len(PNG))
        assert ticket.waiting.url != old
        assert ticket.waiting.expires_at == bench.clock.now() + timedelta(hours=1)
        assert (ticket.upload_id, ticket.parts) == (None, ())
        await bench.store.use("PUT", ticket.waiting.url, PNG)
        assert (await bench.ended(run)).status is Status.COMPLETE


@pytest.mark.parametrize(
    ("edge", "hint"),
    [
        ("resize-out", "a node produces it"),
        ("nothing", "the flow has no such edge"),
        ("hook", "it takes the body of a webhook's POST"),
        ("fixed", "its object lies in the store"),
        ("done", "it has its object already"),
    ],
)
async def test_who_may_not_upload_is_told_why(tmp_path: Path, edge: str, hint: str) -> None:
    async with a_bench(tmp_path) as first:
        store = Faulty(first.store)

        async def away(key: str) -> None:
            if key == "a/logo":
                raise errors.StoreUnavailable(store="default", endpoint="e", reason="r")

        store.before["stat"] = away
        async with changed(first, stores=OneStore(store)) as bench:
            names = ("resize-in", "hook", "fixed", "done")
            wells = [a_well("hook", source="webhook"), a_well("fixed", source="static", key="a/logo")]
            run = await bench.start(a_flow(a_node(inputs={name: name for name in names}), wells=wells))
            await bench.upload(run, "done", PNG)
            await bench.until(lambda: "done" in bench.engine.driver.live[run.id].artifacts)
            with pytest.raises(errors.NotAwaited, match=hint):
                await bench.uploads.renew(run.id, edge)


async def test_a_run_that_is_over_takes_no_uploads(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        run = await bench.start(a_flow())
        await bench.runs.cancel(run.id)
        for call in (bench.uploads.renew, bench.uploads.complete):
            with pytest.raises(errors.NotAwaited, match="the run is STOPPED"):
                await call(run.id, "resize-in")
        with pytest.raises(errors.UnknownRun):
            await bench.uploads.renew("run_01HZX3K9T8Q2B7M4N6P5R1S0VW", "resize-in")


# ── Parts ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "PART_BYTES", 10)
    monkeypatch.setattr(uploads, "MIB", 1)


async def put_parts(bench: Bench, ticket: UploadTicket, data: bytes, numbers: list[int]) -> None:
    for part in ticket.parts:
        if part.number in numbers:
            await bench.store.use("PUT", part.url, data[part.offset : part.offset + part.size])


async def test_a_large_upload_goes_in_parts_and_goes_on_where_it_was(tmp_path: Path, small_parts: None) -> None:
    async with a_bench(tmp_path) as bench:
        bench.image(IMAGE, copies("image", "resized"))
        bench.store.single_put_limit = 20
        run, data = await bench.start(a_flow()), PNG + bytes(range(27))
        ticket = await bench.uploads.renew(run.id, "resize-in", size=len(data))
        sizes = [(part.number, part.offset, part.size) for part in ticket.parts]
        assert sizes == [(n + 1, 10 * n, min(10, len(data) - 10 * n)) for n in range(-(-len(data) // 10))]
        assert sum(part.size for part in ticket.parts) == len(data)
        assert (ticket.part_size, ticket.received) == (10, ())
        await put_parts(bench, ticket, data, [1, 3])
        await bench.clock.run_for(7200)
        again = await bench.uploads.renew(run.id, "resize-in", size=len(data))
        assert again.upload_id == ticket.upload_id
        assert [part.number for part in again.received] == [1, 3]
        await put_parts(bench, again, data, [2, 4, 5])
        view = await bench.uploads.complete(run.id, "resize-in", upload_id=again.upload_id)
        assert view.artifacts["resize-in"].artifact.size == len(data)
        run = await bench.ended(run)
        assert await bench.download(run, "resize-out") == data
        assert [upload async for upload in bench.store.multiparts()] == []


async def test_parts_of_another_plan_do_not_spoil_the_object(tmp_path: Path, small_parts: None) -> None:
    async with a_bench(tmp_path) as bench:
        bench.image(IMAGE, copies("image", "resized"))
        bench.store.single_put_limit = 20
        run, data = await bench.start(a_flow()), PNG + bytes(22)
        longer = await bench.uploads.renew(run.id, "resize-in", size=55)
        await put_parts(bench, longer, bytes(55), [1, 6])
        ticket = await bench.uploads.renew(run.id, "resize-in", size=len(data))
        assert ticket.upload_id != longer.upload_id
        assert ticket.received == ()
        await put_parts(bench, ticket, data, list(range(1, 10)))
        await bench.uploads.complete(run.id, "resize-in", upload_id=ticket.upload_id)
        assert await bench.download(await bench.ended(run), "resize-in") == data


async def test_a_plan_has_never_more_parts_than_a_store_takes(tmp_path: Path) -> None:
    size = 40 << 40
    async with a_bench(tmp_path, max_upload_bytes=size) as bench:
        run = await bench.start(a_flow())
        for wanted in (6 * 10**9, size // 2 + 1, size):
            ticket = await bench.uploads.renew(run.id, "resize-in", size=wanted)
            assert len(ticket.parts) <= uploads.MAX_PARTS
            assert ticket.part_size is not None
            assert ticket.part_size % MIB == 0
            assert ticket.parts[-1].offset + ticket.parts[-1].size == wanted
        with pytest.raises(errors.TooLarge):
            await bench.uploads.renew(run.id, "resize-in", size=size + 1)


async def test_parts_may_be_thrown_away(tmp_path: Path, small_parts: None) -> None:
    async with a_bench(tmp_path) as bench:
        bench.store.single_put_limit = 20
        run = await bench.start(a_flow())
        ticket = await bench.uploads.renew(run.id, "resize-in", size=25)
        assert ticket.upload_id is not None
        await bench.uploads.abort(run.id, "resize-in", upload_id=ticket.upload_id)
        await bench.uploads.abort(run.id, "resize-in", upload_id=ticket.upload_id)
        with pytest.raises(errors.NotAwaited, match=f"by multipart upload {ticket.upload_id}"):
            await bench.uploads.complete(run.id, "resize-in", upload_id=ticket.upload_id)
        assert (await the_waiting(bench, run)).edge == "resize-in"


@pytest.mark.parametrize("sealed_first", [True, False])
async def test_completing_is_fine_though_the_store_told_of_the_object_first(
    tmp_path: Path, small_parts: None, sealed_first: bool
) -> None:
    async with a_bench(tmp_path) as first:
        store = Faulty(first.store)
        first.store.single_put_limit = 20

        async def linger(*_: object) -> None:
            if sealed_first:
                await bench.until(lambda: not bench.engine.driver.live, step=0.1)

        store.after["complete_multipart"] = linger
        async with changed(first, stores=OneStore(store)) as bench:
            bench.image(IMAGE, copies("image", "resized"))
            run, data = await bench.start(a_flow()), PNG + bytes(22)
            ticket = await bench.uploads.renew(run.id, "resize-in", size=len(data))
            await put_parts(bench, ticket, data, list(range(1, 10)))
            view = await bench.uploads.complete(run.id, "resize-in", upload_id=ticket.upload_id)
            assert "resize-in" in view.artifacts
            assert (
                "resize-in" in (await bench.uploads.complete(run.id, "resize-in", upload_id=ticket.upload_id)).artifacts
            )


async def test_completing_again_is_fine_when_the_first_answer_was_lost_before_it_was_sealed(
    tmp_path: Path, small_parts: None
) -> None:
    async with a_bench(tmp_path, notifies=False) as first:
        store = Faulty(first.store)
        first.store.single_put_limit = 20
        async with changed(first, stores=OneStore(store)) as bench:
            bench.image(IMAGE, copies("image", "resized"))
            run, data = await bench.start(a_flow()), PNG + bytes(22)
            ticket = await bench.uploads.renew(run.id, "resize-in", size=len(data))
            await put_parts(bench, ticket, data, list(range(1, 10)))

            async def cut(*_: object) -> None:
                raise errors.StoreUnavailable(store="default", endpoint="e", reason="the line was cut")

            store.after["complete_multipart"] = cut
            with pytest.raises(errors.StoreUnavailable):
                await bench.uploads.complete(run.id, "resize-in", upload_id=ticket.upload_id)
            view = await bench.uploads.complete(run.id, "resize-in", upload_id=ticket.upload_id)
            assert "resize-in" in view.artifacts


async def test_what_is_not_there_yet_is_told_so(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        run = await bench.start(a_flow())
        with pytest.raises(errors.Conflict, match="is not there yet"):
            await bench.uploads.complete(run.id, "resize-in")


async def test_completing_what_is_refused_shows_the_run_that_failed(tmp_path: Path) -> None:
    async with a_bench(tmp_path, notifies=False) as bench:
        definition = a_definition(inputs=[a_port("image", "image/*")], outputs=[a_port("resized")])
        run = await bench.start(a_flow(), [definition])
        await bench.upload(run, "resize-in", TEXT)
        view = await bench.uploads.complete(run.id, "resize-in")
        assert view.run.status is Status.ERROR
        assert "text/plain" in view.run.error


async def test_an_intermediate_edge_is_not_completed(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        bench.image(IMAGE, copies("image", "resized"))
        run = await bench.start(a_flow(*a_chain(2)))
        await bench.upload(run, "e0", PNG)
        run = await bench.ended(run)
        with pytest.raises(errors.NotAwaited):
            await bench.uploads.complete(run.id, "e1")
        assert "e0" in (await bench.uploads.complete(run.id, "e0")).artifacts


# ── Webhooks ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def pieces(*data: bytes) -> AsyncIterator[bytes]:
    for piece in data:
        yield piece


async def a_hook(bench: Bench, edge: str = "resize-in", **well: str) -> tuple[Run, str]:
    """A run that waits for a webhook, and the token of its URL."""
    bench.image(IMAGE, copies("image", "resized"))
    node = a_node(inputs={"image": edge})
    run = await bench.start(a_flow(node, wells=[a_well(edge, source="webhook", **well)]))
    waiting = await the_waiting(bench, run)
    assert waiting.method == "POST"
    return run, parse_qs(urlsplit(waiting.url).query)["token"][0]


async def test_a_webhooks_body_is_the_object(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        run, token = await a_hook(bench)
        await bench.uploads.receive(
            run.id, "resize-in", pieces(PNG[:3], PNG[3:]), size=None, signed=uploads.Signed(), token=token
        )
        run = await bench.ended(run)
        assert await bench.download(run, "resize-out") == PNG


async def test_a_webhooks_url_stands_for_its_edge_whatever_that_is_called(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        run, _ = await a_hook(bench, edge="a photo?#%é")
        url = (await the_waiting(bench, run)).url
        assert urlsplit(url).path == f"/api/v1/upload/{run.id}/a%20photo%3F%23%25%C3%A9/receive"


@pytest.mark.parametrize("token", ["", "wrong", "\udcff", "ä" * 32])
async def test_only_who_has_the_token_may_post(tmp_path: Path, token: str) -> None:
    async with a_bench(tmp_path) as bench:
        run, _ = await a_hook(bench)
        with pytest.raises(errors.Forbidden, match="token"):
            await bench.uploads.receive(
                run.id, "resize-in", pieces(PNG), size=None, signed=uploads.Signed(), token=token
            )
        assert [found async for found in bench.store.list()] == []


@pytest.mark.parametrize("prefix", ["", "sha256="])
async def test_with_a_secret_the_body_must_be_signed(tmp_path: Path, prefix: str) -> None:
    async with a_bench(tmp_path) as bench:
        run, token = await a_hook(bench, secret="hush")
        right = hmac.new(b"hush", PNG, hashlib.sha256).hexdigest()
        other = hmac.new(b"hush", TEXT, hashlib.sha256).hexdigest()
        for wrong in (None, "", "sha256=", other, right[:-1], "\udcff"):
            with pytest.raises(errors.Forbidden, match="signature"):
                await bench.uploads.receive(
                    run.id, "resize-in", pieces(PNG), size=None, signed=uploads.Signed(plain=wrong or ""), token=token
                )
        assert [found async for found in bench.store.list()] == []
        await bench.uploads.receive(
            run.id,
            "resize-in",
            pieces(PNG),
            size=len(PNG),
            signed=uploads.Signed(plain=prefix + right.upper()),
            token=token,
        )
        assert (await bench.ended(run)).status is Status.COMPLETE


async def test_a_body_may_be_signed_as_standard_webhooks_are(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        given = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
        run, token = await a_hook(bench, secret=given)
        now = int(bench.clock.now().timestamp())

        def signed(body: bytes, *, at: int = now) -> uploads.Signed:
            made = signing.signature(signing.key_of(given), message_id="msg_a", timestamp=at, body=body)
            return uploads.Signed(message_id="msg_a", timestamp=str(at), signatures=f"v1,b3RoZXI= {made}")

        async def receive(given: uploads.Signed) -> RunView:
            return await bench.uploads.receive(run.id, "resize-in", pieces(PNG), size=None, signed=given, token=token)

        plain = hmac.new(given.encode(), PNG, hashlib.sha256).hexdigest()
        for wrong in (signed(TEXT), signed(PNG, at=now - 301), replace(signed(TEXT), plain=plain)):
            with pytest.raises(errors.Forbidden):
                await receive(wrong)
        assert [found async for found in bench.store.list()] == []
        await receive(signed(PNG))
        await receive(signed(PNG))
        assert (await bench.ended(run)).status is Status.COMPLETE
        with pytest.raises(errors.Forbidden, match="signature"):
            await receive(signed(TEXT))


@pytest.mark.parametrize("size", [None, 9, 8])
async def test_a_body_over_the_limit_is_refused_before_it_is_read_through(tmp_path: Path, size: int | None) -> None:
    async with a_bench(tmp_path, max_upload_bytes=8) as bench:
        run, token = await a_hook(bench)
        read = 0

        async def endless() -> AsyncIterator[bytes]:
            nonlocal read
            while True:
                read += 4
                yield b"data"

        with pytest.raises(errors.TooLarge, match="limit of 8 bytes"):
            await bench.uploads.receive(run.id, "resize-in", endless(), size=size, signed=uploads.Signed(), token=token)
        assert read <= 12


async def test_an_upload_is_no_webhook_and_a_webhook_no_upload(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        run = await bench.start(a_flow())
        with pytest.raises(errors.NotAwaited, match="it takes an upload"):
            await bench.uploads.receive(run.id, "resize-in", pieces(PNG), size=None, signed=uploads.Signed(), token="")
        hook, _ = await a_hook(bench)
        with pytest.raises(errors.NotAwaited, match="webhook"):
            await bench.uploads.complete(hook.id, "resize-in")


async def test_a_webhook_that_is_called_twice_at_once_gives_one_object(tmp_path: Path) -> None:

    async with a_bench(tmp_path) as first:
        store = Faulty(first.store)
        gate = store.before["copy"] = Gate()
        async with changed(first, stores=OneStore(store)) as bench:
            run, token = await a_hook(bench)
            calls = [
                asyncio.create_task(
                    bench.uploads.receive(
                        run.id, "resize-in", pieces(PNG), size=None, signed=uploads.Signed(), token=token
                    )
                )
                for _ in range(2)
            ]
            await gate.reached.wait()
            gate.opened.set()
            await asyncio.gather(*calls)
            assert store.calls.count("copy") == 1
            again = await bench.uploads.receive(
                run.id, "resize-in", pieces(TEXT), size=None, signed=uploads.Signed(), token=token
            )
            assert again.run.artifacts["resize-in"].size == len(PNG), "one that comes again changes nothing"
