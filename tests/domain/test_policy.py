"""What an operator may say, how strictly it is read, and what follows from it."""

from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pupload.domain import policy, policyfile, tiers
from pupload.domain.policy import OPEN, Ids, Policy

DIGEST = "@sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("reference", "allowed", "fine"),
    [
        ("busybox", ["busybox"], True),
        ("busybox:1.36", ["busybox"], True),
        ("docker.io/library/busybox", ["busybox"], True),
        ("index.docker.io/busybox", ["docker.io/library/*"], True),
        ("busybox", ["docker.io/*"], True),
        ("acme/x", ["docker.io/*"], True),
        ("acme/deep/x:2", ["acme/*"], True),
        ("evil.example/acme/x", ["acme/*"], False),
        ("acme.evil.example/x", ["acme/*"], False),
        ("acmex/x", ["acme/*"], False),
        ("Registry.Example.org/x", ["registry.example.org/*"], True),
        ("localhost:5000/x:2", ["localhost:5000/*"], True),
        ("localhost:5001/x", ["localhost:5000/*"], False),
        ("busybox:1.36", ["busybox:1.36"], True),
        ("busybox:1.37", ["busybox:1.36"], False),
        ("busybox", ["busybox:latest"], True),
        ("acme/x" + DIGEST, ["acme/x" + DIGEST], True),
        ("acme/x:1" + DIGEST, ["acme/x" + DIGEST], True),
        ("acme/x" + DIGEST, ["acme/x"], True),
        # The engine goes by the digest: a tag beside it says nothing.
        ("acme/x:1" + DIGEST, ["acme/x:1"], False),
        ("acme/x:1" + DIGEST, ["acme/x:1*"], False),
        # An id names no image, so it is none of those that are allowed.
        ("sha256:" + "a" * 64, ["acme/*"], False),
        ("sha256:abc", ["sha256*"], False),
        ("a" * 64, ["*"], True),
    ],
)
def test_images_are_allowed_by_name(reference: str, allowed: list[str], fine: bool) -> None:
    judged = policyfile.read({"Images": {"Allow": allowed}})
    assert (judged.image_objection(reference) == "") is fine


@pytest.mark.parametrize(
    "reference",
    ["busybox", "busybox:1", "docker.io/busybox", "index.docker.io/library/busybox", "busybox" + DIGEST, "a" * 64],
)
def test_a_denied_image_is_denied_whatever_it_is_called(reference: str) -> None:
    assert policyfile.read({"Images": {"Deny": ["busybox"]}}).image_objection(reference)


def test_images_may_be_required_by_digest() -> None:
    judged = policyfile.read({"Images": {"RequireDigest": True}})
    assert judged.image_objection("acme/x:1") == "it allows images by digest only (name@sha256:…)"
    assert judged.image_objection("acme/x" + DIGEST) == ""


@pytest.mark.parametrize(
    ("document", "allowed"),
    [
        (None, {"acme/x", "pupload/resize"}),
        ({"Images": {"Allow": ["*"]}}, {"acme/x", "pupload/resize"}),
        ({"Types": {}}, {"acme/x", "pupload/resize"}),
        ({"Types": {"Deny": []}}, {"acme/x", "pupload/resize", "pupload/run"}),
        ({"Types": {"Allow": ["pupload/run", "*"]}}, {"acme/x", "pupload/resize", "pupload/run"}),
        ({"Types": {"Allow": ["pupload/run"]}}, {"pupload/run"}),
        ({"Types": {"Allow": ["pupload/*"]}}, {"pupload/resize"}),
        ({"Types": {"Allow": ["*"]}}, {"acme/x", "pupload/resize"}),
        ({"Types": {"Allow": ["pupload/run"], "Deny": ["pupload/*"]}}, set()),
        ({"Types": {"Allow": ["pupload/run", "acme/*"], "Deny": ["pupload/run"]}}, {"acme/x"}),
        ({"Types": {"Deny": ["acme/*"]}}, {"pupload/resize", "pupload/run"}),
    ],
)
def test_a_type_is_allowed_by_name_and_one_only_where_that_is_said(document: Any, allowed: set[str]) -> None:
    judged = policyfile.read(document)
    types = {"acme/x", "pupload/resize", "pupload/run"}
    assert {each for each in types if not judged.type_objection(each)} == allowed
    assert policyfile.read(policyfile.write(judged)) == judged
    assert not OPEN.type_objection("pupload/run")


@pytest.mark.parametrize(
    ("user", "fine"),
    [("65534", True), ("1:1", True), ("0", False), ("0:0", False), ("1:0", False), ("0:1", False), ("x", False)],
)
def test_root_is_no_user_or_group_of_a_node(user: str, fine: bool) -> None:
    assert (Policy().user_objection(user) == "") is fine
    assert OPEN.user_objection("0:0") == ""


def test_a_tier_is_held_to_its_name_and_its_size() -> None:
    judged = policyfile.read({"Tiers": {"Allow": ["c-*", "gn-*"], "MaxMemory": "4gb", "MaxCPUs": 4, "MaxGPUs": 0}})
    told = {name: judged.tier_objection(tiers.TABLE[name]) for name in ("c-small", "c-large", "m-small", "gn-small")}
    assert told == {
        "c-small": "",
        "c-large": "it allows 4 GiB of memory",
        "m-small": "it allows c-*, gn-*",
        "gn-small": "it allows 4 GiB of memory",
    }
    assert policyfile.read({"Tiers": {"MaxGPUs": 0}}).tier_objection(tiers.TABLE["gn-small"]) == "it allows 0 GPUs"
    assert policyfile.read({"GPUs": ["nvidia"]}).tier_objection(tiers.TABLE["ga-small"]) == "it allows GPUs of nvidia"
    assert policyfile.read({"GPUs": ["nvidia"]}).tier_objection(tiers.TABLE["c-small"]) == ""


