"""
Takes a picture through the documentation's example flow, on a server that answers. `scripts/demo` runs it.

usage: python scripts/_demo.py URL PHOTO FOLDER WIDTH
"""

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

import picture  # beside this file

from pupload import errors
from pupload.client import Answer, Client

ORDER = Path(__file__).parent.parent / "nodes/pupload/resize/sample/order.json"
"""The example of the API's documentation, word for word."""


async def main(url: str, photo: Path, folder: Path, width: str) -> None:
    """Uploads the photo, follows the run, downloads what comes of it. Raises `errors.PuploadError` or `SystemExit`."""
    order = json.loads(ORDER.read_text())
    order["Flow"]["Nodes"][0]["Flags"][0]["Value"] = width
    before = await asyncio.to_thread(photo.read_bytes)
    async with Client(url) as client:
        run = await client.start(order)
        waiting = ", ".join(each["Artifact"]["EdgeName"] for each in run["WaitingURLs"])
        tell(f"POST {url}/api/v1/flow/test -> {run['ID']}, {run['Status']} for {waiting}")
        tell(f"uploading {photo.name}: {described(before)}")
        bar = Bar(len(before))
        await client.upload(run["ID"], "input-image", photo, on_progress=bar.advance)
        begun = time.monotonic()
        async for event in client.follow_logs(run["ID"]):
            if "message" in event.data:
                tell(f"  {event.data['node']}: {event.data['message']}")
        run = await client.wait(run["ID"])
        took = time.monotonic() - begun
        if run["Status"] != "COMPLETE":
            raise SystemExit(failure(run))
        result = await fetch(client, run["Artifacts"]["output-image"], folder / f"{photo.stem}-{width}")
    after = await asyncio.to_thread(result.read_bytes)
    tell(f"{run['Status']} {took:.1f} s after the upload")
    print(f"\n  before  {photo}\n          {described(before)}\n  after   {result}\n          {described(after)}\n")


async def fetch(client: Client, artifact: Answer, target: Path) -> Path:
    """The artifact as a file, named by what is in it."""
    suffix = "." + artifact["ContentType"].partition("/")[2].replace("jpeg", "jpg")
    target.parent.mkdir(parents=True, exist_ok=True)
    return await client.download(artifact, target.with_name(target.name + suffix))


def described(data: bytes) -> str:
    """A picture's size in pixels and bytes."""
    return f"{picture.read(data) or 'a picture'}, {len(data) / 1000:,.0f} kB"


def failure(run: Answer) -> str:
    """Why the run came to nothing, with the last words of its nodes."""
    states: list[Any] = list(run["NodeState"].values())
    last = [record["message"] for state in states for record in state["Logs"][-3:]]
    return "\n  ".join([f"the run ended as {run['Status']}: {run['Error']}", *last])


class Bar:
    """How much of an upload is there, on one line of a terminal; elsewhere, a line when it is whole."""

    def __init__(self, total: int) -> None:
        self.total, self.there = total, 0

    def advance(self, size: int) -> None:
        self.there += size
        share = self.there / (self.total or 1)
        if sys.stdout.isatty():
            print(f"\r  [{'#' * int(share * 40):40}] {share:4.0%}", end="" if share < 1 else "\n", flush=True)
        elif share >= 1:
            tell("  uploaded")


def tell(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    try:
        asyncio.run(main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4]))
    except errors.PuploadError as error:
        raise SystemExit(f"demo: {error}") from None
