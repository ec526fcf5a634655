"""The client, against a whole server on loopback and a store that can be made to refuse."""

import asyncio
import socket
from pathlib import Path
from typing import Any

import pytest

from pupload import client as clients
from pupload import errors
from pupload.client import Client, Event, file_name
from tests.api.house import EXAMPLE, a_house
from tests.bench import PNG


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    path.write_bytes(PNG)
    return path


async def started(client: Client) -> Any:
    return await client.start(EXAMPLE)


async def test_a_file_goes_in_and_the_result_comes_out(tmp_path: Path, photo: Path) -> None:
    async with a_house(tmp_path) as house, house.client() as client:
        run = await started(client)
        moved: list[int] = []
        await client.upload(run["ID"], "input-image", photo, on_progress=moved.append)
        assert sum(moved) == len(PNG)
        seen: list[Event] = []
        run = await client.wait(run["ID"], on_event=seen.append)
        assert run["Status"] == "COMPLETE"
        assert [event.cursor for event in seen] == list(range(1, len(seen) + 1))
        assert seen[-1].kind == "run.completed"
        artifact = run["Artifacts"]["output-image"]
        moved.clear()
        path = await client.download(artifact, tmp_path / "out" / file_name(artifact), on_progress=moved.append)
        assert (path.name, path.read_bytes(), sum(moved)) == ("output-image.png", PNG, len(PNG))
        assert [each.name for each in path.parent.iterdir()] == [path.name]
        assert [record["message"] for record in (await client.logs(run["ID"]))["Logs"]] == ["copied image"]
        live = [event.data["message"] async for event in client.follow_logs(run["ID"], node="resize-1")]
        assert live == ["copied image"]


