import copy
from pathlib import Path
from typing import Any

import pytest

from pupload import errors, ports
from pupload.adapters.docker import confinement
from tests.adapters.docker import lab as labs

LABELS = {"pupload.instance": "here"}


@pytest.fixture
def orders(tmp_path: Path) -> labs.Orders:
    return labs.Orders(tmp_path, "sha256:" + "1" * 64)


def asked_for(order: ports.ContainerOrder) -> confinement.Config:
    return confinement.config(order, labels=LABELS)


def made_of(asked: confinement.Config) -> confinement.Config:
    """What an engine that does as it is told shows."""
    return {"HostConfig": copy.deepcopy(asked["HostConfig"]), "Config": {**copy.deepcopy(asked), "HostConfig": None}}


def test_nothing_is_allowed_that_was_not_ordered(orders: labs.Orders) -> None:
    host = asked_for(orders.order("true"))["HostConfig"]
    assert host["NetworkMode"] == "none"
    assert host["CapDrop"] == ["ALL"]
    assert host["CapAdd"] == []
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert host["ReadonlyRootfs"] is True
    assert host["Privileged"] is False
    assert (host["Devices"], host["DeviceRequests"], host["Binds"]) == ([], [], None)
    assert (host["PidMode"], host["UsernsMode"], host["UTSMode"], host["IpcMode"]) == ("", "", "", "private")


def test_limits_are_those_of_the_order(orders: labs.Orders) -> None:
    order = orders.order("true", memory_bytes=1000, cpus=0.5, pids=7, tmp_bytes=300, file_bytes=200, log_bytes=100)
    host = asked_for(order)["HostConfig"]
    assert (host["Memory"], host["MemorySwap"]) == (1000, 1000)
    assert host["NanoCpus"] == 500_000_000
    assert host["PidsLimit"] == 7
    assert "size=300," in host["Tmpfs"]["/tmp"]
    assert {limit["Name"]: limit["Hard"] for limit in host["Ulimits"]} == {"nofile": 16384, "fsize": 200, "core": 0}
    assert host["LogConfig"]["Config"] == {"max-size": "200", "max-file": "2"}


def test_inputs_are_read_only_and_mounts_are_private(orders: labs.Orders) -> None:
    inputs, outputs = asked_for(orders.order("true"))["HostConfig"]["Mounts"]
    assert (inputs["Target"], inputs["ReadOnly"]) == ("/pupload/in", True)
    assert (outputs["Target"], outputs["ReadOnly"]) == ("/pupload/out", False)
    assert inputs["BindOptions"] == outputs["BindOptions"] == {"Propagation": "rprivate", "NonRecursive": True}


def test_the_command_is_passed_as_it_is_or_left_to_the_image(orders: labs.Orders) -> None:
    assert asked_for(orders.order("sh", "-c", "a  b"))["Cmd"] == ["sh", "-c", "a  b"]
    assert "Cmd" not in asked_for(orders.order())


def test_our_labels_win(orders: labs.Orders) -> None:
    order = orders.order("true", labels={"mine": "1", "pupload.instance": "stolen"})
    assert asked_for(order)["Labels"] == {"mine": "1", "pupload.instance": "here"}


def test_graphics_cards_are_asked_for_by_vendor(orders: labs.Orders) -> None:
    asked = asked_for(orders.order("true", gpus=2, gpu_vendor="nvidia"))
    assert asked["HostConfig"]["DeviceRequests"] == [{"Driver": "nvidia", "Count": 2, "Capabilities": [["gpu"]]}]


@pytest.mark.parametrize("vendor", ["amd", ""])
def test_graphics_cards_that_cannot_be_had_are_refused(orders: labs.Orders, vendor: str) -> None:
    with pytest.raises(errors.ContainerRefused, match="cannot be given"):
        asked_for(orders.order("true", gpus=1, gpu_vendor=vendor))


def test_what_was_made_as_asked_is_no_difference(orders: labs.Orders) -> None:
    asked = asked_for(orders.order("true"))
    made = made_of(asked)
    # The ways in which engines say "nothing", and the order they give lists in.
    made["HostConfig"].update(CapAdd=None, Devices=None, DeviceRequests=None, Binds=[], Init=None, MemorySwap=-1)
    made["HostConfig"]["Ulimits"].reverse()
    made["HostConfig"]["Mounts"].reverse()
    assert confinement.differences(asked, made) == []


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("Privileged", True),
        ("NetworkMode", "host"),
        ("CapAdd", ["SYS_ADMIN"]),
        ("CapDrop", None),
        ("SecurityOpt", ["seccomp=unconfined"]),
        ("SecurityOpt", ["no-new-privileges", "apparmor=unconfined"]),
        ("ReadonlyRootfs", False),
        ("Memory", 0),
        ("PidsLimit", None),
        ("NanoCpus", 0),
        ("PidMode", "host"),
        ("IpcMode", "host"),
        ("UsernsMode", "host"),
        ("Devices", [{"PathOnHost": "/dev/sda"}]),
        ("Binds", ["/:/host"]),
        ("VolumesFrom", ["other"]),
        ("Mounts", []),
        ("Ulimits", None),
        ("Tmpfs", {}),
        ("AutoRemove", True),
        ("RestartPolicy", {"Name": "always"}),
    ],
)
def test_every_loosening_is_told(orders: labs.Orders, key: str, value: Any) -> None:
    asked = asked_for(orders.order("true"))
    made = made_of(asked)
    made["HostConfig"][key] = value
    (told,) = confinement.differences(asked, made)
    assert told.startswith(f"{key} is ")


@pytest.mark.parametrize(
    ("key", "value"), [("User", ""), ("Image", "other"), ("Cmd", ["false"]), ("Labels", {"pupload.instance": "there"})]
)
def test_another_user_image_command_or_owner_is_told(orders: labs.Orders, key: str, value: Any) -> None:
    asked = asked_for(orders.order("true"))
    made = made_of(asked)
    made["Config"][key] = value
    assert len(confinement.differences(asked, made)) == 1


def test_a_missing_half_is_told(orders: labs.Orders) -> None:
    assert confinement.differences(asked_for(orders.order("true")), {})
