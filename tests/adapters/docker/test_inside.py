"""Every line of the confinement, tried from inside a container that runs."""

from pathlib import Path

import pytest

from pupload import errors
from tests.adapters.docker import lab as labs

pytestmark = pytest.mark.engine

OUR_NETWORK = str(Path("/proc/self/ns/net").readlink())


async def test_there_is_no_network(lab: labs.Lab) -> None:
    said = await lab.said("ls /sys/class/net; ip route; wget -T 1 -q -O - http://169.254.169.254 || echo nothing")
    assert said.split() == ["lo", "nothing"]


async def test_the_network_namespace_is_its_own_and_can_talk_to_itself(lab: labs.Lab) -> None:
    said = await lab.said(
        "readlink /proc/self/ns/net; ip addr show lo | grep -o 'inet 127.0.0.1/8'; ip addr | grep -c mtu"
    )
    namespace, address, interfaces = said.splitlines()
    assert namespace != OUR_NETWORK
    assert (address, interfaces) == ("inet 127.0.0.1/8", "1")


async def test_a_bridge_is_there_when_ordered(lab: labs.Lab) -> None:
    assert "eth0" in await lab.said("ls /sys/class/net", network="bridge")


async def test_only_outputs_and_tmp_can_be_written(lab: labs.Lab) -> None:
    tries = "for d in / /bin /etc /pupload /pupload/in /pupload/out /tmp; do touch $d/x 2>/dev/null && echo $d; done"
    assert (await lab.said(tries)).split() == ["/pupload/out", "/tmp"]
    assert (await lab.said(tries, user=labs.a_user(0))).split() == ["/pupload/out", "/tmp"]


async def test_tmp_has_a_size_and_no_programs(lab: labs.Lab) -> None:
    said = await lab.said(
        "dd if=/dev/zero of=/tmp/big bs=1M count=64 2>/dev/null; stat -c %s /tmp/big; rm /tmp/big;"
        "cp /bin/busybox /tmp/ls; /tmp/ls 2>/dev/null || echo refused; grep ' /tmp ' /proc/mounts",
        tmp_bytes=4 * labs.MIB,
    )
    size, refused, mount = said.splitlines()
    assert int(size) == 4 * labs.MIB
    assert refused == "refused"
    assert {"nosuid", "nodev", "noexec"} <= set(mount.split()[3].split(","))


async def test_it_is_the_ordered_user_without_rights(lab: labs.Lab) -> None:
    said = await lab.said("id -u; id -g; grep -E 'CapPrm|CapEff|CapBnd|CapAmb' /proc/self/status", user="1234:4321")
    uid, gid, *capabilities = said.splitlines()
    assert (uid, gid) == ("1234", "4321")
    assert [int(line.split()[1], 16) for line in capabilities] == [0, 0, 0, 0]


async def test_root_inside_has_no_rights_either(lab: labs.Lab) -> None:
    said = await lab.said(
        "chown 1:1 /pupload/out 2>/dev/null || echo no chown; mount -t tmpfs x /tmp 2>/dev/null || echo no mount;"
        "mknod /tmp/disk b 8 0 2>/dev/null || echo no device; hostname other 2>/dev/null || echo no hostname;"
        "grep CapEff /proc/self/status",
        user=labs.a_user(0),
    )
    assert said.splitlines()[:4] == ["no chown", "no mount", "no device", "no hostname"]
    assert int(said.split()[-1], 16) == 0


async def test_a_set_uid_program_gains_nothing(lab: labs.Lab) -> None:
    said = await lab.said("stat -c %a /set-uid/busybox; grep -E 'NoNewPrivs' /proc/self/status; /set-uid/busybox id -u")
    assert said.split() == ["4755", "NoNewPrivs:", "1", "65534"]


async def test_system_calls_are_filtered(lab: labs.Lab) -> None:
    said = await lab.said("grep Seccomp: /proc/self/status; unshare -U true 2>/dev/null || echo refused")
    assert said.split() == ["Seccomp:", "2", "refused"]


async def test_a_fork_bomb_meets_its_limit(lab: labs.Lab) -> None:
    bomb = "i=0; while [ $i -lt 200 ]; do sleep 5 & i=$((i+1)); done 2>/dev/null; echo made $i"
    order = lab.order("sh", "-c", bomb, pids=16)
    ended, _ = await lab.finish(order)
    assert ended.code != 0


async def test_processes_outside_are_not_to_be_seen(lab: labs.Lab) -> None:
    processes = (await lab.said("ls /proc | grep -E '^[0-9]+$' | wc -l")).strip()
    assert int(processes) <= 5


async def test_too_much_memory_ends_it_and_is_told(lab: labs.Lab) -> None:
    ended, _ = await lab.finish(lab.order("tail", "/dev/zero", memory_bytes=16 * labs.MIB))
    assert (ended.code, ended.oom, ended.peak_memory_bytes) == (137, True, 16 * labs.MIB)


async def test_a_child_killed_for_memory_is_told_though_all_ended_well(lab: labs.Lab) -> None:
    order = lab.order("sh", "-c", "tail /dev/zero; exit 0", memory_bytes=16 * labs.MIB)
    ended, _ = await lab.finish(order)
    assert (ended.code, ended.oom) == (0, True)


async def test_memory_used_is_told(lab: labs.Lab) -> None:
    order = lab.order("sh", "-c", "x=$(head -c 8000000 /dev/zero | tr '\\0' x); sleep 0.5", memory_bytes=64 * labs.MIB)
    ended, _ = await lab.finish(order)
    assert not ended.oom
    if ended.peak_memory_bytes is not None:  # An engine on another machine does not tell.
        assert 8_000_000 < ended.peak_memory_bytes <= 64 * labs.MIB


async def test_no_file_grows_over_its_limit(lab: labs.Lab) -> None:
    order = lab.order("sh", "-c", "dd if=/dev/zero of=/pupload/out/big bs=64k count=100", file_bytes=labs.MIB)
    ended, _ = await lab.finish(order)
    assert ended.code != 0
    assert (order.outputs / "big").stat().st_size == labs.MIB


async def test_limits_of_files_and_cores_are_set(lab: labs.Lab) -> None:
    assert (await lab.said("ulimit -n; ulimit -c")).split() == ["16384", "0"]


async def test_processors_are_limited(lab: labs.Lab) -> None:
    said = await lab.said(
        "cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us /sys/fs/cgroup/cpu/cpu.cfs_period_us 2>/dev/null"
        " || cat /sys/fs/cgroup/cpu.max",
        cpus=0.5,
    )
    quota, period = said.split()
    assert int(quota) / int(period) == pytest.approx(0.5)


async def test_it_is_the_kernels_first_choice_when_memory_is_short(lab: labs.Lab) -> None:
    assert int(await lab.said("cat /proc/self/oom_score_adj")) == 500


async def test_it_sees_the_ordered_environment_and_arguments_whole(lab: labs.Lab) -> None:
    nasty = "a b;$(id)\n*'\"\\"
    order = lab.order("sh", "-c", 'printf %s "$1$FLAG_IT"', "x", nasty, environment={"FLAG_IT": nasty})
    _, lines = await lab.finish(order)
    assert "\n".join(line.message for line in lines) == nasty * 2


async def test_no_arguments_are_not_the_images_own(lab: labs.Lab) -> None:
    """The image has no entry point, so that nothing is left to run."""
    with pytest.raises(errors.ContainerRefused, match="no command"):
        await lab.finish(lab.order(argv=()))
