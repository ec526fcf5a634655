"""What a node's container sees and may do, tried from inside, by way of the whole server."""

import json
from typing import Any

import pytest

from pupload.client import Client
from tests.system import flows
from tests.system.server import Server

Json = dict[str, Any]

HOSTILE = {
    "blanks": "two words",
    "semicolon": "; touch /pupload/out/owned",
    "substitution": "$(id) `id`",
    "variable": "${n} $HOME $$",
    "option": "-rf",
    "long option": "--privileged=true",
    "newlines": "a\nb\r\n\n",
    "quotes": "'\"\\",
    "unicode": "Größe 日本 \u202e \U0001f600",
    "glob": "* ? [a-z] ~",
    "empty": "",
    "braces": "[--x ${n}]",
    "large": "x" * 60_000,
}


def port(name: str, *types: str, **more: Any) -> Json:
    return {"Name": name, "Type": list(types) or ["*/*"], **more}


@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("command", ["list", "line"])
async def test_a_flags_value_is_one_argument_whatever_is_in_it(client: Client, value: str, command: str) -> None:
    # It prints how many arguments came after its own, and the one, as hexadecimal digits.
    script = 'echo $#; printf %s "$1" | od -An -v -tx1 | tr -d " \\n"'
    exec_: Any = ["sh", "-c", script, "sh", "${n}"] if command == "list" else f"sh -c '{script}' sh ${{n}}"
    definition = flows.a_script("show", "", Command={"Exec": exec_}, Flags=[{"Name": "n", "Required": True}])
    done = await flows.finish(client, flows.an_order([flows.a_node("show", flags={"n": value})], [definition]))
    assert done["Status"] == "COMPLETE", done["Error"]
    count, *digits = await flows.said(client, done)
    assert (count, bytes.fromhex("".join(digits)).decode()) == ("1", value)


async def test_a_value_with_a_nul_is_refused(server: Server, client: Client) -> None:
    from tests.system.test_refusals import nothing_comes_of_it, post

    order = flows.an_order([flows.a_node("show", flags={"n": "a\0b"})], [flows.a_script("show", "")])
    async with nothing_comes_of_it(server, client):
        assert (await post(server, json.dumps(order).encode()))[0] == 400


async def test_options_of_unset_flags_are_left_out_with_them(client: Client) -> None:
    exec_ = "echo begin [--width ${width}] [--height=${height}] [-q ${quality}] end"
    flags = [{"Name": "width"}, {"Name": "height"}, {"Name": "quality", "Default": "85"}]
    definition = flows.a_script("show", "", Command={"Exec": exec_}, Flags=flags)
    done = await flows.finish(client, flows.an_order([flows.a_node("show", flags={"height": 5})], [definition]))
    assert await flows.said(client, done) == ["begin --height=5 -q 85 end"]


async def test_the_environment_is_the_documented_one(client: Client) -> None:
    definition = flows.a_script(
        "env",
        "env; cat $INPUT_DATA > $OUTPUT_MY_FILE",
        Inputs=[port("data", "application/json"), port("extra", "text/plain", Required=False)],
        Outputs=[port("my-file", "application/json")],
        Flags=[
            {"Name": "max.size", "Type": "integer"},
            {"Name": "loud", "Type": "boolean"},
            {"Name": "q", "Default": "8"},
        ],
    )
    node = flows.a_node("env", inputs={"data": "in"}, outputs={"my-file": "out"}, flags={"max.size": 12, "loud": True})
    done = await flows.finish(client, flows.an_order([node], [definition]), **{"in": b'{"a": 1}'})
    assert done["Status"] == "COMPLETE", done["Error"]
    lines = await flows.said(client, done)
    seen = dict(line.split("=", 1) for line in lines)
    for name in ("PATH", "PWD", "HOME", "SHLVL", "HOSTNAME"):
        seen.pop(name, None)
    assert seen == {
        "PUPLOAD_RUN_ID": done["ID"],
        "PUPLOAD_NODE_ID": "env",
        "PUPLOAD_ATTEMPT": "1",
        "INPUT_DATA": "/pupload/in/data.json",
        "OUTPUT_MY_FILE": "/pupload/out/my-file.json",
        "FLAG_MAX_SIZE": "12",
        "FLAG_LOUD": "true",
        "FLAG_Q": "8",
    }
    assert done["Artifacts"]["out"]["ContentType"] == "application/json"


