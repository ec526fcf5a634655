#!/usr/bin/python3
"""
Gets a file from the web, and from nowhere else: not from this machine, its neighbours or a cloud's metadata service.

What may be asked, and how, is in `web`, for this node type and others. Each redirect goes the same way.

    FLAG_URL            what to get                                     OUTPUT_FILE   the file to write
    INPUT_AUTHORITIES   certificates of authorities to trust besides, PEM
"""

import hashlib
import http.client
import re
import signal
import ssl
import sys
import time
from pathlib import Path
from urllib.parse import SplitResult, urljoin

import node
import web


def main() -> None:
    """Does what the flags say."""
    url = node.flag("url")
    hops = node.number("max_redirects", 5, 0, 20)
    most = node.number("max_bytes", 1 << 30, 1, 1 << 44)
    seconds = node.number("seconds", 300, 1, 86_400)
    any_port = node.boolean("any_port")
    expected = node.flag("sha256").lower()
    if expected and not re.fullmatch(r"[0-9a-f]{64}", expected):
        node.die(node.WRONG_FLAG, "flag sha256 must be 64 hexadecimal digits")
    output, trusted = node.place("OUTPUT_FILE"), web.trust()
    signal.signal(signal.SIGALRM, web.time_is_over)
    signal.alarm(seconds)
    parts = web.parts_of(url, any_port=any_port)
    try:
        for _ in range(hops + 1):
            answer = web.asked(parts, trusted)
            if answer.status not in web.REDIRECTS:
                keep(answer, output, most, expected, web.shown(parts))
                return
            url = urljoin(url, answer.getheader("location") or "")
            answer.close()
            parts = followed(parts, web.parts_of(url, any_port=any_port), expected)
    except web.Late:
        output.unlink(missing_ok=True)
        node.die(node.FAILED, "the file was not there within the time of flag seconds; raise it, or try again later")
    except ssl.SSLCertVerificationError as error:
        web.untrusted(parts.hostname, error)
    except (OSError, http.client.HTTPException) as error:
        output.unlink(missing_ok=True)
        reason = getattr(error, "strerror", None) or error or type(error).__name__
        node.die(node.FAILED, f"{parts.hostname} could not be asked: {reason}")
    node.die(node.WRONG_INPUT, f"there were more than {hops} redirects; raise max_redirects if that is right")


def followed(before: SplitResult, after: SplitResult, expected: str) -> SplitResult:
    """Where a redirect leads; ends the node where that is from https to http, and no checksum tells a change."""
    if before.scheme == "https" and after.scheme == "http" and not expected:
        node.die(
            node.WRONG_INPUT,
            f"{before.hostname} redirects from https to {web.shown(after)}, where anybody on the way can change the "
            "file; set sha256, or ask for that URL if it is right",
        )
    return after


def keep(answer: http.client.HTTPResponse, output: Path, most: int, expected: str, shown_url: str) -> None:
    """Writes the body, and ends the node where it is not what was asked for."""
    if answer.status != 200:
        code = node.FAILED if answer.status in web.WORTH_ANOTHER_TRY else node.WRONG_INPUT
        node.die(code, f"{shown_url} answers {answer.status} {answer.reason}")
    if answer.getheader("content-encoding", "identity") != "identity":
        node.die(node.WRONG_INPUT, f"{shown_url} sends the file compressed, though it was asked not to")
    whole = int(answer.length or 0)
    refusal = f"the file is larger than {most} bytes; raise max_bytes if that is right"
    if whole > most:
        node.die(node.WRONG_INPUT, refusal)
    done, told, digest = 0, time.monotonic(), hashlib.sha256()
    with output.open("wb") as file:
        while block := answer.read1(web.CHUNK):
            done += len(block)
            if done > most:
                output.unlink()
                node.die(node.WRONG_INPUT, refusal)
            digest.update(block)
            file.write(block)
            if time.monotonic() - told > 2:
                told = time.monotonic()
                node.say(f"{done} bytes", done / whole if whole else None)
    if whole and done != whole:
        output.unlink()
        node.die(node.FAILED, f"{shown_url} broke off after {done} of {whole} bytes")
    if expected and digest.hexdigest() != expected:
        output.unlink()
        node.die(node.WRONG_INPUT, f"the file is not what is expected: its sha256 is {digest.hexdigest()}")
    node.say(f"{done} bytes from {shown_url}, sha256 {digest.hexdigest()}", 1)


if __name__ == "__main__":
    sys.exit(main())
