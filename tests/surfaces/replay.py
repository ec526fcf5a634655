"""
Recorded conversations: what is asked, and what the answer must look like.

A conversation is a YAML file with `about`, maybe `server` (arguments of `make_app`), `store` (attributes of
the store in memory) and `sources` (folders of flows: the texts of their files by path; where it names none there is
no such folder), and `steps`. A step asks (`ask: GET /path`, with `headers`, and `json` or `body`) and says what comes
back: `status`, `answers` (headers), `shape` (of JSON), `text` (all of it) or `has` (parts of the text). `keep`
remembers values of the answer by JSON pointer; `{name}` stands for one afterwards.

Where the server has accounts (`server: {accounts: {root: admin, ed: editor}}`, an administrator first), everybody is
asked for a token: `as: ed` in a step shows that account's, and at the head of the conversation for every step that says
nothing else (`as: ""`: nobody's). `{ed_token}` stands for it anywhere; the password is `ed's password`.

Before a step is asked, `files` of sources are written, or removed where their text is null, and `days` go by.

A shape is JSON itself, and names are all that there are, unless `...` is among them. `<text>`, `<number>`, `<time>`,
`<naive>` (a time without a zone), `<url>`, `<run>`, `<uuid>`, `<hash>` and `<any>` stand for any value of that kind;
a text with `{name}` in it is filled in first.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from pupload.domain.sources import Kind, Source
from tests.api.house import House

KINDS = {
    "<text>": re.compile(r".+", re.DOTALL),
    "<time>": re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"),
    "<url>": re.compile(r"https?://\S+"),
    "<run>": re.compile(r"run_[0-9A-HJKMNP-TV-Z]{26}"),
    "<naive>": re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?"),
    "<uuid>": re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
    "<hash>": re.compile(r"[0-9a-f]{64}"),
}
OTHERS = "..."

_WORDS = {"ask", "headers", "json", "body", "status", "answers", "shape", "text", "has", "keep", "files", "days", "as"}


def read(path: Path) -> dict[str, Any]:
    """The conversation in the file."""
    conversation: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    unknown = {word for step in conversation["steps"] for word in step} - _WORDS
    assert not unknown, f"{path.name} has words that nobody reads: {unknown}"
    return conversation


def sources(conversation: Mapping[str, Any], root: Path) -> list[Source]:
    """The sources of the conversation, with their files, in folders in `root`."""
    wanted = conversation.get("sources", {})
    write(root, {name: files for name, files in wanted.items() if files})
    return [Source(name=name, type=Kind.FS, path=str(root / name)) for name in wanted]


def write(root: Path, files: Mapping[str, Mapping[str, str | None]]) -> None:
    """Writes the texts of each source's files, and removes those that have none."""
    for source, texts in files.items():
        for path, text in texts.items():
            file = root / source / path
            if text is None:
                file.unlink()
            else:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text, encoding="utf-8")


async def replay(house: House, conversation: Mapping[str, Any], root: Path) -> None:
    """Asks step after step; sources are in `root`. Raises `AssertionError` at the first answer that is another."""
    kept = {f"{name}_token": token for name, token in house.tokens.items()}
    for number, step in enumerate(conversation["steps"], start=1):
        write(root, step.get("files", {}))
        if "days" in step:
            house.bench.clock.advance(step["days"] * 86400)
        method, _, target = fill(step["ask"], kept).partition(" ")
        url = target if target.startswith("http") else house.url + target
        shown = house.shown(step.get("as", conversation.get("as", "")))
        more: dict[str, Any] = {"headers": {**shown, **fill(step.get("headers", {}), kept)}}
        if "json" in step:
            more["json"] = fill(step["json"], kept)
        if "body" in step:
            more["data"] = step["body"].encode()
        async with house.http.request(method, url, allow_redirects=False, **more) as response:
            where = f"step {number}, {method} {target}: {await response.text()}"
            assert response.status == step["status"], where
            for name, value in fill(step.get("answers", {}), kept).items():
                assert matches(response.headers.get(name), value), f"{name} of {where}"
            if "text" in step:
                assert await response.text() == fill(step["text"], kept), where
            for part in fill(step.get("has", []), kept):
                assert part in await response.text(), where
            if "shape" in step or "keep" in step:
                said = await response.json()
                if "shape" in step:
                    compare(said, fill(step["shape"], kept), where)
                kept |= {name: str(at(said, pointer)) for name, pointer in step.get("keep", {}).items()}


def fill(value: Any, kept: Mapping[str, str]) -> Any:
    """The value with what was kept in place of `{name}`."""
    if isinstance(value, str):
        return re.sub(r"\{(\w+)\}", lambda found: kept.get(found[1], found[0]), value)
    if isinstance(value, dict):
        return {name: fill(item, kept) for name, item in value.items()}
    return [fill(item, kept) for item in value] if isinstance(value, list) else value


def at(value: Any, pointer: str) -> Any:
    """What the JSON pointer leads to."""
    for token in pointer.split("/")[1:]:
        value = value[int(token)] if isinstance(value, list) else value[token]
    return value


def compare(said: Any, shape: Any, where: str, place: str = "") -> None:
    """Raises `AssertionError` unless what was said has the shape; it names the place."""
    if isinstance(shape, dict):
        assert isinstance(said, dict), f"{place or '/'} is no object in {where}"
        wanted = shape.keys() - {OTHERS}
        assert wanted <= said.keys(), f"{place or '/'} lacks {wanted - said.keys()} in {where}"
        assert OTHERS in shape or said.keys() <= wanted, f"{place or '/'} has {said.keys() - wanted} too in {where}"
        for name in wanted:
            compare(said[name], shape[name], where, f"{place}/{name}")
    elif isinstance(shape, list):
        assert isinstance(said, list), f"{place} is no list in {where}"
        assert len(said) == len(shape), f"{place} has {len(said)} entries in {where}"
        for index, item in enumerate(shape):
            compare(said[index], item, where, f"{place}/{index}")
    else:
        assert matches(said, shape), f"{place} is {said!r}, not {shape!r}, in {where}"


def matches(said: Any, shape: Any) -> bool:
    """Whether a value is the one, or of the kind, that the shape names."""
    if shape == "<any>":
        return True
    if shape == "<number>":
        return isinstance(said, int | float) and not isinstance(said, bool)
    if isinstance(shape, str) and shape in KINDS:
        return isinstance(said, str) and KINDS[shape].fullmatch(said) is not None
    return type(said) is type(shape) and bool(said == shape)
