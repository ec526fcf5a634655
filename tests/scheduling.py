"""
How tests are shared out when several run side by side (`pytest -n 2`, and so `scripts/test`).

A module's tests run one after another, in one process: they may share what is expensive and use what has one name. The
modules that wait for containers come first, for they take longest; the many small ones even out the end. Whatever can
bear nobody beside it comes last of all, when every process but one has ended.
"""

from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController

ALONE = (
    "tests/benchmarks/test_bench.py",
    "tests/faults/test_greed.py::test_f20_a_fork_bomb_hurts_nobody_else",
    "tests/faults/test_greed.py::test_f24_bytes_are_counted_over_all_files",
)
"""What measures the machine, or does to it what others would notice: modules, or single tests."""

LONG = ("tests/faults/", "tests/nodes/", "tests/system/", "tests/adapters/docker/", "tests/adapters/db/")
"""Folders whose modules take long: the further ahead, the longer."""

_TOGETHER = "alone"


class Scheduling(LoadScopeScheduling):  # type: ignore[misc] # the library has no types
    """Gives each process the next module when it is nearly through with those that it has."""

    def remove_node(self, node: WorkerController) -> str | None:
        """Returns the test in which the process died, if it did: that one is over, the others go to the next."""
        workload = self.assigned_work.pop(node)
        left = [(unit, test) for unit in workload.values() for test, over in unit.items() if not over]
        for unit, test in left[:1]:
            unit[test] = True
        self.workqueue.update({scope: unit for scope, unit in workload.items() if not all(unit.values())})
        for other in self.nodes:
            self._reschedule(other)
        return left[0][1] if left else None

    def _reschedule(self, node: WorkerController) -> None:
        if self.workqueue and self._next() == _TOGETHER and not node.shutting_down:
            staying = [each for each in self.nodes if not each.shutting_down]
            if node is not staying[0]:
                node.shutdown()
            if len(self.nodes) > 1:
                return  # it comes back here when the others have ended
        super()._reschedule(node)

    def _assign_work_unit(self, node: WorkerController) -> None:
        self.workqueue.move_to_end(self._next(), last=False)
        super()._assign_work_unit(node)

    def _next(self) -> str:
        """The module, or what must be alone, that should be begun before all others that are left."""
        left: dict[str, dict[str, bool]] = self.workqueue
        return min(left, key=lambda scope: (scope == _TOGETHER, _rank(scope), -len(left[scope])))

    def _split_scope(self, nodeid: str) -> str:
        return _TOGETHER if nodeid.startswith(ALONE) else nodeid.split("::", 1)[0]


def _rank(module: str) -> int:
    return next((number for number, folder in enumerate(LONG) if module.startswith(folder)), len(LONG))
