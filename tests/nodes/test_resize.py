"""
The resize image, run as an executor runs it: without network, rights or a place to write but `/tmp` and its output.
"""

import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from pupload.api.flow import wire
from pupload.domain import logline, validation
from scripts import picture
from tests.nodes import pictures

IMAGE = "pupload/resize:latest"
FOLDER = Path("nodes/pupload/resize")

CONFINEMENT = (
    *("--network", "none", "--read-only", "--user", "65534:65534", "--cap-drop", "ALL"),
    *("--security-opt", "no-new-privileges", "--pids-limit", "128", "--cpus", "2"),
    *("--tmpfs", "/tmp:size=64m,mode=1777,noexec,nosuid,nodev"),
)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of a container."""

    exit_code: int
    said: list[logline.LogText]
    complaint: str
    result: bytes | None

    @property
    def picture(self) -> picture.Picture | None:
        return None if self.result is None else picture.read(self.result)


Resize = Callable[..., Outcome]


@pytest.fixture(scope="session")
def image() -> str:
    """The image as it is in this folder; quick when it is built already."""
    subprocess.run(["scripts/node-images", "resize"], check=True)
    return IMAGE


@pytest.fixture
def resize(image: str, tmp_path: Path) -> Resize:
    """Runs the image on the bytes; flags by name."""

    def run(data: bytes, *, memory: str = "2g", **flags: str) -> Outcome:
        source, out = tmp_path / "image", tmp_path / "out"
        source.write_bytes(data)
        out.mkdir(mode=0o777)
        out.chmod(0o777)
        variables = {"INPUT_IMAGE": "/pupload/in/image", "OUTPUT_RESIZED": "/pupload/out/resized"}
        variables |= {f"FLAG_{name.upper()}": value for name, value in flags.items()}
        ended = subprocess.run(
            [
                *("docker", "run", "--rm", *CONFINEMENT, "--memory", memory, "--memory-swap", memory),
                *("--volume", f"{source}:/pupload/in/image:ro", "--volume", f"{out}:/pupload/out"),
                *(part for name, value in variables.items() for part in ("--env", f"{name}={value}")),
                image,
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        written = {path.name: path.read_bytes() for path in out.iterdir()}
        assert written.keys() <= {"resized"}
        return Outcome(
            exit_code=ended.returncode,
            said=[logline.read(line) for line in ended.stdout.splitlines()],
            complaint="\n".join(logline.read(line).message for line in ended.stderr.splitlines()),
            result=written.get("resized"),
        )

    return run


# ── What it makes ────────────────────────────────────────────────────────────────────────────────────────────────

EXPECTED = json.loads((pictures.SAMPLE / "expected.json").read_text())


@pytest.mark.engine
@pytest.mark.parametrize("case", EXPECTED["cases"], ids=lambda case: str(case["flags"]))
def test_the_sample_becomes_what_its_facts_say(resize: Resize, case: dict[str, Any]) -> None:
    outcome = resize(pictures.PHOTO.read_bytes(), **case["flags"])
    assert (outcome.exit_code, outcome.complaint) == (0, "")
    assert outcome.picture == (case["type"], case["width"], case["height"])


@pytest.mark.engine
def test_its_last_line_tells_of_success_and_of_both_sizes(resize: Resize) -> None:
    last = resize(pictures.PHOTO.read_bytes(), width="800").said[-1]
    assert last.message.startswith("Image resized successfully: 3200x1800 jpeg to 800x450 jpeg")
    assert (last.level, last.progress) == ("INFO", 1.0)


@pytest.mark.engine
def test_a_picture_taken_upright_comes_out_upright_without_its_metadata(resize: Resize) -> None:
    outcome = resize(pictures.turned(pictures.PHOTO.read_bytes(), 6), width="800")
    assert outcome.picture == ("image/jpeg", 800, 1422)
    assert outcome.result is not None
    assert b"Exif" not in outcome.result
    assert b"secret" not in outcome.result


@pytest.mark.engine
def test_the_colour_profile_stays(resize: Resize) -> None:
    outcome = resize(pictures.with_profile(pictures.PHOTO.read_bytes()), width="80")
    assert outcome.result is not None
    profiles = [body for marker, body in picture.segments(outcome.result) if marker == 0xE2]
    assert [body[14:] for body in profiles] == [pictures.ICC]


@pytest.mark.engine
def test_a_small_picture_grows_only_when_asked(resize: Resize) -> None:
    outcome = resize(pictures.png(40, 20), width="100", enlarge="true", format="webp")
    assert outcome.picture == ("image/webp", 100, 50)


@pytest.mark.engine
def test_transparency_becomes_white_where_there_is_none(resize: Resize) -> None:
    outcome = resize(pictures.half_transparent(), format="jpeg")
    assert outcome.picture == ("image/jpeg", 64, 64)


# ── What it refuses ──────────────────────────────────────────────────────────────────────────────────────────────

PHOTO = pictures.PHOTO.read_bytes()


@pytest.mark.engine
@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "not a picture"),
        (b"hello", "not a picture"),
        (pictures.SVG, "not a picture"),
        (pictures.MVG, "not a picture"),
        (b"%PDF-1.7\n", "not a picture"),
        (PHOTO[:200_000], "is damaged"),
        (PHOTO[:40], "is damaged"),
        (b"\xff\xd8\xff" + pictures.SVG, "is damaged"),
        (pictures.png(640, 480)[:-40], "is damaged"),
        (pictures.png(640, 480, rows=0), "is damaged"),
        (pictures.png(20_000, 20_000, rows=1), "20000x20000 pixels"),
        (pictures.png(40_000, 2), "or more than 32000 pixels wide"),
        (b"GIF89a\x10\x00\x10\x00", "is damaged"),
        (b"RIFF\x10\0\0\0WEBPVP8 ", "is damaged"),
        (b"II*\0\xff\xff\xff\x7f", "is damaged"),
        (b"\0\0\0\x18ftypheic" + bytes(64), "is damaged"),
    ],
    ids=lambda value: repr(value[:12]) if isinstance(value, bytes) else value,
)
def test_what_is_no_whole_picture_is_refused_in_a_sentence(resize: Resize, data: bytes, says: str) -> None:
    outcome = resize(data, width="800")
    assert (outcome.exit_code, outcome.result) == (65, None)
    assert says in outcome.complaint


@pytest.mark.engine
def test_a_picture_too_large_for_the_tier_is_refused_before_the_kernel_kills(resize: Resize) -> None:
    outcome = resize(pictures.png(12_000, 9_000), memory="512m", width="800")
    assert (outcome.exit_code, outcome.result) == (71, None)
    assert "does not fit into the memory of this tier" in outcome.complaint


@pytest.mark.engine
@pytest.mark.parametrize(
    ("flag", "value"),
    [
        *(
            ("width", value)
            for value in ("0", "-5", "8e2", "80.5", "800; id", "$(id)", "32001", "9" * 40, "800x600!", " 8")
        ),
        ("height", "@/etc/passwd"),
        ("quality", "0"),
        ("quality", "101"),
        ("format", "svg"),
        ("format", "jpeg:/etc/passwd"),
        ("format", "JPEG\n"),
        ("enlarge", "perhaps"),
    ],
)
def test_a_wrong_flag_is_named(resize: Resize, flag: str, value: str) -> None:
    outcome = resize(PHOTO, **{flag: value})
    assert (outcome.exit_code, outcome.result) == (64, None)
    assert outcome.complaint.startswith(f"flag {flag} must be ")


@pytest.mark.engine
def test_a_flag_that_is_not_set_may_also_be_empty(resize: Resize) -> None:
    outcome = resize(PHOTO, width="", height="", quality="", format="", enlarge="")
    assert outcome.picture == ("image/jpeg", 3200, 1800)


@pytest.mark.engine
def test_run_outside_a_flow_it_says_what_it_is(image: str) -> None:
    ended = subprocess.run(["docker", "run", "--rm", image], capture_output=True, text=True, check=False)
    assert ended.returncode == 64
    assert "runs as a node of a flow" in ended.stderr


@pytest.mark.engine
def test_no_other_format_is_in_the_image(image: str) -> None:
    find = "find /usr/lib -path '*/coders/*.so' -exec basename {} .so \\;"
    command = ["docker", "run", "--rm", "--entrypoint", "sh", image, "-c", find]
    coders = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert sorted(coders) == ["gif", "heic", "jpeg", "png", "tiff", "webp"]


# ── What it says of itself ───────────────────────────────────────────────────────────────────────────────────────


def test_its_definition_and_the_sample_order_are_valid() -> None:
    warnings: list[str] = []
    definition = wire.read_definition(yaml.safe_load((FOLDER / "node.yaml").read_text()), warnings=warnings, yaml=True)
    order = wire.read_order(json.loads((pictures.SAMPLE / "order.json").read_text()))
    assert warnings == []
    assert definition.uses == order.flow.nodes[0].uses
    assert list(validation.validate(order.flow, [definition])) == []


def test_the_photograph_is_what_its_facts_say_and_names_its_licence() -> None:
    facts = EXPECTED["input"]
    assert picture.read(PHOTO) == (facts["type"], facts["width"], facts["height"])
    assert facts["width"] * facts["height"] >= 2_000_000
    assert "CC0" in (pictures.SAMPLE / "LICENCE.md").read_text()
