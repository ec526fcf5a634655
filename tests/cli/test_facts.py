"""`pup fact`: what runs know is said, listed and forgotten."""

import asyncio
from pathlib import Path

from tests.api.house import a_house
from tests.cli.test_pup import Pup, pup

__all__ = ["pup"]


async def test_a_fact_is_said_listed_and_forgotten(pup: Pup, tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        at = ("--url", house.url)
        assert await asyncio.to_thread(pup, "fact", "set", "last/seen", '{"id": 7}', "--json", *at) == 0
        assert (pup.json["Value"], pup.json["Scope"]) == ({"id": 7}, "user")
        assert await asyncio.to_thread(pup, "fact", "set", "greeting", "hello", "--global", *at) == 0
        assert "greeting is known" in pup.said
        assert await asyncio.to_thread(pup, "fact", "list", *at) == 0
        assert '{"id": 7}' in pup.said
        assert "hello" in pup.said
        assert await asyncio.to_thread(pup, "fact", "list", "--scope", "global", "--json", *at) == 0
        (fact,) = pup.json["Facts"]
        assert await asyncio.to_thread(pup, "fact", "remove", fact["ID"], *at) == 0
        assert "is forgotten" in pup.said
        assert await asyncio.to_thread(pup, "fact", "remove", fact["ID"], *at) == 1
        assert "does not exist" in pup.complaint
