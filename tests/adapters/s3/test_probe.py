"""The probe against stores that lack something: it names what, and what that costs."""

from collections.abc import Callable

from aiohttp import web

from pupload import ports
from tests.adapters.s3 import faulty
from tests.adapters.s3.faulty import error, head, in_turn, says, scene


def lacking(lines: list[ports.ProbeLine]) -> dict[str, str]:
    return {line.what: line.detail for line in lines if not line.ok}


async def probed(choose: Callable[[web.Request], faulty.Answer]) -> list[ports.ProbeLine]:
    async with scene(in_turn(choose)) as at:
        return list(await at.store.probe())


async def test_where_nothing_can_be_put_nothing_else_is_tried() -> None:
    lines = await probed(lambda _: error(403, "AccessDenied"))
    assert len(lines) == 1
    assert "check the keys" in lacking(lines)["put an object"]


async def test_each_lack_is_named_and_hides_no_other() -> None:
    """F29: a store that says yes to everything and does nothing."""
    lines = await probed(lambda request: head(9) if request.method == "HEAD" else says(200, ETag='"e"'))
    lacks = lacking(lines)
    assert "put an object" not in lacks
    assert len(lines) == 16
    assert "It tells of an object that was never put." in lacks["tell an absent object from a forbidden one"]
    assert "It does not look at If-Match." in lacks["get only what was sealed (If-Match)"]
    assert "It put the object although there was one." in lacks["put only what is new (If-None-Match)"]
    assert "It answered 200 to another type than was signed." in lacks["presigned URLs bind the content type"]
    assert "Objects above 5 GB cannot be put." in lacks["multipart upload"]


async def test_a_clock_that_is_off_is_told() -> None:
    lines = await probed(lambda _: says(200, ETag='"e"', Date="Wed, 04 Mar 2020 05:06:07 GMT"))
    assert "seconds apart" in lacking(lines)["clock"]
    assert "NTP" in lacking(lines)["clock"]


async def test_keys_that_may_not_list_are_told_so() -> None:
    lines = await probed(lambda request: says(403) if request.method == "HEAD" else says(200, ETag='"e"'))
    assert "s3:ListBucket" in lacking(lines)["tell an absent object from a forbidden one"]