async def test_an_empty_file_can_be_uploaded(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.touch()
    async with a_house(tmp_path) as house, house.client() as client:
        run = await client.upload((await started(client))["ID"], "input-image", empty)
        assert run["Artifacts"]["input-image"]["Size"] == 0


async def test_a_store_that_is_busy_is_asked_again(tmp_path: Path, photo: Path) -> None:
    async with a_house(tmp_path) as house, house.client() as client:
        house.refused_puts = [503, 500]
        moved: list[int] = []
        run = await client.upload((await started(client))["ID"], "input-image", photo, on_progress=moved.append)
        assert "input-image" in run["Artifacts"]
        assert sum(moved) == len(PNG), "what had to be sent again is not counted twice"


async def test_a_store_that_stays_busy_is_given_up(tmp_path: Path, photo: Path) -> None:
    async with a_house(tmp_path) as house, house.client() as client:
        house.refused_puts = [503] * clients.TRIES
        run = await started(client)
        with pytest.raises(errors.TryLater):
            await client.upload(run["ID"], "input-image", photo)


async def test_a_store_that_refuses_is_told_without_its_signed_url(tmp_path: Path, photo: Path) -> None:
    async with a_house(tmp_path) as house, house.client() as client:
        house.refused_puts = [403]
        run = await started(client)
        with pytest.raises(errors.StoreRefused, match="SlowDown") as refused:
            await client.upload(run["ID"], "input-image", photo)
        assert "memory" not in str(refused.value)
        assert len(house.puts) == 0


async def test_parts_that_are_there_are_not_sent_again(
    tmp_path: Path, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mib = 1024 * 1024
    big = PNG + bytes(2 * mib)
    await asyncio.to_thread(photo.write_bytes, big)
    monkeypatch.setattr("pupload.service.uploads.PART_BYTES", mib)
    monkeypatch.setattr(clients, "PARTS_AT_ONCE", 1)
    async with a_house(tmp_path) as house, house.client() as client:
        house.bench.store.single_put_limit = 4
        run = await started(client)
        house.refused_puts = [403]
        with pytest.raises(errors.StoreRefused):
            await client.upload(run["ID"], "input-image", photo)
        ticket = await client._call("POST", f"/api/v1/upload/{run['ID']}/input-image", {"Size": len(big)})
        async with house.http.put(ticket["Parts"][1]["PutURL"], data=big[mib : 2 * mib]) as answer:
            assert answer.status == 200
        house.puts.clear()
        moved: list[int] = []
        run = await client.upload(run["ID"], "input-image", photo, on_progress=moved.append)
        assert run["Artifacts"]["input-image"]["Size"] == len(big)
        assert len(house.puts) == len(ticket["Parts"]) - 1
        assert sum(moved) == len(big)
        run = await client.wait(run["ID"])
        got = await client.download(run["Artifacts"]["output-image"], tmp_path / "got")
        assert got.read_bytes() == big


async def test_bytes_that_are_not_the_artifacts_are_no_download(tmp_path: Path, photo: Path) -> None:
    async with a_house(tmp_path) as house, house.client() as client:
        run = await started(client)
        await client.upload(run["ID"], "input-image", photo)
        artifact = (await client.status(run["ID"]))["Artifacts"]["input-image"]
        target = tmp_path / "out" / "x"
        for lie in ({"SHA256": "0" * 64}, {"Size": 1}):
            with pytest.raises(errors.StoreIntegrity):
                await client.download({**artifact, **lie}, target)
        with pytest.raises(errors.StoreRefused):
            await client.download({**artifact, "GetURL": artifact["GetURL"].replace("GET", "PUT")}, target)
        assert list(target.parent.iterdir()) == []


async def test_refusals_are_the_errors_they_are_there(tmp_path: Path, photo: Path) -> None:
    async with a_house(tmp_path) as house, house.client() as client:
        with pytest.raises(errors.UnknownRun, match=r"^Flow run does not exist\.$"):
            await client.status("run_x/../y")
        with pytest.raises(errors.UnknownRun):
            await client.wait("nope")
        with pytest.raises(errors.Invalid) as invalid:
            await client.start({**EXAMPLE, "Flow": {"Name": "empty"}})
        assert [finding.code for finding in invalid.value.findings] == ["FLOW_002"]
        assert invalid.value.findings[0].is_error
        with pytest.raises(errors.Malformed, match="/Flow is required"):
            await client.start({})
        run = await started(client)
        with pytest.raises(errors.Conflict, match="does not wait"):
            await client.upload(run["ID"], "no-such-edge", photo)
        with pytest.raises(errors.Conflict, match="only a run that has ended"):
            await client.resume(run["ID"])
        assert (await client.cancel(run["ID"], mode="drain"))["Status"] == "STOPPED"
        assert (await client.resume(run["ID"]))["Status"] == "WAITING"
        assert (await client.list(status="STOPPED"))["Total"] == 1


async def test_a_stream_that_breaks_off_goes_on_where_it_was(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house, house.client() as client:
        run = await started(client)
        seen = []
        async for event in client.events(run["ID"]):
            seen.append(event.cursor)
            if event.kind == "run.waiting":
                _break_connections(client)
                await client.cancel(run["ID"])
        assert seen == list(range(1, len(seen) + 1))


def _break_connections(client: Client) -> None:
    """Cuts every connection that the client has."""
    connector = client._open().connector
    assert connector is not None
    for protocol in list(connector._acquired):
        assert protocol.transport is not None
        protocol.transport.abort()


async def test_other_services(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house, house.client() as client:
        assert (await client.health())["status"] == "ok"
        assert (await client.validate(EXAMPLE))["Valid"] is True
        assert len((await client.nodes())["NodeDefs"]) == 1
        project = "0f0e0d0c-0b0a-4908-8706-050403020100"
        assert (await client.push(project, {"ProjectName": "p"}))["ProjectName"] == "p"


async def test_a_server_that_is_not_there_is_named() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{held.getsockname()[1]}"
        async with Client(url, pause_seconds=0) as client:
            for call in (client.health(), client.status("x"), client.wait("x")):
                with pytest.raises(errors.ServerUnreachable, match="Connection refused") as gone:
                    await call
                assert url in str(gone.value)


@pytest.mark.parametrize("url", ["localhost:1234", "ftp://x", "http://", ""])
def test_an_address_must_be_one(url: str) -> None:
    with pytest.raises(errors.Malformed):
        Client(url)


@pytest.mark.parametrize(
    ("edge", "media", "name"),
    [
        ("photo", "image/jpeg", "photo.jpg"),
        ("photo.jpg", "image/jpeg", "photo.jpg"),
        ("../../etc/passwd", "text/plain", "etc_passwd.txt"),
        ("...", "application/x-unknown", "artifact"),
        ("a" * 300, "image/png", "a" * 120 + ".png"),
        ("-rf *", "", "rf"),
        ("grüße", "text/plain", "grüße.txt"),
    ],
)
def test_file_names_are_safe(edge: str, media: str, name: str) -> None:
    assert file_name({"EdgeName": edge, "ContentType": media}) == name