async def test_it_is_nobody_alone_and_without_rights(client: Client) -> None:
    script = """
        id -u; id -g
        grep -c '^Cap[A-Z][a-z]*:.*[1-9a-f]' /proc/self/status
        grep NoNewPrivs /proc/self/status | cut -f2
        grep Seccomp: /proc/self/status | cut -f2
        ls /sys/class/net
        wget -T 1 -q -O - http://169.254.169.254 2>/dev/null || echo no network
        for d in / /etc /bin /pupload /pupload/in /sys; do touch $d/x 2>/dev/null && echo wrote $d; done
        cp /bin/busybox /tmp/ls; /tmp/ls 2>/dev/null || echo no programs in tmp
        [ -e /var/run/docker.sock ] || [ -e /run/docker.sock ] || echo no socket
        mount -t proc p /tmp 2>/dev/null || echo no mount
        mknod /tmp/d c 1 3 2>/dev/null || echo no device
        /set-uid/busybox id -u
        hostname
        ls -d /proc/[0-9]* | wc -l
    """
    done = await flows.finish(client, flows.one(script))
    assert done["Status"] == "COMPLETE", done["Error"]
    *lines, hostname, processes = await flows.said(client, done)
    assert lines == [
        *("65534", "65534", "0", "1", "2", "lo", "no network", "no programs in tmp"),
        *("no socket", "no mount", "no device", "65534"),
    ]
    assert hostname == "node"
    assert int(processes) < 6, "it sees no processes but its own"


async def test_memory_processes_and_tmp_have_ends(client: Client) -> None:
    script = """
        dd if=/dev/zero of=/tmp/big bs=1M count=1000 2>/dev/null; stat -c %s /tmp/big; rm /tmp/big
        n=0; while [ $n -lt 600 ]; do (sleep 30) & n=$((n+1)); done 2>/dev/null
        ls -d /proc/[0-9]* | wc -l
    """
    done = await flows.finish(client, flows.one(script, Tier="c-micro"))
    lines = await flows.said(client, done)
    assert int(lines[0]) == 256 << 20
    # A shell that cannot fork ends: what counts is that nobody got more than the limit.
    assert all(int(line) <= 512 for line in lines[1:])


async def test_the_engine_was_asked_for_exactly_that(server: Server, client: Client) -> None:
    run = await client.start(flows.copying(flows.HOLD + flows.COPY, User="1234:4321"))
    assert await flows.put(run, "there", b"x") == 200
    await flows.until_line(client, run, "held")
    (made,) = server.containers(run=run["ID"])
    host, config = made["HostConfig"], made["Config"]
    assert (host["CapDrop"], host["CapAdd"] or [], host["Privileged"]) == (["ALL"], [], False)
    assert (host["NetworkMode"], host["ReadonlyRootfs"], host["PidsLimit"]) == ("none", True, 512)
    assert (host["Memory"], host["MemorySwap"], host["NanoCpus"]) == (512 << 20, 512 << 20, 1_000_000_000)
    assert "no-new-privileges" in host["SecurityOpt"]
    assert (host["Binds"], host["Devices"] or [], host["PidMode"], host["IpcMode"]) == (None, [], "", "private")
    assert {mount["Destination"]: mount["RW"] for mount in made["Mounts"]} == {
        "/pupload/in": False,
        "/pupload/out": True,
    }
    assert config["User"] == "1234:4321"
    assert {name: config["Labels"][f"pupload.{name}"] for name in ("run", "node", "attempt")} == {
        "run": run["ID"],
        "node": "step",
        "attempt": "1",
    }
    told = json.dumps(made)
    assert "X-Amz" not in told
    assert server.credentials["secret_key"] not in told
    assert server.credentials["access_key"] not in told
    await flows.let_go(server, run)
    assert (await client.wait(run["ID"]))["Status"] == "COMPLETE"


# ── What a node leaves ───────────────────────────────────────────────────────────────────────────────────────────

