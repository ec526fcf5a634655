"""Node types that this server knows by name."""

from collections.abc import Sequence

from pupload.domain.nodedef import NodeDef
from pupload.ports import Catalogue


class Nodes:
    """What can be asked about node types."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    async def all(self) -> Sequence[NodeDef]:
        """All of them, by name."""
        return await self._catalogue.all()
