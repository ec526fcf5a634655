"""
A real browser: it opens a page of ours, whose script talks to the server and says what came of it.

    found = await browser.run(script, allowed)

The script is the body of an async function, given `say`; what it returns comes back as JSON.
"""

import asyncio
import json
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

SECONDS = 60
"""A browser that says nothing for so long will not."""

_PAGE = """<!doctype html>
<script>
async function script() {{ {script} }}
function answer(what) {{ return fetch("/answer", {{method: "POST", body: JSON.stringify(what)}}); }}
script().then((value) => answer({{value}}), (error) => answer({{error: String(error)}}));
</script>
"""


def program() -> str:
    """The browser. Skips the test where there is none."""
    found = shutil.which("chromium")
    if found is None:
        pytest.skip("there is no chromium here; scripts/browser installs it")
    return found


class Page:
    """A page of an origin of its own."""

    def __init__(self, url: str, set_script: Callable[[str], None], answers: "asyncio.Queue[Any]") -> None:
        self.origin = url
        self._set_script = set_script
        self._answers = answers

    async def run(self, script: str) -> Any:
        """What the script returns, in a browser of its own. Raises `AssertionError` with what it throws."""
        self._set_script(script)
        # Whoever runs the tests may be root, for whom a browser has no sandbox; the page is ours.
        options = ("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-dev-shm-usage")
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
            process = await asyncio.create_subprocess_exec(
                *(program(), *options, f"--user-data-dir={profile}", self.origin),
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
            )
            try:
                async with asyncio.timeout(SECONDS):
                    said = await self._answers.get()
            finally:
                process.kill()
                await process.wait()
        assert "error" not in said, said["error"]
        return said.get("value")


@asynccontextmanager
async def a_page() -> AsyncIterator[Page]:
    """A page, served."""
    scripts = [""]
    answers: asyncio.Queue[Any] = asyncio.Queue()

    async def page(_: web.Request) -> web.Response:
        return web.Response(text=_PAGE.format(script=scripts[-1]), content_type="text/html")

    async def answer(request: web.Request) -> web.Response:
        await answers.put(json.loads(await request.text()))
        return web.Response(status=204)

    app = web.Application()
    app.router.add_get("/", page)
    app.router.add_post("/answer", answer)
    async with TestServer(app) as server:
        yield Page(str(server.make_url("/")).rstrip("/"), scripts.append, answers)
