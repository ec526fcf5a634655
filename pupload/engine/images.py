"""The ids of images that containers are armed of, looked up once for all runs that want them."""

import logging
from collections.abc import Callable

from pupload import errors
from pupload.engine.tasks import Tasks
from pupload.ports import Clock, Executor

log = logging.getLogger(__name__)

KEPT = 128
"""Images of which the id is known."""

SECONDS = 30.0
"""How long an image's id is taken for that of its name. An attempt looks for itself, and replaces what is not its."""


class Images:
    """Which images are at hand."""

    def __init__(
        self, *, executor: Executor, clock: Clock, works: Tasks, heard: Callable[[str, str, bool], None]
    ) -> None:
        """`heard` is told run, image, and whether the image is there, for each run that wanted it."""
        self._executor = executor
        self._clock = clock
        self._works = works
        self._heard = heard
        self._ids: dict[str, tuple[str, float]] = {}
        """By name, and when they were looked up."""
        self._wanted: dict[str, dict[str, None]] = {}
        """The runs that wait for an image's id, by its name."""

    @property
    def waiting(self) -> int:
        """How many runs wait for an image."""
        return sum(len(runs) for runs in self._wanted.values())

    def id_of(self, image: str) -> str:
        """The image's id; empty where it is not known, or not any more."""
        found, since = self._ids.get(image, ("", float("-inf")))
        return found if self._clock.monotonic() < since + SECONDS else ""

    def find(self, image: str, run_id: str) -> None:
        """Looks the image up, and tells when that is done."""
        waiting = self._wanted.get(image)
        if waiting is not None:
            waiting[run_id] = None
            return
        self._wanted[image] = {run_id: None}
        self._works.start(self._resolve(image), name=f"have {image} at hand for arming")

    async def _resolve(self, image: str) -> None:
        found = ""
        try:
            found = await self._executor.resolve_image(image)
            self._ids[image] = found, self._clock.monotonic()
        except errors.PuploadError as error:
            log.info("nothing is armed of image %s: %s", image, error)
        finally:
            for run_id in self._wanted.pop(image):
                self._heard(run_id, image, bool(found))
            while len(self._ids) > KEPT:
                del self._ids[next(iter(self._ids))]