@pytest.mark.parametrize(
    ("endpoint", "fine"),
    [
        ("https://s3.example.org", True),
        ("https://S3.example.org:9000/x", True),
        ("s3.example.org", True),
        ("https://example.org", False),
        ("https://s3.example.org.evil", False),
        ("https://s3.example.org@evil.example", False),
        ("https://evil.example/s3.example.org", False),
    ],
)
def test_stores_are_allowed_by_host(endpoint: str, fine: bool) -> None:
    judged = policyfile.read({"Stores": ["*.example.org"]})
    assert (judged.store_objection(endpoint) == "") is fine


def test_the_first_pattern_that_fits_gives_the_runtime() -> None:
    judged = policyfile.read({"Runtimes": {"c-nano": "kata", "c-*": "runsc"}})
    assert [judged.runtime_of(name) for name in ("c-nano", "c-small", "m-small")] == ["kata", "runsc", ""]


# ── Reading ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("document", "pointer", "sentence"),
    [
        ([], "", "a policy is an object"),
        ({"Image": {}}, "/Image", "Image is not known; did you mean Images?"),
        ({"Images": {"allow": []}}, "/Images/allow", "did you mean Images.Allow?"),
        ({"Images": []}, "/Images", "Images is an object with Allow, Deny, RequireDigest"),
        ({"Images": {"Allow": "x"}}, "/Images/Allow", "must be a list of texts"),
        ({"Images": {"Allow": [""]}}, "/Images/Allow", "empty"),
        ({"Images": {"Allow": ["x"] * 1001}}, "/Images/Allow", "more than 1000"),
        ({"Images": {"RequireDigest": "yes"}}, "/Images/RequireDigest", "true or false"),
        ({"Networks": ["host"]}, "/Networks", "cannot allow host"),
        ({"Networks": ["container:x"]}, "/Networks", "cannot allow container:x"),
        ({"Transfers": ["magic"]}, "/Transfers", "cannot allow magic"),
        ({"Users": []}, "/Users", "at least one"),
        ({"Users": ["9-1"]}, "/Users", "no range"),
        ({"Users": [True]}, "/Users", "numbers and ranges"),
        ({"Users": ["4294967295"]}, "/Users", "no range"),
        ({"Capabilities": ["SYS_ADMIN"]}, "/Capabilities", "owns the machine"),
        ({"Capabilities": ["cap_all"]}, "/Capabilities", "owns the machine"),
        ({"Capabilities": ["net raw"]}, "/Capabilities", "no capability"),
        ({"Devices": ["/dev/sda"]}, "/Devices", "owns the machine"),
        ({"Devices": ["/dev/../etc"]}, "/Devices", "no device"),
        ({"Devices": ["/etc"]}, "/Devices", "no device"),
        ({"Tiers": {"MaxMemory": "much"}}, "/Tiers/MaxMemory", "is not a size"),
        ({"Tiers": {"MaxMemory": 0}}, "/Tiers/MaxMemory", "above zero"),
        ({"Tiers": {"MaxMemory": True}}, "/Tiers/MaxMemory", "must be a size"),
        ({"Tiers": {"MaxCPUs": -1}}, "/Tiers/MaxCPUs", "above zero"),
        ({"Tiers": {"MaxGPUs": 1.5}}, "/Tiers/MaxGPUs", "whole number"),
        ({"Timeouts": {"Node": "1d"}}, "/Timeouts/Node", "not a valid duration"),
        ({"Timeouts": {"Flow": 60}}, "/Timeouts/Flow", "must be a duration"),
        ({"Limits": {"Nodes": 0}}, "/Limits/Nodes", "above zero"),
        ({"Runtimes": {"*": "a b"}}, "/Runtimes", "no runtime"),
        ({"Runtimes": ["x"]}, "/Runtimes", "must be an object"),
        ({"Stores": ["https://x"]}, "/Stores", "not URLs"),
    ],
)
def test_whatever_is_not_as_it_should_be_is_refused(document: Any, pointer: str, sentence: str) -> None:
    with pytest.raises(policyfile.Wrong) as caught:
        policyfile.read(document)
    assert caught.value.pointer == pointer
    assert sentence in str(caught.value)


def test_what_a_document_does_not_say_is_as_before() -> None:
    base = Policy(networks=("none", "bridge"))
    assert policyfile.read(None, base) == base
    assert policyfile.read({"Users": [5]}, base) == Policy(networks=("none", "bridge"), users=(Ids(5, 5),))
    assert policyfile.read({"Networks": []}, base).networks == ("none",)


@pytest.mark.parametrize(
    "one", [Policy(), OPEN, Policy(max_memory_bytes=5, node_seconds=90.0, runtimes={"*": "runsc"})]
)
def test_what_is_written_reads_the_same(one: Policy) -> None:
    assert policyfile.read(policyfile.write(one)) == one


def test_the_fields_are_those_of_the_policy() -> None:
    assert [field.name for field in policyfile.FIELDS] == [field.name for field in fields(Policy)]


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(["Allow", "*"]),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["Images", "Allow", "Users", "Tiers", "MaxMemory", "Runtimes", "Networks", "x"]),
                inner,
                max_size=4,
            )
        ),
        max_leaves=10,
    )
)
def test_a_document_is_read_or_refused(document: Any) -> None:
    try:
        read = policyfile.read(document)
    except policyfile.Wrong:
        return
    assert isinstance(read, policy.Policy)
