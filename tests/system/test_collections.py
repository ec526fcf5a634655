"""Directories of files, from node to node and through a kill, on the real engine."""

import asyncio
import io
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from PIL import Image

from pupload import offline
from pupload.api.flow import wire
from pupload.client import Client
from tests.system import flows
from tests.system.conftest import only_here
from tests.system.server import Server

PICTURES, SOME = 200, 12

FILES = [{"Name": "files", "Many": True}]
WRITE = 'cd "$OUTPUT_FILES"; for n in $(seq 1000 1499); do echo "item $n" > $n.txt; done'
LIST = 'cd "$INPUT_FILES"; cat * > "$OUTPUT_LIST"'


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One for this module."""
    with only_here(tmp_path_factory.mktemp("server")) as found:
        yield found


def a_zip(count: int = PICTURES) -> bytes:
    """Small pictures, each of its own colour."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for number in range(count):
            picture = io.BytesIO()
            Image.new("RGB", (24, 16), (number, 255 - number, 7)).save(picture, "PNG")
            archive.writestr(f"photos/{number:03}.png", picture.getvalue())
    return packed.getvalue()


def shipped(*names: str) -> list[Any]:
    return [
        wire.write_definition(offline.read_definition(offline.shipped_nodes() / "pupload" / name / "node.yaml"))
        for name in names
    ]


def order() -> Any:
    """Unpacked, and packed again."""
    return {
        "Flow": {
            "Name": "album",
            "Nodes": [
                {
                    "ID": "unpack",
                    "Uses": "pupload/unpack",
                    "Inputs": [{"Name": "archive", "Edge": "album"}],
                    "Outputs": [{"Name": "files", "Edge": "photos"}],
                },
                {
                    "ID": "pack",
                    "Uses": "pupload/pack",
                    "Inputs": [{"Name": "files", "Edge": "photos"}],
                    "Outputs": [{"Name": "archive", "Edge": "parcel"}],
                },
            ],
        },
        "NodeDefs": shipped("unpack", "pack"),
    }


@pytest.mark.timeout(900)  # whoever comes first builds the images
async def test_an_archive_is_unpacked_and_packed_again(server: Server) -> None:
    await asyncio.to_thread(subprocess.run, ["scripts/node-images", "unpack", "pack"], check=True, capture_output=True)
    async with server.client() as client:
        done = await flows.finish(client, order(), album=a_zip())
        assert done["Status"] == "COMPLETE", done["Error"]
        assert (done["Artifacts"]["photos"]["Items"], done["Artifacts"]["photos"]["ContentType"]) == (200, "image/png")
        with zipfile.ZipFile(io.BytesIO(await flows.get(done, "parcel"))) as parcel:
            assert parcel.namelist() == [f"photos__{number:03}.png" for number in range(PICTURES)]
            assert Image.open(io.BytesIO(parcel.read("photos__017.png"))).getpixel((0, 0)) == (17, 238, 7)
        page = await client.items(done["ID"], "photos", offset=100, limit=50)
        assert list(page["Artifacts"]) == [f"photos.{place}" for place in range(100, 150)]
        assert page["Artifacts"]["photos.100"]["FileName"] == "photos__100.png"
        assert (await flows.get(page, "photos.149"))[:4] == b"\x89PNG"
        await client.purge(done["ID"])


