"""A project of `pup init`, run for real: an archive of pictures comes back with small ones."""

import subprocess
import zipfile
from pathlib import Path

import pytest

from pupload import offline
from pupload.cli import main, templates
from scripts import picture
from tests.system.server import Server

PHOTO = offline.shipped_nodes() / "pupload" / "compare" / "sample" / "photo.jpg"


@pytest.mark.timeout(900)  # whoever comes first builds the images
def test_what_its_readme_tells_to_run_does_what_it_says(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "unpack-resize-pack"
    subprocess.run(["scripts/node-images", *templates.TEMPLATES[name].uses], check=True, capture_output=True)
    monkeypatch.chdir(tmp_path)
    assert main.run(["init", "demo", "--template", name]) == 0
    monkeypatch.chdir(tmp_path / "demo")
    flow = Path("flows") / f"{name}.yaml"
    flow.write_text(flow.read_text().replace("Value: 800", "Value: 100"))
    with zipfile.ZipFile("PICTURES.zip", "w") as archive:
        for each in ("one.jpg", "two.jpg"):
            archive.write(PHOTO, each)
        archive.writestr("broken.jpg", b"\xff\xd8\xff\xe0 and no picture")
        archive.writestr("words.txt", "left out")
    tries = templates.TEMPLATES[name].tries.split()
    assert main.run(["test", name, *tries, "--output", "results", "--url", server.url]) == 0, capsys.readouterr()
    with zipfile.ZipFile("results/small-archive.zip") as packed:
        assert sorted(packed.namelist()) == ["one.jpg", "two.jpg"]
        found = picture.read(packed.read("one.jpg"))
    assert found is not None
    assert (found.type, found.width) == ("image/jpeg", 100)
