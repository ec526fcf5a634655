"""All that follows from runs, in one place."""

from collections.abc import Sequence

from pupload.engine.consequences import Consequence
from pupload.engine.engine import Engine
from pupload.service.children import Children
from pupload.service.flows import Flows
from pupload.service.handing import Hands


def every(*, engine: Engine, flows: Flows, hands: Hands) -> Sequence[Consequence]:
    """Each of them, in no order that matters."""
    return (Children(engine=engine, flows=flows, hands=hands),)
