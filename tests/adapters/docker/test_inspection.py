"""
The last look finds whatever is dangerous, wherever it came from.

A good container is made by the code that makes them, and then one thing about it is changed.
"""

import copy
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pupload import errors, ports
from pupload.adapters.docker import confinement, executor, inspection
from pupload.adapters.system import clock
from pupload.domain import policy, policyfile, run
from tests import images
from tests.adapters.docker import lab as labs

ATTEMPTS = Path("/srv/data/attempts")
SECRETS = Path("/dev/shm/pupload")
REF = run.AttemptRef(run="run_test", node="node", number=1)
POLICY = policyfile.read(
    {
        "Images": {"Allow": ["acme/*"]},
        "Networks": ["proxied"],
        "Capabilities": ["NET_RAW"],
        "Devices": ["/dev/fuse"],
        "Tiers": {"MaxMemory": "1gb", "MaxCPUs": 2, "MaxGPUs": 1},
        "Runtimes": {"c-*": "runsc"},
    }
)
BOUNDS = inspection.Bounds(policy=POLICY, attempts=ATTEMPTS, secrets=SECRETS)
LABELS = {"pupload.instance": "here", "pupload.run": "run_test", "pupload.node": "node", "pupload.attempt": "1"}


def an_order(**changes: Any) -> ports.ContainerOrder:
    order = ports.ContainerOrder(
        attempt=REF,
        image="sha256:" + "1" * 64,
        reference="acme/x:1",
        argv=("sh", "-c", "true"),
        environment={"PUPLOAD_RUN_ID": "run_test", "FLAG_X": "a b"},
        inputs=ATTEMPTS / REF.id / "in",
        outputs=ATTEMPTS / REF.id / "out",
        user="65534:65534",
        network="none",
        memory_bytes=1 << 29,
        cpus=1.0,
        pids=64,
        tmp_bytes=1 << 20,
        file_bytes=1 << 30,
        log_bytes=1 << 16,
    )
    return replace(order, **changes)


def asked_for(*, volumes: tuple[str, ...] = (), **changes: Any) -> dict[str, Any]:
    return confinement.config(an_order(**changes), labels=LABELS, volumes=volumes)


def told(
    asked: dict[str, Any], *, reference: str = "acme/x:1", uses: str = "acme/x", bounds: inspection.Bounds = BOUNDS
) -> list[str]:
    return inspection.objections(asked, reference=reference, uses=uses, bounds=bounds)


ORDERS: dict[str, dict[str, Any]] = {
    "plain": {},
    "another network": {"network": "proxied"},
    "a capability": {"capabilities": ("NET_RAW",)},
    "a device": {"devices": ("/dev/fuse",)},
    "a graphics card": {"gpus": 1, "gpu_vendor": "nvidia"},
    "another runtime": {"runtime": "runsc"},
    "the image's own command": {"argv": None},
    "volumes": {"volumes": ("/data", "/var/lib/db")},
    "another user": {"user": "1:4294967294"},
}


