"""What a client makes of a server, or a store, that says no or nothing: the error of ours that it is there."""

import json
import os
import re
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from pupload import errors
from pupload.domain.validation.findings import Finding, Severity

_UNAUTHENTICATED = (errors.TokenMissing, errors.WrongCredentials, errors.WrongCode)


def unreachable(url: str, error: Exception) -> errors.PuploadError:
    """Why nothing came back from there; what is an error of ours stays it. Nothing of the URL's query is told."""
    if isinstance(error, errors.PuploadError):
        return error
    origin = url.partition("?")[0] if "?" not in url else "{0.scheme}://{0.netloc}".format(urlsplit(url))
    if isinstance(error, aiohttp.ClientConnectorError):
        reason = os.strerror(error.os_error.errno) if error.os_error.errno else "no connection"
    elif isinstance(error, TimeoutError):
        reason = "it does not answer"
    elif isinstance(error, aiohttp.ClientError):
        reason = "the connection broke off"
    else:
        reason = str(error) or type(error).__name__
    return errors.ServerUnreachable(url=origin, reason=reason)


async def of_server(response: aiohttp.ClientResponse) -> errors.PuploadError:
    """What the server refused, as the error it is there."""
    text = await response.text(errors="replace")
    try:
        body = json.loads(text)
        sentence = str(body["error"])
    except (ValueError, KeyError, TypeError):
        body, sentence = {}, text.strip()[:500] or f"the server answered {response.status}"
    if response.status == 400 and body.get("Findings"):
        return errors.Invalid(what="flow", findings=tuple(_finding(each) for each in body["Findings"]))
    if response.status == 400 and sentence == "Flow run does not exist.":
        return errors.UnknownRun()
    if response.status == 409:
        return errors.Conflict(reason=sentence)
    if response.status == 401:
        return next((kind() for kind in _UNAUTHENTICATED if kind().message == sentence), errors.Unauthenticated())
    if response.status == 403:
        return errors.Forbidden(reason=sentence)
    if response.status in (502, 503, 504):
        return errors.TryLater(reason=sentence.removeprefix("Not now: "))
    if response.status >= 500:
        return errors.Broken(reason=f"{sentence} (request {body.get('RequestID') or 'unknown'})")
    return errors.Malformed(reason=sentence)


def _finding(found: dict[str, Any]) -> Finding:
    return Finding(
        type=Severity(found["Type"]),
        code=found["Code"],
        name=found["Name"],
        description=found["Description"],
        path=found["Path"],
    )


async def of_store(response: aiohttp.ClientResponse) -> errors.PuploadError:
    """What a store refused; its URL is signed, so it is not told."""
    text = await response.text(errors="replace")
    code = re.search(r"<Code>([^<]{1,100})</Code>", text)
    said = re.search(r"<Message>([^<]{1,300})</Message>", text)
    if response.status >= 500:
        return errors.TryLater(reason=f"the store answered {response.status}")
    return errors.StoreRefused(
        store=response.url.host or "",
        code=code.group(1) if code else str(response.status),
        reason=said.group(1) if said else response.reason or "",
    )