TRICKS = {
    "a link to a file of the host": "ln -s /etc/passwd $OUTPUT_OUT",
    "a link to its input": "ln -s $INPUT_IN $OUTPUT_OUT",
    "a link out of its directory": "ln -s ../../../../pupload.db $OUTPUT_OUT",
    "a file with a second name": "cp $INPUT_IN $OUTPUT_OUT; ln $OUTPUT_OUT /pupload/out/second",
    "a folder": "mkdir $OUTPUT_OUT",
    "a pipe": "mkfifo $OUTPUT_OUT",
    "a socket": "timeout 1 nc -l -s local:$OUTPUT_OUT; [ -S $OUTPUT_OUT ] || mkfifo $OUTPUT_OUT",
    "a folder in the place of its directory's": "mv /pupload/out /pupload/elsewhere; ln -s / $OUTPUT_OUT",
}


@pytest.mark.parametrize("trick", TRICKS.values(), ids=TRICKS)
async def test_what_is_no_file_of_its_own_is_no_output(client: Client, trick: str) -> None:
    """F37: nothing outside the attempt's directory is ever read for an output."""
    done = await flows.finish(client, flows.copying(f"{trick}; exit 0"), there=b"input")
    assert done["Status"] == "ERROR"
    assert "out" in done["NodeState"]["step"]["Error"]
    assert "here" not in done["Artifacts"]


async def test_files_nobody_may_read_or_remove_are_taken_and_removed(client: Client) -> None:
    script = f"""
        {flows.COPY}; chmod 000 $OUTPUT_OUT
        mkdir -p /pupload/out/a/b; echo x > "/pupload/out/a/b/$(printf 'new\\nline')"; chmod 000 /pupload/out/a
        mkfifo /pupload/out/pipe; touch -- /pupload/out/-rf
    """
    done = await flows.finish(client, flows.copying(script), there=b"input")
    assert (done["Status"], done["Error"]) == ("COMPLETE", "")
    assert await flows.get(done, "here") == b"input"


async def test_an_empty_output_is_an_output(client: Client) -> None:
    done = await flows.finish(client, flows.copying("touch $OUTPUT_OUT"), there=b"")
    assert done["Status"] == "COMPLETE", done["Error"]
    assert (done["Artifacts"]["here"]["Size"], await flows.get(done, "here")) == (0, b"")


async def test_a_flood_of_lines_is_cut_and_its_end_kept(client: Client) -> None:
    script = "yes 'a line of some length that is repeated without any end' | head -c 40000000; echo; echo the end"
    done = await flows.finish(client, flows.one(script))
    assert done["Status"] == "COMPLETE", done["Error"]
    logs = (await client.logs(done["ID"]))["Logs"]
    assert sum(len(each["message"]) + 1 for each in logs) < 17 << 20
    assert [each["stream"] for each in logs[-2:]] == ["pupload", "stdout"]
    assert logs[-1]["message"] == "the end"


async def test_what_it_forked_does_not_keep_it(client: Client) -> None:
    done = await flows.finish(client, flows.one("(trap '' TERM HUP; while :; do sleep 1; done) & echo parent"))
    assert done["Status"] == "COMPLETE"


# ── Containers that others meddle with ───────────────────────────────────────────────────────────────────────────


async def test_a_container_removed_by_hand_is_tried_again(server: Server, client: Client) -> None:
    # Removing kills first: whether that is seen as an end or as a loss, another attempt is made.
    run = await client.start(flows.one("[ $PUPLOAD_ATTEMPT = 2 ] && exit 0; " + flows.HOLD, MaxAttempts=2))
    await flows.until_line(client, run, "held")
    (made,) = server.containers(run=run["ID"])
    server.remove_container(made["Id"])
    done = await client.wait(run["ID"])
    assert done["Status"] == "COMPLETE", done["Error"]
    assert [event.kind async for event in client.events(run["ID"])].count("node.started") == 2


async def test_a_paused_container_can_be_killed(server: Server, client: Client) -> None:
    run = await client.start(flows.one(flows.HOLD))
    await flows.until_line(client, run, "held")
    (made,) = server.containers(run=run["ID"])
    server.pause_container(made["Id"])
    await client.cancel(run["ID"])
    assert (await client.wait(run["ID"]))["Status"] == "STOPPED"
