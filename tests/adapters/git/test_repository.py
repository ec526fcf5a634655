"""Git repositories as sources: what is read of them, and what they cannot do."""

import asyncio
import base64
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from pupload import errors
from pupload.adapters.git import program, repository
from pupload.adapters.git.repository import GitSource
from pupload.domain import sources
from pupload.domain.sources import Kind, Source, Tree
from tests.adapters.git.repositories import CLEAN, Repository

TOKEN = "t0ken-of-nobody-else"


@pytest.fixture
def made(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "made")


@pytest.fixture
def reader(tmp_path: Path) -> GitSource:
    async def reveal(name: str) -> str | None:
        return {"token": TOKEN, "pair": f"anna:{TOKEN}"}.get(name)

    return GitSource(scratch=tmp_path / "scratch", reveal=reveal)


def a_source(path: object, **more: object) -> Source:
    return Source(**{"name": "team", "type": Kind.GIT, "path": str(path), **more})  # type: ignore[arg-type]


async def read(reader: GitSource, source: Source, *, known: str = "") -> Tree:
    tree = await reader.read(source, known=known)
    assert tree is not None
    return tree


def held(tree: Tree) -> dict[str, bytes]:
    return {file.path: file.data for file in tree.files}


async def test_a_commit_is_read_whole(made: Repository, reader: GitSource, tmp_path: Path) -> None:
    made.put("README.md", "words")
    commit = made.commit("the first\n\nand more", a="one", b__c="two\n")
    made.put("a.yaml", "not committed")
    for path in (made.folder, f"file://{made.folder}"):
        tree = await read(reader, a_source(path))
        assert (tree.commit, tree.message) == (commit, "the first")
        assert held(tree) == {"a.yaml": b"one", "b/c.yaml": b"two\n"}
        assert not tree.problems
        assert held(await read(reader, a_source(path, folder="b"))) == {"c.yaml": b"two\n"}
    assert list((tmp_path / "scratch").iterdir()) == []


async def test_a_branch_a_tag_and_a_commit_are_told_apart(made: Repository, reader: GitSource) -> None:
    first = made.commit(a="1")
    made.git("tag", "light")
    made.git("tag", "-a", "heavy", "-m", "a tag")
    made.git("branch", "releases/1")
    second = made.commit(a="2")
    for ref, commit in {
        "light": first,
        "heavy": first,
        "releases/1": first,
        "refs/heads/releases/1": first,
        first: first,
        "main": second,
        "HEAD": second,
        second: second,
    }.items():
        tree = await read(reader, a_source(made.folder, ref=ref))
        assert tree.commit == commit, ref
        assert await reader.read(a_source(made.folder, ref=ref), known=commit) is None
        other = first if commit == second else second
        assert (await read(reader, a_source(made.folder, ref=ref), known=other)).commit == commit
    for ref in ("other", first[:10], "0" * 40):
        with pytest.raises(errors.SourceUnavailable):
            await reader.read(a_source(made.folder, ref=ref))


async def test_a_commit_that_is_known_asks_nobody(reader: GitSource) -> None:
    pinned = "a" * 40
    assert await reader.read(a_source("/nowhere", ref=pinned), known=pinned) is None


async def test_only_what_lies_in_the_commit_is_read(made: Repository, reader: GitSource, tmp_path: Path) -> None:
    outside = tmp_path / "outside.yaml"
    outside.write_text("not yours")
    (made.folder / "link.yaml").symlink_to(outside)
    (made.folder / "folder").symlink_to(tmp_path)
    inner = Repository(made.folder / "inner")
    inner.commit(b="inner")
    made.put(".gitattributes", "*.yaml filter=evil\n")
    made.git("config", "filter.evil.smudge", "echo changed")
    made.put("huge.yaml", "x" * (sources.MOST_FILE_BYTES + 1))
    made.commit(a="one")
    tree = await read(reader, a_source(made.folder))
    assert held(tree) == {"a.yaml": b"one"}
    assert {each.path: each.text for each in tree.problems} == {
        "folder": "it is a link, which is not followed",
        "huge.yaml": f"it is larger than {sources.MOST_FILE_BYTES} bytes",
        "inner": "it is a submodule, which is not read",
        "link.yaml": "it is a link, which is not followed",
    }


async def test_names_that_lead_elsewhere_are_no_names(made: Repository, reader: GitSource) -> None:
    """Such a tree is written by nobody's git but one's own."""
    blob = made.git("hash-object", "-w", "--stdin", given="text")
    inner = made.git("mktree", given=f"100644 blob {blob}\tup.yaml\n")
    files = "".join(f"100644 blob {blob}\t{name}\0" for name in ("good.yaml", "two\nlines.yaml"))
    dots = made.git("mktree", "-z", given=f"040000 tree {inner}\t..\0{files}")
    made.git("update-ref", "refs/heads/main", made.git("commit-tree", dots, "-m", "odd"))
    tree = await read(reader, a_source(made.folder))
    assert held(tree) == {"good.yaml": b"text"}
    assert [(each.path, each.text) for each in tree.problems] == [("two\nlines.yaml", "no file may be called so")]


