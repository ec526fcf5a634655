"""
What can be known without a server: the node types on the disk, and what flows are held to.

Apart from `pupload.wiring`, which needs seconds to import all that a server is made of: `pup validate` and its like are
asked often, and need none of it.
"""

from dataclasses import replace
from pathlib import Path

import pupload
from pupload import errors
from pupload.adapters.folder.catalogue import FolderCatalogue
from pupload.api import documents
from pupload.api.flow import wire
from pupload.domain.nodedef import NodeDef
from pupload.domain.tiers import Capacity
from pupload.domain.validation.limits import Limits
from pupload.settings import Settings


def limits(settings: Settings, capacity: Capacity | None = None, *, dev: bool = True) -> Limits:
    """What flows are held to; without the engine's capacity every tier is taken to fit."""
    there = None
    if capacity is not None:
        there = replace(capacity, memory_bytes=int(capacity.memory_bytes * settings.memory_share))
    return Limits(
        max_nodes=settings.max_nodes,
        capacity=there,
        overcommit_cpu=given(settings.overcommit_cpu, dev),
        clamp=given(settings.clamp_tiers, dev),
        networks=frozenset({"none", *settings.networks}),
        transfers=frozenset({"files", *settings.transfers}),
    )


def given(said: bool | None, otherwise: bool) -> bool:
    """What a setting says, or what is so where it says nothing."""
    return otherwise if said is None else said


def shipped_nodes() -> Path:
    """The folder of the node types that ship with pupload: in a checkout beside the package, else inside it."""
    package = Path(pupload.__file__).parent
    beside = package.parent / "nodes"
    return beside if beside.is_dir() else package / "_nodes"


def make_catalogue(settings: Settings) -> FolderCatalogue:
    """The node types of the operator's folders, then those that ship."""
    return FolderCatalogue((*settings.node_folders, shipped_nodes()), read_definition)


def read_definition(path: Path) -> NodeDef:
    """The definition in a `node.yaml`. Raises `errors.Refused`."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise errors.Malformed(reason=f"{path} cannot be read") from error
    return wire.read_definition(documents.parse_yaml(text, name=str(path)).value, yaml=True)