@pytest.mark.parametrize("changes", ORDERS.values(), ids=ORDERS)
def test_what_is_allowed_may_be_made(changes: dict[str, Any]) -> None:
    assert told(asked_for(**changes)) == []


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"network": "bridge"},
            "NetworkMode bridge: the operator's policy does not allow it (it allows none, proxied)",
        ),
        ({"user": "0:0"}, "User 0:0: the operator's policy does not allow it"),
        ({"user": "root"}, "User root: must be uid:gid in numbers"),
        ({"capabilities": ("SYS_ADMIN",)}, "CapAdd"),
        ({"devices": ("/dev/sda",)}, "Devices /dev/sda: the operator's policy"),
        ({"memory_bytes": 1 << 31}, "it allows 1 GiB of memory"),
        ({"cpus": 4.0}, "it allows 2 CPUs"),
        ({"gpus": 2, "gpu_vendor": "nvidia"}, "it allows 1 GPUs"),
        ({"runtime": "runc"}, "Runtime runc: must be one that the operator's policy names (runsc)"),
        ({"inputs": Path("/etc"), "outputs": Path("/")}, "Mounts /etc: is nothing that a node sees"),
        ({"inputs": ATTEMPTS / "other" / "in"}, "is not in the attempt's own directory"),
        ({"image": "acme/x:1"}, "Image acme/x:1: must be an immutable id"),
        ({"environment": {"DRY_RUN": "2"}}, "must hold pupload's own variables alone"),
        ({"environment": {"LD_PRELOAD": "x"}}, "must hold pupload's own variables alone"),
        ({"environment": {"INPUT_X_URL": "http://x/?X-Amz-Signature=1"}}, "Env has presigned URLs"),
        ({"volumes": ("/proc",)}, "Mounts /proc: lies over what belongs to the system"),
        ({"volumes": ("/pupload/in/x",)}, "lies over what belongs to the system"),
        ({"volumes": ("/a/../etc",)}, "lies over what belongs to the system"),
    ],
)
def test_an_order_that_goes_too_far_is_told(changes: dict[str, Any], sentence: str) -> None:
    assert sentence in "; ".join(told(asked_for(**changes)))


def test_an_image_is_judged_by_its_name() -> None:
    (found,) = told(asked_for(), reference="evil/x")
    assert found == "image evil/x: the operator's policy does not allow it (it allows acme/*)"


def test_a_node_type_is_judged_by_its_name() -> None:
    assert told(asked_for(), uses="acme/run") == []
    (found,) = told(asked_for(), uses="pupload/run")
    assert found == "node type pupload/run: the operator's policy does not allow it (it denies this type)"


def test_too_many_volumes_are_refused() -> None:
    with pytest.raises(errors.ContainerRefused, match="declares 9 volumes; 8 are possible"):
        asked_for(volumes=tuple(f"/v{number}" for number in range(9)))


