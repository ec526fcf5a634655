"""Writes a flow as a CWL document and has cwltool run it: `with_cwltool.py chain|fan COUNT IMAGE FOLDER`."""

import json
import os
import sys
from pathlib import Path
from typing import Any

SHAPE, COUNT, IMAGE, FOLDER = sys.argv[1], int(sys.argv[2]), sys.argv[3], Path(sys.argv[4])


def tool() -> dict[str, Any]:
    """A node."""
    return {
        "class": "CommandLineTool",
        "requirements": {"DockerRequirement": {"dockerImageId": IMAGE}},
        "baseCommand": ["cat"],
        "inputs": {"in": {"type": "File", "inputBinding": {"position": 1}}},
        "stdout": "made",
        "outputs": {"out": {"type": "stdout"}},
    }


def workflow() -> dict[str, Any]:
    """The whole."""
    chained = SHAPE == "chain"
    steps = {
        f"n{number}": {
            "run": "tool.json",
            "in": {"in": f"n{number - 1}/out" if chained and number else "first"},
            "out": ["out"],
        }
        for number in range(COUNT)
    }
    return {
        "cwlVersion": "v1.2",
        "class": "Workflow",
        "inputs": {"first": "File"},
        "outputs": {"last": {"type": "File", "outputSource": f"n{COUNT - 1}/out"}},
        "steps": steps,
    }


if __name__ == "__main__":
    (FOLDER / "tool.json").write_text(json.dumps({"cwlVersion": "v1.2", **tool()}))
    (FOLDER / "flow.json").write_text(json.dumps(workflow()))
    given = {"first": {"class": "File", "path": str(FOLDER / "e0")}}
    (FOLDER / "given.json").write_text(json.dumps(given))
    cwltool = str(Path(sys.executable).with_name("cwltool"))
    options = ["--parallel", "--quiet", "--disable-pull", "--outdir", str(FOLDER / "out")]
    os.execv(cwltool, [cwltool, *options, str(FOLDER / "flow.json"), str(FOLDER / "given.json")])
