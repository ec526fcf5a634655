# mypy: ignore-errors
"""A flow on Luigi's own tasks for containers: `with_luigi.py chain|fan COUNT IMAGE FOLDER`."""

import sys
from pathlib import Path

import luigi
from luigi.contrib.docker_runner import DockerTask

SHAPE, COUNT, IMAGE, FOLDER = sys.argv[1], int(sys.argv[2]), sys.argv[3], Path(sys.argv[4])
AT_ONCE = 8


class Step(DockerTask):
    """A node of the flow."""

    number = luigi.IntParameter()
    image = IMAGE
    network_mode = "none"
    auto_remove = True
    binds = [f"{FOLDER}:/data"]  # noqa: RUF012 (as Luigi has it)

    @property
    def command(self):
        """What it runs."""
        source = f"/data/e{self.number}" if SHAPE == "chain" else "/data/e0"
        return ["sh", "-c", f"cat {source} > /data/e{self.number + 1}"]

    def requires(self):
        """The node before it, in a chain."""
        return [Step(number=self.number - 1)] if SHAPE == "chain" and self.number else []

    def output(self):
        """Its file."""
        return luigi.LocalTarget(FOLDER / f"e{self.number + 1}")


if __name__ == "__main__":
    wanted = [Step(number=COUNT - 1)] if SHAPE == "chain" else [Step(number=number) for number in range(COUNT)]
    workers = 1 if SHAPE == "chain" else AT_ONCE
    sys.exit(0 if luigi.build(wanted, workers=workers, local_scheduler=True, log_level="WARNING") else 1)
