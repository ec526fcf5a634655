import pytest

from pupload.adapters.docker import gpus


def test_each_card_has_its_memory() -> None:
    assert list(gpus.read("24576\n 8192 \n")) == [24576 << 20, 8192 << 20]


@pytest.mark.parametrize("output", ["", "No devices were found\n", "[N/A]\n"])
def test_what_is_no_number_is_no_card(output: str) -> None:
    assert list(gpus.read(output)) == []


async def test_without_the_engines_toolkit_there_are_none() -> None:
    assert list(await gpus.found({"Runtimes": {"runc": {}}})) == []