HOST: dict[str, list[Any]] = {
    "NetworkMode": ["host", "HOST", "", "default", "container:abc", "bridge", "ns:/proc/1/ns/net", None],
    "ReadonlyRootfs": [False, None, 1, "true"],
    "Tmpfs": [
        None,
        {},
        {"/tmp": ""},
        {"/tmp": "rw,exec,size=1,nr_inodes=1,mode=1777"},
        {"/tmp": "rw,noexec,nosuid,nodev"},
        {"/tmp": "rw,noexec,nosuid,nodev,size=1,nr_inodes=1,mode=1777", "/etc": "rw,size=1"},
    ],
    "CapDrop": [None, [], ["NET_RAW"], ["all"]],
    "CapAdd": [["ALL"], ["SYS_ADMIN"], ["CAP_SYS_PTRACE"], None, "ALL"],
    "SecurityOpt": [
        None,
        [],
        ["seccomp=unconfined", "no-new-privileges"],
        ["no-new-privileges", "apparmor=unconfined"],
        ["no-new-privileges:false"],
        ["no-new-privileges", "label=disable"],
        ["systempaths=unconfined", "no-new-privileges"],
    ],
    "Privileged": [True, None, 1],
    "IpcMode": ["host", "shareable", "container:x", "", None],
    "PidMode": ["host", "container:x", None],
    "UTSMode": ["host"],
    "UsernsMode": ["host"],
    "CgroupnsMode": ["host", ""],
    "Binds": [["/:/host"], ["/var/run/docker.sock:/var/run/docker.sock"], []],
    "VolumesFrom": [["other"]],
    "PublishAllPorts": [True],
    "Init": [True],
    "Memory": [0, -1, None, 1 << 40, "1g", True],
    "MemorySwap": [0, -1, 1 << 30, None],
    "NanoCpus": [0, -1, None, 64_000_000_000],
    "PidsLimit": [0, -1, None],
    "ShmSize": [0, 1 << 40],
    "OomScoreAdj": [0, -1000, None],
    "Ulimits": [
        None,
        [],
        [{"Name": "nofile", "Soft": 1, "Hard": 1}],
        [
            {"Name": "nofile", "Soft": 1, "Hard": 1},
            {"Name": "fsize", "Soft": -1, "Hard": -1},
            {"Name": "core", "Soft": 0, "Hard": 0},
        ],
        [
            {"Name": "nofile", "Soft": 1, "Hard": 1},
            {"Name": "fsize", "Soft": 1, "Hard": 1},
            {"Name": "core", "Soft": 0, "Hard": -1},
        ],
    ],
    "LogConfig": [
        None,
        {"Type": "none", "Config": {}},
        {"Type": "json-file", "Config": {}},
        {"Type": "syslog", "Config": {"syslog-address": "udp://192.0.2.1"}},
    ],
    "AutoRemove": [True],
    "RestartPolicy": [None, {"Name": "always", "MaximumRetryCount": 0}],
    "Runtime": ["runc", "io.containerd.runc.v2", "/bin/sh", None],
    "Devices": [
        None,
        [{"PathOnHost": "/dev/sda", "PathInContainer": "/dev/sda", "CgroupPermissions": "rw"}],
        [{"PathOnHost": "/dev/fuse", "PathInContainer": "/dev/fuse", "CgroupPermissions": "rwm"}],
        [{"PathOnHost": "/dev/mem", "PathInContainer": "/dev/fuse", "CgroupPermissions": "rw"}],
        ["/dev/fuse"],
    ],
    "DeviceRequests": [
        None,
        [{"Driver": "nvidia", "Count": -1, "Capabilities": [["gpu"]]}],
        [{"Driver": "nvidia", "Count": 1, "Capabilities": [["gpu", "compute"]]}],
        [{"Driver": "nvidia", "DeviceIDs": ["all"], "Capabilities": [["gpu"]]}],
        [{"Driver": "cdi", "DeviceIDs": ["x/y=all"]}],
    ],
    # What nobody here asks for.
    "Sysctls": [{"net.ipv4.ip_forward": "1"}],
    "CgroupParent": ["/"],
    "GroupAdd": [["0"]],
    "OomKillDisable": [True],
    "ExtraHosts": [["metadata:169.254.169.254"]],
    "Dns": [["192.0.2.1"]],
    "PortBindings": [{"80/tcp": [{"HostPort": "80"}]}],
    "MaskedPaths": [[]],
    "ReadonlyPaths": [[]],
    "DeviceCgroupRules": [["a *:* rwm"]],
    "Links": [["other"]],
    "StorageOpt": [{"size": "1t"}],
    "VolumeDriver": ["evil"],
    "CpuRealtimeRuntime": [1],
    "Isolation": ["hyperv"],
    "Annotations": [{"run.oci.keep_original_groups": "1"}],
}
CONTAINER: dict[str, list[Any]] = {
    "Image": ["busybox", "", "sha256:1", None],
    "Hostname": ["gateway", ""],
    "User": ["", "0", "0:0", "root", "1000", "1000:0", None],
    "Env": [None, ["DOCKER_HOST=x"], ["LD_PRELOAD=x"], ["PATH=/tmp"], ["DRY_RUN=x"], [1]],
    "Labels": [None, {}, {**LABELS, "pupload.run": None}],
    "Healthcheck": [None, {"Test": ["CMD", "x"]}],
    "StopSignal": ["SIGCHLD"],
    "Tty": [True],
    "OpenStdin": [True],
    "NetworkDisabled": [False, None],
    "Cmd": ["sh -c x", ["a\0b"], [1]],
    "Entrypoint": ["sh"],
    "HostConfig": [None, {}, []],
    "Volumes": [{"/": {}}],
    "WorkingDir": ["/"],
    "ExposedPorts": [{"80/tcp": {}}],
    "NetworkingConfig": [{"EndpointsConfig": {"bridge": {}}}],
    "MacAddress": ["00:00:00:00:00:00"],
    "Domainname": ["x"],
    "Shell": [["sh"]],
    "OnBuild": [["x"]],
}


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, values in HOST.items() for value in values])
def test_every_dangerous_setting_is_refused(key: str, value: Any) -> None:
    asked = asked_for()
    asked["HostConfig"][key] = value
    assert told(asked)


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, values in CONTAINER.items() for value in values])
def test_every_dangerous_thing_about_the_process_is_refused(key: str, value: Any) -> None:
    asked = asked_for()
    asked[key] = value
    assert told(asked)


