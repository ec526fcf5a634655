"""
Room for attempts that are not yet saved as admitted.

It is held while the decision that admits them is made and saved (`pupload.engine.driver`).
"""

from collections.abc import Callable, Collection

from pupload.domain.run import AttemptRef, NodeRun, Run
from pupload.engine import orders
from pupload.engine.admission import Admission
from pupload.engine.foresight import Foresight
from pupload.engine.work import Phase, Work


class Reservations:
    """Attempts that have room, and are to be started once it is saved that they are admitted."""

    def __init__(self, admission: Admission, *, foresight: Foresight, is_begun: Callable[[str], bool]) -> None:
        """`is_begun` says of an attempt's id whether the attempt is under way here."""
        self._admission = admission
        self._foresight = foresight
        self._is_begun = is_begun
        self._held: dict[str, Work] = {}

    def reserve(self, run: Run, node: NodeRun, over: Collection[str] = ()) -> bool:
        """
        Holds room for the node's attempt where there is some at once; returns whether.

        It is held until the attempt that was admitted is started, or `give_back`. Where there is none it may be that of
        one of the nodes that are `over` by the same decision: their containers have ended.
        """
        planned = run.plan.nodes[node.id]
        ref = AttemptRef(run=run.id, node=node.id, number=len(node.attempts))
        if ref.id in self._held:
            return True  # it is decided once more, for nobody knows whether the first time was saved
        if self._is_begun(ref.id):
            return False
        work = Work(ref, planned, phase=Phase.STAGING)
        instead = (AttemptRef(run=run.id, node=name, number=len(run.nodes[name].attempts)) for name in over)
        if not self._admission.take(ref, orders.tier_of(planned, node), keeper=work, instead=instead):
            return False
        self._held[ref.id] = work
        return True

    def foresee(self, run: Run, node: str, number: int) -> None:
        """
        The attempt is about to be saved as one to start: where it has its room, what can be done before is.

        It is asked whether its work was done before, and the inputs are laid where its container waits for them.
        """
        work = self._held.get(AttemptRef(run=run.id, node=node, number=number).id)
        if work is None or work.ahead is not None:
            return
        work.ahead = self._foresight.taken(work.ref) or self._foresight.ahead(run, work.ref)

    def give_back(self, run_id: str) -> None:
        """What is still reserved for the run is for nothing that it has."""
        for work in [one for one in self._held.values() if one.ref.run == run_id]:
            del self._held[work.ref.id]
            work.forget()
            self._admission.release(work.ref, keeper=work)

    def begun(self, ref: AttemptRef) -> Work | None:
        """The attempt's room is its own from now on; None where none was reserved."""
        return self._held.pop(ref.id, None)
