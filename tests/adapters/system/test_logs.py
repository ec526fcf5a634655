"""Log lines: no signature of a URL is in any, whoever wrote it."""

import io
import logging
from collections.abc import Iterator

import pytest

from pupload.adapters.system import logs

URL = "https://s3.example.org/b/k?X-Amz-Credential=AKID%2F20260303&X-Amz-Signature=0a1b2c"


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """What is written from now on; afterwards everything is as it was."""
    root = logging.getLogger()
    level, levels = root.level, {name: logging.getLogger(name).level for name in logs.TALKATIVE}
    monkeypatch.setattr(root, "handlers", [])
    stream = io.StringIO()
    logs.set_up("DEBUG", requests=True, stream=stream)
    yield stream
    root.setLevel(level)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)
    for name in ("pupload.access", "alembic"):
        logging.getLogger(name).setLevel(logging.NOTSET)


def test_a_line_and_its_traceback_hold_no_signature(lines: io.StringIO) -> None:
    try:
        int(URL)
    except ValueError:
        logging.getLogger("any.library").exception("cannot get %s", URL)
    written = lines.getvalue()
    assert "invalid literal for int() with base 10: 'https://s3.example.org/b/k?" in written
    assert "cannot get https://s3.example.org/b/k?" in written
    assert "0a1b2c" not in written
    assert "AKID" not in written


@pytest.mark.parametrize("name", ["botocore.auth", "botocore.endpoint", "urllib3.connectionpool", "docker.utils"])
def test_libraries_that_write_requests_down_do_not_debug(lines: io.StringIO, name: str) -> None:
    logging.getLogger(name).debug("StringToSign and Signature")
    logging.getLogger(name).warning("something is wrong")
    assert "Signature" not in lines.getvalue()
    assert "something is wrong" in lines.getvalue()


def test_requests_are_written_down_when_that_is_wanted(lines: io.StringIO) -> None:
    logging.getLogger("pupload.access").info("GET /")
    assert "INFO pupload.access: GET /" in lines.getvalue()
