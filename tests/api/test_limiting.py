"""How many requests a caller may make."""

from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import make_mocked_request

from pupload import errors
from pupload.adapters.memory.clock import VirtualClock
from pupload.api import limiting
from tests.api.house import a_house

LIST = "/api/v1/flow/list"


def limits(per_second: float = 0.01, burst: int = 3, *proxies: str) -> limiting.Limits:
    """So few a second that none is added while a test goes on."""
    return limiting.Limits(VirtualClock(), per_second=per_second, burst=burst, proxies=limiting.networks(proxies))


def asked(peer: str, forwarded: str = "") -> Any:
    headers = {"X-Forwarded-For": forwarded} if forwarded else {}
    request = make_mocked_request("GET", "/", headers=headers)
    return request.clone(remote=peer)


async def test_answers_say_how_many_are_left_and_one_too_many_is_refused_in_the_surface_s_shape(
    tmp_path: Path,
) -> None:
    async with a_house(tmp_path, rate=limits()) as house:
        for left in (2, 1, 0):
            async with house.http.get(house.url + LIST) as answer:
                assert answer.status == 200
                assert answer.headers["X-RateLimit-Limit"] == "3"
                assert answer.headers["X-RateLimit-Remaining"] == str(left)
                assert answer.headers["X-RateLimit-Reset"].isdecimal()
        async with house.http.get(house.url + LIST) as answer:
            assert answer.status == 429
            assert (await answer.json())["error"].startswith("too many requests")
            assert 0 < int(answer.headers["Retry-After"]) <= 100
            assert answer.headers["X-RateLimit-Remaining"] == "0"


async def test_whether_the_server_is_well_is_answered_always(tmp_path: Path) -> None:
    async with a_house(tmp_path, rate=limits(burst=1)) as house:
        assert (await house.call("GET", "/nowhere"))[0] == 404
        assert (await house.call("GET", LIST))[0] == 429
        for _ in range(3):
            assert (await house.call("GET", "/healthz"))[0] == 200
            assert (await house.call("GET", "/metrics"))[0] == 200


async def test_a_web_socket_counts_once(tmp_path: Path) -> None:
    async with (
        a_house(tmp_path, rate=limits(burst=2)) as house,
        house.http.ws_connect(f"{house.url}/api/v1/flow/ws") as socket,
    ):
        for _ in range(5):
            await socket.send_str("hello")
        assert (await house.call("GET", LIST))[0] == 200


async def test_without_a_rate_answers_say_nothing_of_one(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house, house.http.get(house.url + LIST) as answer:
        assert not [name for name in answer.headers if name.startswith("X-RateLimit")]


def test_each_caller_has_its_own_rate() -> None:
    rate = limits(burst=1)
    rate.count(asked("192.0.2.1"))
    rate.count(asked("192.0.2.2"))
    with pytest.raises(errors.TooManyRequests):
        rate.count(asked("192.0.2.1"))


@pytest.mark.parametrize(
    ("peer", "forwarded", "wanted"),
    [
        ("192.0.2.1", "", "192.0.2.1"),
        ("192.0.2.1", "203.0.113.9", "192.0.2.1"),  # no proxy of ours
        ("10.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "1.2.3.4, 203.0.113.9, 10.0.0.7", "203.0.113.9"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("::ffff:10.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("2001:db8::1:2:3:4", "", "2001:db8:0:0::/64"),
        ("2001:db8::ffff:2:3:5", "", "2001:db8:0:0::/64"),
    ],
)
def test_whose_request_it_is(peer: str, forwarded: str, wanted: str) -> None:
    if "/" in wanted:
        wanted = str(ip_network("2001:db8::/64"))
    assert limiting.caller(asked(peer, forwarded), limiting.networks(["10.0.0.0/8"])) == wanted


def test_many_callers_take_no_more_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limiting, "MOST_PEERS", 10)
    rate = limits(burst=1)
    for number in range(100):
        rate.count(asked(f"192.0.2.{number}"))
    rate.count(asked("192.0.2.1"))  # forgotten by now
    with pytest.raises(errors.TooManyRequests):
        rate.count(asked("192.0.2.99"))


def test_what_is_no_network_is_refused() -> None:
    with pytest.raises(errors.Misconfigured, match="trusted_proxies"):
        limiting.networks(["10.0.0.0/8", "proxy.example"])