@pytest.mark.parametrize("key", sorted(asked_for()["HostConfig"]))
def test_nothing_may_be_missing(key: str) -> None:
    asked = asked_for()
    del asked["HostConfig"][key]
    assert told(asked)


BIND = {"Type": "bind", "BindOptions": {"Propagation": "rprivate", "NonRecursive": True}, "ReadOnly": True}
OUT = f"{ATTEMPTS / REF.id}/out"


@pytest.mark.parametrize(
    "mount",
    [
        {**BIND, "Source": "/var/run/docker.sock", "Target": "/var/run/docker.sock"},
        {**BIND, "Source": "/", "Target": "/host"},
        {**BIND, "Source": OUT, "Target": "/etc"},
        {**BIND, "Source": f"{ATTEMPTS}/other/in", "Target": "/pupload/in"},
        {**BIND, "Source": f"{SECRETS}/other", "Target": "/run/secrets"},
        {**BIND, "Source": f"{SECRETS}/../{REF.id}", "Target": "/run/secrets"},
        {**BIND, "Source": f"{SECRETS}/{REF.id}", "Target": "/run/secrets", "ReadOnly": False},
        {**BIND, "Source": f"{SECRETS}/{REF.id}", "Target": "/run/secrets", "BindOptions": {"Propagation": "shared"}},
        {"Type": "volume", "Source": "x", "Target": "/x"},
        {"Type": "npipe", "Source": "x", "Target": "/x"},
        {"Type": "tmpfs", "Target": "/x"},
        {"Type": "tmpfs", "Target": "/x", "TmpfsOptions": {"SizeBytes": 0, "Mode": 0o1777}},
        {"Type": "tmpfs", "Target": "/", "TmpfsOptions": {"SizeBytes": 1, "Mode": 0o1777}},
        {"Type": "tmpfs", "Target": "/pupload/out", "TmpfsOptions": {"SizeBytes": 1, "Mode": 0o1777}},
        "/:/host",
        None,
    ],
)
def test_no_other_mount_is_let_through(mount: Any) -> None:
    asked = asked_for()
    asked["HostConfig"]["Mounts"].append(mount)
    assert told(asked)


def test_an_attempts_own_secrets_are_let_through() -> None:
    asked = asked_for()
    asked["HostConfig"]["Mounts"].append({**BIND, "Source": f"{SECRETS}/{REF.id}", "Target": "/run/secrets"})
    assert told(asked) == []
    assert told(asked, bounds=replace(BOUNDS, secrets=None))


def test_mounts_may_not_be_missing() -> None:
    asked = asked_for()
    asked["HostConfig"]["Mounts"].pop()
    assert told(asked) == ["Mounts lacks /pupload/out"]


# ── Whatever is changed ──────────────────────────────────────────────────────────────────────────────────────────

