"""Addresses that flows may send the server to, however they are written."""

import ipaddress
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pupload.domain import reach

STRICT, AT_HOME = reach.Policy(), reach.Policy(private=True)

NEVER = [
    *("169.254.169.254", "169.254.170.2", "100.100.100.200", "168.63.129.16", "192.0.0.192"),
    *("fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254", "fe80::1", "fe80::1%eth0", "fe80::a9fe:a9fe"),
    *("0.0.0.0", "0.0.0.1", "::", "::7f00:1", "224.0.0.1", "ff02::1", "240.0.0.1", "255.255.255.255"),
    *("::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1", "64:ff9b:1::a9fe:a9fe"),
    *("", "example.org", "127.1", "1.2.3.4.5"),
]
OWN = [
    *("127.0.0.1", "127.255.0.1", "::1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "fd12::1", "fec0::1"),
    *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:7f00:1::1"),
]
PUBLIC = ["1.1.1.1", "52.95.110.1", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"]


@pytest.mark.parametrize("address", NEVER)
def test_some_addresses_are_never_reached(address: str) -> None:
    assert STRICT.objection(address)
    assert AT_HOME.objection(address)


@pytest.mark.parametrize("address", OWN)
def test_the_servers_own_network_is_reached_where_the_operator_says_so(address: str) -> None:
    assert STRICT.objection(address)
    assert AT_HOME.objection(address) is None


@pytest.mark.parametrize("address", PUBLIC)
def test_the_world_is_reached(address: str) -> None:
    assert STRICT.objection(address) is None


@given(st.ip_addresses(v=4))
def test_an_address_carried_in_another_is_judged_as_itself(address: ipaddress.IPv4Address) -> None:
    plain = STRICT.objection(str(address))
    number = int(address)
    assert STRICT.objection(f"::ffff:{address}") == plain
    carried = [
        ipaddress.IPv6Address(int(ipaddress.IPv6Address("64:ff9b::")) + number),
        ipaddress.IPv6Address((0x2002 << 112) + (number << 80) + 1),
        ipaddress.IPv6Address((0x20010000 << 96) + (0x01010101 << 64) + (number ^ 0xFFFFFFFF)),
    ]
    for one in carried:
        if plain is not None:
            assert STRICT.objection(str(one)) is not None


def written(number: int, base: int) -> str:
    return {8: f"0{number:o}", 10: f"{number}", 16: f"0x{number:x}", 17: f"0X{number:X}"}[base]


@st.composite
def spellings(draw: st.DrawFn) -> tuple[str, str]:
    """An address, and one of the ways to write it."""
    address = draw(st.ip_addresses(v=4) | st.sampled_from(["127.0.0.1", "169.254.169.254"]).map(ipaddress.IPv4Address))
    number, count = int(address), draw(st.integers(1, 4))
    pieces = [number >> 8 * (3 - place) & 255 for place in range(count - 1)]
    pieces.append(number & (1 << 8 * (5 - count)) - 1)
    bases = draw(st.lists(st.sampled_from([8, 10, 16, 17]), min_size=count, max_size=count))
    return str(address), ".".join(map(written, pieces, bases))


@given(spellings())
def test_every_spelling_of_an_address_is_read_as_resolvers_do(spelling: tuple[str, str]) -> None:
    address, text = spelling
    assert socket.inet_ntoa(socket.inet_aton(text)) == address
    assert reach.spelled(text) == reach.spelled(f"{text}.") == address


@given(st.text("0123456789abcdefx.", min_size=1, max_size=20))
def test_what_is_no_address_for_resolvers_is_a_name(text: str) -> None:
    try:
        expected = socket.inet_ntoa(socket.inet_aton(text))
    except OSError:
        expected = None
    if text.endswith("."):
        return
    assert reach.spelled(text) == expected


@given(st.ip_addresses(v=6))
def test_addresses_in_brackets_are_read(address: ipaddress.IPv6Address) -> None:
    assert reach.spelled(f"[{address}]") == reach.spelled(address.exploded) == str(address)


@pytest.mark.parametrize("name", ["example.org", "s3.example", "10.example", "dead.beef", "1.2.3.4.5", "١٢٧.0.0.1"])
def test_names_are_no_addresses(name: str) -> None:
    assert reach.spelled(name) is None