async def test_a_name_that_is_no_text_is_told_by_its_folder(made: Repository, reader: GitSource) -> None:
    for name in (b"a/\xff.yaml", b"a/b/\xfe/c.yaml", b"d/\xff.bin"):
        path = made.folder / os.fsdecode(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("text")
    made.commit(a__good="one")
    tree = await read(reader, a_source(made.folder))
    assert held(tree) == {"a/good.yaml": b"one"}
    assert [(each.path, each.text) for each in tree.problems] == [
        ("a", "a name in it is not UTF-8"),
        ("a/b", "a name in it is not UTF-8"),
    ]


async def test_nothing_of_the_repository_is_executed(made: Repository, reader: GitSource, tmp_path: Path) -> None:
    proof = tmp_path / "proof"
    touch = f"touch {proof}"
    for hook in ("post-checkout", "reference-transaction", "post-merge", "pre-auto-gc", "update"):
        path = made.folder / ".git" / "hooks" / hook
        path.write_text(f"#!/bin/sh\n{touch}\n")
        path.chmod(0o755)
    commit = made.commit(a="one")
    proof.unlink(missing_ok=True)  # of the commit itself
    for name, value in {
        "core.fsmonitor": touch,
        "core.sshCommand": touch,
        "core.pager": touch,
        "core.gitProxy": touch,
        "uploadpack.packObjectsHook": touch,
        "diff.external": touch,
        "alias.log": f"!{touch}",
        "gpg.program": touch,
        "log.showSignature": "true",
        "remote.origin.uploadpack": touch,
    }.items():
        made.git("config", name, value)
    tree = await read(reader, a_source(made.folder))
    assert tree.commit == commit
    assert not proof.exists()


async def test_no_configuration_of_a_user_counts(
    made: Repository, reader: GitSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.commit(a="one")
    home = tmp_path / "home"
    home.mkdir()
    (home / ".gitconfig").write_text(f'[url "file:///nowhere"]\n\tinsteadOf = {made.folder}\n')
    for name, value in {"HOME": home, "GIT_CONFIG_GLOBAL": home / ".gitconfig", "GIT_DIR": "/nowhere"}.items():
        monkeypatch.setenv(name, str(value))
    assert held(await read(reader, a_source(made.folder))) == {"a.yaml": b"one"}


@pytest.mark.parametrize("path", ["ext::sh -c 'touch {proof}'", "fd::3", "git://127.0.0.1:9/x", "--upload-pack=touch"])
async def test_other_protocols_are_refused(reader: GitSource, tmp_path: Path, path: str) -> None:
    proof = tmp_path / "proof"
    with pytest.raises(errors.SourceUnavailable):
        await reader.read(a_source(path.format(proof=proof)))
    assert not proof.exists()


async def test_a_repository_that_is_too_large_is_refused(
    made: Repository, reader: GitSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.put("noise.bin", base64.b85encode(os.urandom(400_000)).decode())
    made.commit(a="one", b="two")
    for name in ("MOST_FILES", "MOST_BYTES"):
        with monkeypatch.context() as patched:
            patched.setattr(sources, name, 1)
            with pytest.raises(errors.SourceUnavailable, match="name a folder in it"):
                await reader.read(a_source(made.folder))
    with monkeypatch.context() as patched:
        patched.setattr(repository, "_MOST_LIST_BYTES", 10)
        with pytest.raises(errors.SourceUnavailable, match="name a folder in it"):
            await reader.read(a_source(made.folder))
    with monkeypatch.context() as patched:
        patched.setattr(program, "MOST_PACK_BYTES", 100_000)
        with pytest.raises(errors.SourceUnavailable):
            await reader.read(a_source(made.folder))
    assert list((tmp_path / "scratch").iterdir()) == []
    assert len((await read(reader, a_source(made.folder))).files) == 2


async def test_a_folder_that_the_commit_does_not_have_is_told(made: Repository, reader: GitSource) -> None:
    made.commit(a="one")
    with pytest.raises(errors.SourceUnavailable, match="has no folder flows"):
        await reader.read(a_source(made.folder, folder="flows"))


async def test_what_an_earlier_start_left_is_removed(made: Repository, reader: GitSource, tmp_path: Path) -> None:
    left = tmp_path / "scratch" / "git-left"
    (left / "objects").mkdir(parents=True)
    made.commit(a="one")
    await read(reader, a_source(made.folder))
    assert not left.exists()


async def test_who_has_no_git_is_told(reader: GitSource, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(errors.SourceUnavailable, match="git program is not installed"):
        await reader.read(a_source("/srv/flows.git"))


# ── Over the network ─────────────────────────────────────────────────────────────────────────────────────────────


@asynccontextmanager
async def served(root: Path, check: Callable[[web.Request], web.StreamResponse | None]) -> AsyncIterator[str]:
    """Git's own server of repositories, behind an HTTP server that may say no."""

    async def answer(request: web.Request) -> web.StreamResponse:
        if (refusal := check(request)) is not None:
            return refusal
        environment = {
            **CLEAN,
            "GIT_PROJECT_ROOT": str(root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": request.path,
            "QUERY_STRING": request.query_string,
            "REQUEST_METHOD": request.method,
            "CONTENT_TYPE": request.headers.get("Content-Type", ""),
            "HTTP_GIT_PROTOCOL": request.headers.get("Git-Protocol", ""),
            "HTTP_CONTENT_ENCODING": request.headers.get("Content-Encoding", ""),
        }
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            "git", "http-backend", stdin=pipe, stdout=pipe, env=environment, cwd="/"
        )
        told, _ = await process.communicate(await request.read())
        head, _, body = told.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        status = int(fields.pop("Status", "200").split()[0])
        return web.Response(body=body, status=status, headers=fields)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    async with TestServer(app) as server:
        yield str(server.make_url("")).rstrip("/")


async def test_a_secret_opens_a_repository_and_is_shown_to_nobody(
    made: Repository, reader: GitSource, tmp_path: Path
) -> None:
    commit = made.commit(a="one")
    commands: list[str] = []
    asked: list[str] = []

    def check(request: web.Request) -> web.Response | None:
        for each in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                commands.append(each.read_bytes().decode(errors="replace"))
            except OSError:
                continue
        asked.append(base64.b64decode(request.headers.get("Authorization", "Basic ")[6:]).decode())
        if TOKEN in asked[-1]:
            return None
        return web.Response(status=401, headers={"WWW-Authenticate": "Basic"})

    async with served(tmp_path, check) as url:
        path = f"{url}/made/.git"
        with pytest.raises(errors.SourceUnavailable):
            await reader.read(a_source(path))
        with pytest.raises(errors.SourceUnavailable, match="pup secret set other"):
            await reader.read(a_source(path, secret="other"))
        for secret, user in {"token": "git", "pair": "anna"}.items():
            asked.clear()
            tree = await read(reader, a_source(path, secret=secret))
            assert (tree.commit, held(tree)) == (commit, {"a.yaml": b"one"})
            assert set(asked) == {f"{user}:{TOKEN}"}
        with pytest.raises(errors.SourceUnavailable) as caught:
            await reader.read(a_source(f"{url}/none/.git", secret="token"))
    assert any("git-remote-http" in command or "remote-http" in command for command in commands)
    assert not any(TOKEN in text or base64.b64encode(f"git:{TOKEN}".encode()).decode() in text for text in commands)
    assert TOKEN not in str(caught.value)


async def test_a_redirect_is_not_followed(made: Repository, reader: GitSource, tmp_path: Path) -> None:
    made.commit(a="one")
    asked: list[str] = []

    def elsewhere(request: web.Request) -> web.Response | None:
        asked.append(request.path)
        if request.path.startswith("/old"):
            return web.Response(status=302, headers={"Location": request.path_qs.replace("/old", "/made", 1)})
        return None

    async with served(tmp_path, elsewhere) as url:
        with pytest.raises(errors.SourceUnavailable):
            await reader.read(a_source(f"{url}/old/.git", secret="token"))
    assert set(asked) == {"/old/.git/info/refs"}


async def test_who_says_nothing_is_left_with_all_helpers(
    reader: GitSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repository, "LOOK_SECONDS", 0.5)
    never, came = asyncio.Event(), asyncio.Event()

    async def wait(request: web.Request) -> web.Response:
        came.set()
        await never.wait()
        return web.Response()

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", wait)
    async with TestServer(app) as server:
        with pytest.raises(errors.SourceUnavailable, match=r"took longer than 0\.5 s"):
            await reader.read(a_source(str(server.make_url("/x"))))
        never.set()
    assert not _processes_in(tmp_path)


def _processes_in(folder: Path) -> list[Path]:
    """Processes that stand in the folder or below it."""
    found = []
    for each in Path("/proc").glob("[0-9]*/cwd"):
        with suppress(OSError):
            found += [each] if each.readlink().is_relative_to(folder) else []
    return found