@pytest.mark.timeout(900)  # whoever comes first builds the images
async def test_pictures_are_unpacked_resized_side_by_side_and_packed_again(server: Server) -> None:
    names = ["unpack", "resize", "pack"]
    await asyncio.to_thread(subprocess.run, ["scripts/node-images", *names], check=True, capture_output=True)
    asked = order()
    unpack, pack = asked["Flow"]["Nodes"]
    resize = {
        "ID": "resize",
        "Uses": "pupload/resize",
        "ForEach": "image",
        "Inputs": [{"Name": "image", "Edge": "photos"}],
        "Outputs": [{"Name": "resized", "Edge": "small"}],
        "Flags": [{"Name": "width", "Value": 12}],
    }
    pack["Inputs"][0]["Edge"] = "small"
    asked["Flow"]["Nodes"], asked["NodeDefs"] = [unpack, resize, pack], shipped(*names)
    async with server.client() as client:
        done = await flows.finish(client, asked, album=a_zip(SOME))
        assert done["Status"] == "COMPLETE", done["Error"]
        assert done["NodeState"]["resize"]["Items"]["Complete"] == SOME
        with zipfile.ZipFile(io.BytesIO(await flows.get(done, "parcel"))) as parcel:
            assert parcel.namelist() == [f"photos__{number:03}.png" for number in range(SOME)]
            assert {Image.open(io.BytesIO(parcel.read(name))).size for name in parcel.namelist()} == {(12, 8)}


def written_and_listed(script: str = WRITE) -> Any:
    """One node leaves five hundred files, and another reads them in their order."""
    return flows.an_order(
        [
            flows.a_node("write", outputs={"files": "files"}),
            flows.a_node("list", inputs={"files": "files"}, outputs={"list": "list"}),
        ],
        [flows.a_script("write", script, Outputs=FILES), flows.a_script("list", LIST, Inputs=FILES)],
    )


EXPECTED = b"".join(b"item %d\n" % number for number in range(1000, 1500))


async def stored(server: Server, client: Client, run: Any) -> None:
    """Returns when the store has some of the items, and hardly all."""
    outputs = server.data / "attempts" / f"{run['ID']}.write.1" / "out" / "files"
    while True:
        left = await asyncio.to_thread(lambda: len(list(outputs.iterdir())) if outputs.is_dir() else 0)
        if 0 < left < 500 and (await client.status(run["ID"]))["NodeState"]["write"]["Status"] == "RUNNING":
            listed = outputs.parents[1] / "items.files"
            if await asyncio.to_thread(listed.exists):
                return
        if (await client.status(run["ID"]))["NodeState"]["write"]["Status"] == "COMPLETE":
            return  # it was too quick: the kill hits what comes behind
        await asyncio.sleep(0.005)


async def test_a_server_killed_while_items_are_stored_stores_the_same(own_server: Callable[..., Server]) -> None:
    server = own_server()
    async with server.client() as client:
        run = await client.start(written_and_listed())
        await stored(server, client, run)
        server.kill()
        server.start()
        done = await client.wait(run["ID"])
        assert done["Status"] == "COMPLETE", done["Error"]
        assert await flows.get(done, "list") == EXPECTED
        assert {state["Attempt"] for state in done["NodeState"].values()} == {1}


async def test_more_items_than_the_server_takes_fail_the_node_in_words(own_server: Callable[..., Server]) -> None:
    server = own_server(PUPLOAD_MAX_ITEMS="100")
    async with server.client() as client:
        done = await flows.finish(client, written_and_listed())
        assert done["Status"] == "ERROR"
        assert "there are more than 100 files in it" in done["Error"]


async def test_a_directory_among_the_files_fails_the_node_in_words(server: Server) -> None:
    async with server.client() as client:
        done = await flows.finish(client, written_and_listed('mkdir "$OUTPUT_FILES/inner"'))
        assert done["Status"] == "ERROR"
        assert "inner in it cannot be an item: it is a directory" in done["Error"]
        assert done["NodeState"]["list"]["Status"] == "SKIPPED"


async def test_a_node_can_write_where_its_items_go_and_not_where_it_finds_them(server: Server) -> None:
    reads = 'touch "$INPUT_FILES/new" 2> "$OUTPUT_LIST"; test $? != 0'
    async with server.client() as client:
        asked = written_and_listed('echo one > "$OUTPUT_FILES/one"; rmdir "$OUTPUT_FILES" 2> /dev/null; true')
        asked["NodeDefs"][1] = flows.a_script("list", reads, Inputs=FILES)
        done = await flows.finish(client, asked)
        assert done["Status"] == "COMPLETE", done["Error"]
        assert b"Read-only file system" in await flows.get(done, "list")
