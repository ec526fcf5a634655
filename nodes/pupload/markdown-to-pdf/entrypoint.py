#!/usr/bin/python3
"""
Markdown as PDF.

    INPUT_TEXT     the Markdown, UTF-8
    OUTPUT_PDF     the file to write
    FLAG_DIALECT   markdown (pandoc's), gfm (GitHub's), commonmark
    FLAG_PAPER     a4, a5, letter, legal
    FLAG_MARGIN    in millimetres
    FLAG_SIZE      of the type, in points
    FLAG_CONTENTS  true puts a table of contents in front
    FLAG_TITLE     a title, in front and in the PDF's properties
    FLAG_LANGUAGE  by which words are divided, such as en or de

pandoc runs in its sandbox, and reads no raw HTML or TeX. WeasyPrint runs no scripts; what it asks for is refused but
for pictures that stand in the text itself as data: URLs. Exit codes are those of node.sh.
"""

import base64
import binascii
import contextlib
import io
import logging
import os
import re
import resource
import signal
import subprocess
import sys
import urllib.parse
import warnings
from pathlib import Path
from typing import Any, NoReturn

import node

MOST_BYTES = 4_000_000
MOST_HTML_BYTES = 40_000_000
MOST_PICTURE_BYTES = 3_000_000
MOST_PICTURE_PIXELS = 25_000_000
MOST_DEPTH = 200
SECONDS_TO_PARSE = 60
SECONDS_TO_LAY_OUT = 240

DIALECTS = {
    "markdown": "markdown-raw_html-raw_tex-raw_attribute-native_divs-native_spans-markdown_in_html_blocks-latex_macros"
    "+emoji+autolink_bare_uris+lists_without_preceding_blankline",
    "gfm": "gfm-raw_html",
    "commonmark": "commonmark-raw_html",
}
PAPERS = {"a4": "210mm 297mm", "a5": "148mm 210mm", "letter": "8.5in 11in", "legal": "8.5in 14in"}
STYLE = Path("/usr/local/share/pupload/style.css")

PICTURES = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF8": "image/gif",
    b"RIFF": "image/webp",
}


# ── Words ────────────────────────────────────────────────────────────────────────────────────────────────────────


def end(code: int, message: str) -> NoReturn:
    """Ends at once, and not by an exception: what is being laid out may take its time to be cleared away."""
    sys.stderr = sys.__stderr__
    try:
        node.die(code, message)
    finally:
        os._exit(code)


# ── What is asked ────────────────────────────────────────────────────────────────────────────────────────────────


def read(source: Path) -> str:
    """The Markdown, if it is text."""
    if not source.is_file() or not os.access(source, os.R_OK):
        end(node.WRONG_INPUT, f"there is no readable file at {source}")
    if source.stat().st_size > MOST_BYTES:
        end(node.WRONG_INPUT, f"the text is larger than {MOST_BYTES // 1_000_000} MB; split it")
    data = source.read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        end(node.WRONG_INPUT, "the input is not text in UTF-8")
    if "\0" in text:
        end(node.WRONG_INPUT, "the input is not text: it holds zero bytes")
    if re.search(rf"^(?:[ \t]*(?:>|[-*+]|\d{{1,9}}[.)])){{{MOST_DEPTH}}}", text, re.MULTILINE):
        end(node.WRONG_INPUT, f"the text nests quotations or lists more than {MOST_DEPTH} deep")
    return text


# ── pandoc ───────────────────────────────────────────────────────────────────────────────────────────────────────


