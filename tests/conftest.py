"""What holds for all tests."""

import faulthandler
import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import settings
from xdist.remote import Producer

from tests import scheduling

# A machine that does much else is slow now and then; no test is about that.
settings.register_profile("pupload", deadline=None)
settings.load_profile("pupload")

AFTER_TIME_OUT_SECONDS = 60.0
"""A test that has hung fails alone. If it cannot be interrupted, or its fixtures hang as well, its process ends."""

STDERR = os.dup(2)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> scheduling.Scheduling | None:
    """Whoever asks for another distribution by name gets that."""
    return scheduling.Scheduling(config, log) if config.option.dist == "load" else None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    with _ending(item):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    with _ending(item):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    with _ending(item):
        return (yield)


@contextmanager
def _ending(item: pytest.Item) -> Iterator[None]:
    """The process ends, and tells where it was, when this takes far longer than the test may."""
    mark = item.get_closest_marker("timeout")
    seconds = float(mark.args[0] if mark else item.config.getini("timeout"))
    faulthandler.dump_traceback_later(seconds + AFTER_TIME_OUT_SECONDS, exit=True, file=STDERR)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
