#!/usr/bin/python3
"""
Asks a public address by HTTP, and keeps what it answers.

    FLAG_URL      what is asked; where it is not set, what the input says     OUTPUT_RESPONSE   the body of the answer
    INPUT_INPUT   the URL, an object with url, method, headers and body, or with flag url the body     OUTPUT_STATUS
                  what the answer says of itself, an object

What may be asked, and how, is in `web`. A redirect is an answer like any other unless flag max_redirects follows it.
"""

import http.client
import re
import signal
import ssl
import sys
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urljoin

import node
import passing
import web

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
MOST_HEADERS, MOST_HEADER = 50, 8000

_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_FIXED = frozenset({"host", "connection", "content-length", "transfer-encoding", "accept-encoding", "upgrade", "te"})


def main() -> None:
    """Does what the flags say."""
    order = asked_for()
    hops, most = node.number("max_redirects", 0, 0, 20), node.number("max_bytes", 16 << 20, 1, 1 << 32)
    any_port, seconds = node.boolean("any_port"), node.number("timeout", 30, 1, 3600)
    fails = node.boolean("fail_on_error", default=True)
    trusted = web.trust()
    signal.signal(signal.SIGALRM, web.time_is_over)
    signal.alarm(seconds)
    parts = web.parts_of(order["url"], any_port=any_port)
    try:
        for _ in range(hops + 1):
            answer = web.asked(parts, trusted, order["method"], order["headers"], order["body"])
            if not hops or answer.status not in web.REDIRECTS:
                break
            after = web.parts_of(urljoin(order["url"], answer.getheader("location") or ""), any_port=any_port)
            answer.close()
            parts = elsewhere(order, parts, after, answer.status)
        else:
            node.die(node.WRONG_INPUT, f"there were more than {hops} redirects; raise max_redirects if that is right")
        keep(answer, parts, most, fails=fails)
    except web.Late:
        node.die(node.FAILED, "there was no answer within the time of flag timeout; raise it, or try again later")
    except ssl.SSLCertVerificationError as error:
        web.untrusted(parts.hostname, error)
    except (OSError, http.client.HTTPException) as error:
        node.die(
            node.FAILED,
            f"{parts.hostname} could not be asked: {getattr(error, 'strerror', None) or type(error).__name__}",
        )


def asked_for() -> dict[str, Any]:
    """What is asked, of the flags and the input."""
    url, method = node.flag("url"), node.flag("method", "GET").upper()
    headers, body = said_headers(node.flag("headers"), "flag headers"), node.flag("body").encode()
    if passing.bound("input"):
        if url:
            body = body or passing.source("input").read_bytes() if method not in ("GET", "HEAD") else body
        else:
            said = passing.value("input")
            if isinstance(said, dict):
                url, method = str(said.get("url") or ""), str(said.get("method") or method).upper()
                headers = {**headers, **said_headers(said.get("headers") or {}, "headers of input")}
                body = passing.as_text(said["body"]).encode() if said.get("body") is not None else body
                if isinstance(said.get("body"), dict | list):
                    headers = {"Content-Type": "application/json", **headers}
            else:
                url = passing.as_text(said).strip()
    if method not in METHODS:
        node.die(node.WRONG_FLAG, f"flag method must be one of {', '.join(METHODS)}")
    if node.flag("authorization"):
        headers["Authorization"] = header(Path(node.flag("authorization")).read_text().strip(), "flag authorization")
    return {"url": url, "method": method, "headers": headers, "body": body or None}


def said_headers(said: Any, what: str) -> dict[str, str]:
    """The headers; ends the node where there are none that can be sent."""
    try:
        said = passing.parsed(said) if isinstance(said, str) and said else said or {}
    except passing.Wrong:
        node.die(node.WRONG_FLAG, f"{what} must be an object of JSON")
    if not isinstance(said, dict) or len(said) > MOST_HEADERS:
        node.die(node.WRONG_FLAG, f"{what} must be an object of JSON with {MOST_HEADERS} headers at most")
    for name in said:
        if not _NAME.fullmatch(name) or name.lower() in _FIXED:
            node.die(node.WRONG_FLAG, f"{what}: '{node.plain(name)}' is no header that can be set")
    return {name: header(passing.as_text(value), what) for name, value in said.items()}


def header(value: str, what: str) -> str:
    """The value of a header; ends the node where it is none."""
    if not re.fullmatch(r"[\t -~]*", value) or len(value) > MOST_HEADER:
        node.die(node.WRONG_FLAG, f"{what}: a header is a line of ASCII")
    return value


def elsewhere(order: dict[str, Any], before: SplitResult, after: SplitResult, status: int) -> SplitResult:
    """Where a redirect leads. What is secret goes nowhere else than where it was meant for."""
    if (before.scheme, before.netloc) != (after.scheme, after.netloc):
        order["headers"] = {
            name: value for name, value in order["headers"].items() if name.lower() not in ("authorization", "cookie")
        }
    if status == 303 or (status in (301, 302) and order["method"] == "POST"):
        order.update(method="GET", body=None)
    order["url"] = after.geturl()
    return after


def keep(answer: http.client.HTTPResponse, parts: SplitResult, most: int, *, fails: bool) -> None:
    """Writes what was answered; ends the node where that is an error that nobody wants to go on with."""
    if fails and answer.status >= 400:
        code = node.FAILED if answer.status in web.WORTH_ANOTHER_TRY else node.WRONG_INPUT
        node.die(code, f"{web.shown(parts)} answers {answer.status} {answer.reason}")
    done = 0
    with node.place("OUTPUT_RESPONSE").open("wb") as file:
        while block := answer.read1(web.CHUNK):
            done += len(block)
            if done > most:
                node.die(node.WRONG_INPUT, f"the answer is larger than {most} bytes; raise max_bytes if that is right")
            file.write(block)
    headers = {name.lower(): value for name, value in answer.getheaders()[:200]}
    status = {"status": answer.status, "reason": answer.reason, "url": web.shown(parts), "headers": headers}
    passing.write("status", status)
    node.say(f"{answer.status} {answer.reason}, {done} bytes from {web.shown(parts)}", 1)


if __name__ == "__main__":
    sys.exit(main())