def html(text: str, *, dialect: str, title: str, language: str, contents: bool, memory: int) -> str:
    """The text as a page of HTML without anything of the author's own HTML in it."""
    command = [
        *("pandoc", "+RTS", f"-M{memory * 2 // 3}", "-RTS", "--sandbox", "--quiet"),
        *("--from", DIALECTS[dialect], "--to", "html5", "--standalone", "--metadata", "document-css=false"),
        *("--metadata", f"lang={language}"),
        *(("--metadata", f"title={title}") if title else ()),
        *(("--toc",) if contents else ()),
    ]
    surroundings = {"HOME": "/tmp", "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
    ended = subprocess.Popen(
        command, env=surroundings, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        made, said = ended.communicate(text.encode(), SECONDS_TO_PARSE)
    except subprocess.TimeoutExpired:
        ended.kill()
        end(node.WRONG_INPUT, f"reading the text took longer than {SECONDS_TO_PARSE} s: simplify it, or split it")
    if ended.returncode == 251 or ended.returncode < 0:
        end(node.TOO_LARGE, "the text takes more memory than this tier has; try a larger one")
    if ended.returncode:
        reason = said.decode("utf-8", "replace").strip().splitlines()[:1]
        end(node.WRONG_INPUT, f"the text cannot be read as {dialect}: {''.join(reason)}")
    if len(made) > MOST_HTML_BYTES:
        end(node.WRONG_INPUT, "the text becomes too much when it is laid out; split it")
    # Without a title pandoc takes the file's name, which is none.
    page = made.decode()
    heading = re.search(r"<h[1-6][^>]*>(.{1,300}?)</h[1-6]>", page)
    named = re.sub(r"<[^>]*>", "", heading[1]) if heading else "Document"
    return page.replace("<title>-</title>", f"<title>{named}</title>", 1)


# ── WeasyPrint ───────────────────────────────────────────────────────────────────────────────────────────────────


class Refused(ValueError):
    """Nothing is fetched from {0}."""


refused: set[str] = set()


def fetch(url: str, *_: Any, **__: Any) -> dict[str, Any]:
    """The picture in a data: URL; everything else is refused."""
    head, comma, body = url.partition(",")
    if not comma or not head.startswith("data:image/") or len(url) > MOST_PICTURE_BYTES * 4 // 3 + 100:
        refused.add(url[:40])
        raise Refused(url[:40])
    try:
        raw = urllib.parse.unquote_to_bytes(body)
        data = base64.b64decode(raw) if head.endswith(";base64") else raw
    except binascii.Error as error:
        raise Refused(url[:40]) from error
    kind = next((kind for mark, kind in PICTURES.items() if data.startswith(mark)), "")
    if not kind:
        # SVG would be read as well, and asks for files of its own.
        refused.add(url[:40])
        raise Refused(url[:40])
    return {"string": data, "mime_type": kind}


def laid_out(page: str, target: Path, *, paper: str, margin: int, size: int) -> int:
    """How many pages the PDF has."""
    from PIL import Image  # noqa: PLC0415 (slow, and a wrong flag need not wait for it)

    Image.MAX_IMAGE_PIXELS = MOST_PICTURE_PIXELS
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    import weasyprint  # noqa: PLC0415 (the same)

    logging.getLogger("weasyprint").setLevel(logging.CRITICAL)
    frame = f"@page {{ size: {PAPERS[paper]}; margin: {margin}mm }} html {{ font-size: {size}pt !important }}"
    styles = [weasyprint.CSS(string=text, url_fetcher=fetch) for text in (STYLE.read_text(), frame)]
    document = weasyprint.HTML(string=page, url_fetcher=fetch, base_url="none:").render(stylesheets=styles)
    buffer = io.BytesIO()
    document.write_pdf(buffer)
    target.write_bytes(buffer.getvalue())
    return len(document.pages)


def late(*_: Any) -> NoReturn:
    end(node.WRONG_INPUT, f"laying the text out took longer than {SECONDS_TO_LAY_OUT} s: simplify it, or split it")


def main() -> None:
    source, target = node.place("INPUT_TEXT"), node.place("OUTPUT_PDF")
    dialect, paper = node.choice("dialect", "markdown", *DIALECTS), node.choice("paper", "a4", *PAPERS)
    margin, size = node.number("margin", 20, 0, 60), node.number("size", 11, 6, 24)
    contents = node.boolean("contents")
    title, language = node.flag("title"), node.flag("language", "en")
    if len(title) > 300 or not title.isprintable():
        end(node.WRONG_FLAG, "flag title must be one line of at most 300 characters")
    if not re.fullmatch(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*", language):
        end(node.WRONG_FLAG, f"flag language must be a language's code such as en, de, or pt-BR, not '{language}'")
    text, memory = read(source), node.memory_limit()
    node.say("Reading the text", 0.1)
    page = html(text, dialect=dialect, title=title, language=language, contents=contents, memory=memory)
    node.say("Laying it out", 0.3)
    os.environ["HOME"] = os.environ["XDG_CACHE_HOME"] = "/tmp"
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    sys.setrecursionlimit(4000)
    signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS_TO_LAY_OUT)
    try:
        # Nothing of the libraries' own words reaches the log.
        with contextlib.redirect_stderr(io.StringIO()):
            pages = laid_out(page, target, paper=paper, margin=margin, size=size)
    except MemoryError:
        end(node.TOO_LARGE, "the text takes more memory than this tier has; try a larger one")
    except RecursionError:
        end(node.WRONG_INPUT, "the text is nested too deeply to be laid out")
    except Exception as error:  # noqa: BLE001 (whatever a stranger's text makes a large library trip over)
        target.unlink(missing_ok=True)
        end(node.WRONG_INPUT, f"the text cannot be laid out ({type(error).__name__})")
    if refused:
        node.warn(
            f"{len(refused)} pictures or styles are left out: only those in the text itself (data: URLs) are shown"
        )
    node.say(f"A PDF of {pages} pages, {target.stat().st_size} bytes", 1)


if __name__ == "__main__":
    main()