FREE = {
    # Bounds that an order decides, any of which is a bound.
    *(("HostConfig", key) for key in ("PidsLimit", "OomScoreAdj", "ShmSize", "NanoCpus")),
    ("HostConfig", "LogConfig", "Config", "max-size"),
    ("HostConfig", "LogConfig", "Config", "max-file"),
    # What the node is told and called, none of which gives it anything.
    *((key,) for key in ("Cmd", "Env")),
    ("Labels", "pupload.instance"),
}
VALUES = (
    st.none()
    | st.booleans()
    | st.integers(-5, 1 << 62)
    | st.sampled_from(
        ["", "host", "bridge", "0", "0:0", "ALL", "/", "/etc", "unconfined", "seccomp=unconfined", "rshared"]
    )
    | st.text(max_size=8)
    | st.lists(st.sampled_from(["ALL", "host", "/", "x"]), max_size=2)
    | st.dictionaries(st.sampled_from(["Type", "Source", "x"]), st.sampled_from(["bind", "/", "x"]), max_size=2)
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, inner in steps:
        yield from places(inner, (*path, step))


PLACES = [place for place in places(asked_for(volumes=("/data",))) if place[:1] not in FREE]


@given(st.sampled_from(PLACES), VALUES)
def test_any_change_is_refused_or_is_a_smaller_bound(place: tuple[Any, ...], value: Any) -> None:
    asked = asked_for(volumes=("/data",))
    before = copy.deepcopy(asked)
    *path, last = place
    inner: Any = asked
    for step in path:
        inner = inner[step]
    inner[last] = value
    names = tuple(step for step in place if isinstance(step, str))
    if asked == before and repr(asked) == repr(before):
        assert told(asked) == []
    elif names in FREE or names[:2] == ("HostConfig", "Ulimits") or names[-1] in ("SizeBytes", "Mode"):
        assert told(asked) or isinstance(value, int | str)
    elif names == ("User",) and isinstance(value, str) and not POLICY.user_objection(value):
        pass
    else:
        assert told(asked), (place, value)


@given(st.sampled_from(["", "HostConfig"]), st.text(min_size=1, max_size=12), VALUES)
def test_what_is_not_known_is_refused(where: str, key: str, value: Any) -> None:
    asked = asked_for()
    into = asked[where] if where else asked
    if key in into or key in ("Entrypoint", "Runtime"):
        return
    into[key] = value
    assert told(asked)


# ── What the engine made of it ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "added",
    [
        {"HostConfig": {"Sysctls": {"x": "1"}}},
        {"HostConfig": {"GroupAdd": ["0"]}},
        {"HostConfig": {"CgroupParent": "/"}},
        {"HostConfig": {"OomKillDisable": True}},
        {"HostConfig": {"MaskedPaths": None}},
        {"HostConfig": {"ReadonlyPaths": []}},
        {"HostConfig": {"PortBindings": {"80/tcp": [{}]}}},
        {"AppArmorProfile": "unconfined"},
        {"Mounts": [{"Destination": "/data"}]},
    ],
)
def test_what_an_engine_adds_is_told(added: dict[str, Any]) -> None:
    assert len(inspection.additions(added)) == 1


def test_an_engine_that_adds_nothing_is_fine() -> None:
    made = {"HostConfig": asked_for()["HostConfig"], "Mounts": [{"Destination": "/pupload/in"}], "AppArmorProfile": ""}
    assert inspection.additions(made) == []


# ── In the executor ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.engine
async def test_what_is_refused_is_never_made(tmp_path: Path) -> None:
    bounds = inspection.Bounds(policy=policy.Policy(), attempts=tmp_path)
    made = executor.DockerExecutor(instance="test-inspection", clock=clock.SystemClock(), bounds=bounds)
    try:
        image = await made.resolve_image(images.busybox())
        for wrong, sentence in (
            ({"network": "bridge"}, "NetworkMode bridge: the operator's policy does not allow it"),
            ({"reference": "other/image"}, "is not the image that other/image names"),
            ({"inputs": Path("/etc/in")}, "is not in the attempt's own directory"),
        ):
            order = an_order(
                image=image,
                reference=images.busybox(),
                inputs=tmp_path / REF.id / "in",
                outputs=tmp_path / REF.id / "out",
            )
            with pytest.raises(errors.ContainerRefused, match=sentence):
                await made.ensure_started(replace(order, **wrong))
            assert await made.recover() == []
    finally:
        await made.close()


@pytest.mark.engine
async def test_the_last_look_passes_what_is_usually_made(lab: labs.Lab) -> None:
    assert await lab.said("echo made") == "made"
