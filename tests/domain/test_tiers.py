"""Tiers: the table, what fits where, and the way up."""

import pytest

from pupload.domain import tiers

GIB = 1 << 30
LAPTOP = tiers.Capacity(cpus=2, memory_bytes=4 * GIB, storage_bytes=40 * GIB)
GPU_BOX = tiers.Capacity(
    cpus=32,
    memory_bytes=128 * GIB,
    storage_bytes=2048 * GIB,
    gpus={"nvidia": 2},
    gpu_memory_bytes={"nvidia": 24 * GIB},
)


def a_tier(name: str) -> tiers.Tier:
    found = tiers.find(name)
    assert found is not None
    return found


def test_the_table_is_whole() -> None:
    families: dict[str, int] = {}
    for tier in tiers.TABLE.values():
        families[tier.family] = families.get(tier.family, 0) + 1
    assert families == {"c": 8, "m": 6, "g": 6, "gn": 5, "ga": 5, "gi": 4, "gm": 5}


def test_rows_say_what_the_table_says() -> None:
    assert a_tier("c-small") == tiers.Tier(name="c-small", cpus=2, memory_bytes=2 * GIB, storage_bytes=20 * GIB)
    assert a_tier("gi-large").gpu_memory_bytes == 48 * GIB
    assert a_tier("gm-2xlarge").storage_bytes == 2048 * GIB
    assert a_tier("g-micro").gpu_vendor == "any"


@pytest.mark.parametrize("name", ["pn-2xlarge", "hn-xlarge", "ha-xlarge", "pa-4xlarge", "gi-2xlarge", "C-SMALL", ""])
def test_tiers_that_are_switched_off_do_not_exist(name: str) -> None:
    assert tiers.find(name) is None


def test_the_operator_may_add_and_replace() -> None:
    own = tiers.Tier(name="c-small", cpus=1, memory_bytes=GIB, storage_bytes=GIB)
    assert tiers.find("c-small", {"c-small": own}) is own


def test_a_tier_as_large_as_the_machine_fits() -> None:
    assert tiers.fits(a_tier("m-small"), LAPTOP)


def test_what_is_lacking_is_said_with_numbers() -> None:
    assert tiers.lacking(a_tier("c-large"), LAPTOP) == (
        "8 CPUs where there are 2",
        "8 GiB of memory where there are 4 GiB",
        "100 GiB of storage where there are 40 GiB",
    )


def test_cpus_may_be_overcommitted_and_memory_not() -> None:
    assert tiers.fits(
        a_tier("c-medium"), tiers.Capacity(cpus=1, memory_bytes=4 * GIB, storage_bytes=50 * GIB), overcommit_cpu=True
    )
    assert not tiers.fits(a_tier("c-large"), LAPTOP, overcommit_cpu=True)


@pytest.mark.parametrize(
    ("name", "fits"),
    [("g-large", True), ("gn-large", True), ("gn-xlarge", False), ("ga-small", False), ("gm-small", False)],
)
def test_gpus_are_matched_by_vendor_and_memory(name: str, fits: bool) -> None:
    assert tiers.fits(a_tier(name), GPU_BOX) is fits


def test_no_gpus_are_named_as_none() -> None:
    lacking = tiers.lacking(a_tier("gn-small"), LAPTOP)
    assert lacking[-1] == "1 GPU of nvidia with 8 GiB where there is none"


def test_clamping_leaves_nothing_larger_than_the_machine_but_gpus() -> None:
    clamped = tiers.clamped(a_tier("gn-small"), LAPTOP)
    assert (clamped.cpus, clamped.memory_bytes, clamped.storage_bytes) == (2, 4 * GIB, 40 * GIB)
    assert clamped.gpus == 1
    assert tiers.clamped(a_tier("c-nano"), LAPTOP) == a_tier("c-nano")


def test_the_way_up_stays_in_the_family() -> None:
    assert [step.name for step in tiers.larger(a_tier("gi-small"))] == ["gi-medium", "gi-large", "gi-xlarge"]
    following = tiers.next_larger(a_tier("c-nano"))
    assert following is not None
    assert following.name == "c-micro"
    assert tiers.next_larger(a_tier("m-4xlarge")) is None


def test_the_way_up_knows_the_operators_tiers() -> None:
    own = tiers.Tier(name="c-custom", cpus=1, memory_bytes=768 << 20, storage_bytes=GIB)
    assert tiers.next_larger(a_tier("c-nano"), {"c-custom": own}) == own


@pytest.mark.parametrize(
    ("text", "size"),
    [("512mb", 512 << 20), ("512MB", 512 << 20), ("1.5gb", 3 << 29), ("10 GiB", 10 << 30), ("1tb", 1 << 40), ("7b", 7)],
)
def test_sizes_are_powers_of_1024(text: str, size: int) -> None:
    assert tiers.parse_size(text) == size


@pytest.mark.parametrize("text", ["", "1", "gb", "1g", "-1gb", "x1gb", "1gbx", "1,5gb", "1pb", "1e3mb"])
def test_anything_else_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match="is not a size"):
        tiers.parse_size(text)


def test_sizes_in_sentences() -> None:
    assert [tiers.size_text(size) for size in (0, 512 << 20, 3 << 29, 5 << 40)] == [
        "0 bytes",
        "512 MiB",
        "1.5 GiB",
        "5 TiB",
    ]
