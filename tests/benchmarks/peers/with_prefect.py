# mypy: ignore-errors
"""A flow on Prefect, whose tasks run containers by the SDK: `with_prefect.py chain|fan COUNT IMAGE FOLDER`."""

import sys
from pathlib import Path

import docker
from prefect import flow, task
from prefect.task_runners import ThreadPoolTaskRunner

SHAPE, COUNT, IMAGE, FOLDER = sys.argv[1], int(sys.argv[2]), sys.argv[3], Path(sys.argv[4])
AT_ONCE = 8


@task
def step(number, after=None):
    """A node of the flow."""
    source = f"/data/e{number}" if SHAPE == "chain" else "/data/e0"
    docker.from_env().containers.run(
        IMAGE,
        ["sh", "-c", f"cat {source} > /data/e{number + 1}"],
        network_mode="none",
        remove=True,
        volumes=[f"{FOLDER}:/data"],
    )
    return number


@flow(task_runner=ThreadPoolTaskRunner(max_workers=AT_ONCE))
def run():
    """The whole."""
    if SHAPE == "fan":
        for made in [step.submit(number) for number in range(COUNT)]:
            made.result()
        return
    last = None
    for number in range(COUNT):
        last = step.submit(number, last)
    last.result()


if __name__ == "__main__":
    run()
