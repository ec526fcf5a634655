"""
One container for many inputs: the entry point of a node type, run again and again as `house.run` runs it once.

For long lists of what is hostile or wrong, where a container each would take minutes and prove no more.
"""

import json
import subprocess
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pupload.domain import command, logline
from tests.nodes import house

LOOP = """
for case in /pupload/in/*; do
    name=${case##*/}
    (
        while read -r line; do export "$line"; done <"$case/variables"
        rm -rf /tmp/*
        mkdir -p /pupload/out/"$name"
        code=0
        "$PROGRAM" >/pupload/out/"$name".stdout 2>/pupload/out/"$name".stderr || code=$?
        echo "$code" >/pupload/out/"$name".code
    )
done
"""


@dataclass(frozen=True, kw_only=True)
class Case:
    """What the entry point is given."""

    inputs: Mapping[str, house.Bytes]
    flags: Mapping[str, str] = field(default_factory=dict)


def run(name: str, scratch: Path, cases: Mapping[str, Case], *, memory: str = "1g") -> dict[str, house.Outcome]:
    """What came of each case; flags hold no line breaks."""
    kind, image = house.definition(name), house.image(name)
    place = scratch / uuid.uuid4().hex
    (place / "out").mkdir(parents=True)
    (place / "out").chmod(0o777)
    turns = {f"{turn:04d}": case for turn, case in enumerate(cases.values())}
    for turn, case in turns.items():
        _lay_out(place / "in" / turn, turn, case, name)
    program = json.loads(
        subprocess.check_output(["docker", "image", "inspect", "-f", "{{json .Config.Entrypoint}}", image])
    )
    subprocess.run(
        [
            *("docker", "run", "--rm", *house.CONFINEMENT, "--network", "none", "--user", "65534:65534"),
            *("--memory", memory, "--memory-swap", memory, "--env", f"PROGRAM={program[0]}"),
            *("--volume", f"{place / 'in'}:/pupload/in:ro", "--volume", f"{place / 'out'}:/pupload/out"),
            *("--entrypoint", "sh", image, "-c", LOOP),
        ],
        check=True,
        timeout=240,
    )
    names = {port.name: port.name for port in kind.outputs}
    outcomes = (_outcome(place / "out", turn, names) for turn in turns)
    return dict(zip(cases, outcomes, strict=True))


def _lay_out(folder: Path, turn: str, case: Case, name: str) -> None:
    kind = house.definition(name)
    folder.mkdir(parents=True)
    flags = {flag.name: flag.default for flag in kind.flags if flag.default is not None} | dict(case.flags)
    variables = {command.environment_name("FLAG_", flag): value for flag, value in flags.items()}
    for port, source in case.inputs.items():
        (folder / port).write_bytes(source.read_bytes() if isinstance(source, Path) else source)
        variables[command.environment_name("INPUT_", port)] = f"/pupload/in/{turn}/{port}"
    for out in kind.outputs:
        where = f"/pupload/out/{turn}" if out.many else f"/pupload/out/{turn}/{out.name}"
        variables[command.environment_name("OUTPUT_", out.name)] = where
    assert not any("\n" in value for value in variables.values())
    (folder / "variables").write_text("".join(f"{key}={value}\n" for key, value in variables.items()))


def _outcome(out: Path, turn: str, names: Mapping[str, str]) -> house.Outcome:
    folder = out / turn
    paths = list(folder.rglob("*"))
    assert all(path.is_file() and not path.is_symlink() for path in paths), paths
    return house.Outcome(
        exit_code=int((out / f"{turn}.code").read_text()),
        said=[logline.read(line) for line in (out / f"{turn}.stdout").read_text().splitlines()],
        complaint="\n".join(logline.read(line).message for line in (out / f"{turn}.stderr").read_text().splitlines()),
        files={path.relative_to(folder).as_posix(): path.read_bytes() for path in paths},
        paths=dict(names),
    )
