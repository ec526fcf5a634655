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
from pupload.domain import policyfile, reach
from pupload.domain.nodedef import NodeDef
from pupload.domain.policy import Policy
from pupload.domain.reach import is_loopback
from pupload.domain.tiers import Capacity
from pupload.domain.validation.limits import Limits
from pupload.settings import Settings

MOST_POLICY_BYTES = 1 << 20
"""Of a policy file; one that says everything has some thousand."""


def limits(settings: Settings, capacity: Capacity | None = None, *, dev: bool = True) -> Limits:
    """
    What flows are held to; without the engine's capacity every tier is taken to fit.

    Raises `errors.Misconfigured` where the policy cannot be read.
    """
    allowed = policy(settings)
    there = None
    if capacity is not None:
        there = replace(capacity, memory_bytes=int(capacity.memory_bytes * settings.memory_share))
    return Limits(
        max_nodes=min(settings.max_nodes, allowed.max_nodes or settings.max_nodes),
        max_items=settings.max_items,
        capacity=there,
        overcommit_cpu=given(settings.overcommit_cpu, dev),
        clamp=given(settings.clamp_tiers, dev),
        policy=allowed,
        callback_http=given(settings.callback_http, is_loopback(settings.host)),
        callback_reach=callback_reach(settings),
    )


def callback_reach(settings: Settings) -> reach.Policy:
    """Which addresses the callbacks of flows may be sent to."""
    return reach.Policy(private=given(settings.callback_private_endpoints, is_loopback(settings.host)))


def policy(settings: Settings) -> Policy:
    """
    What the operator lets nodes have: the policy file, and settings where it says nothing.

    Raises `errors.Misconfigured` with file, line and reason.
    """
    try:
        base = policyfile.read({"Networks": list(settings.networks), "Transfers": list(settings.transfers)})
    except policyfile.Wrong as wrong:
        raise errors.Misconfigured(reason=f"setting {wrong.pointer[1:].lower()}: {wrong}") from wrong
    return base if settings.policy is None else read_policy(settings.policy, base)


def read_policy(path: Path, base: Policy | None = None) -> Policy:
    """The policy in a file; what it does not say is as in `base`. Raises `errors.Misconfigured`."""
    try:
        with path.open("rb") as file:
            text = file.read(MOST_POLICY_BYTES + 1).decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise errors.Misconfigured(reason=f"the policy {path} cannot be read: {error}") from error
    if len(text) > MOST_POLICY_BYTES:
        raise errors.Misconfigured(reason=f"the policy {path} is larger than {MOST_POLICY_BYTES} bytes")
    try:
        document = documents.parse_yaml(text, name=str(path))
        return policyfile.read(document.value, base)
    except policyfile.Wrong as wrong:
        raise errors.Misconfigured(reason=f"{path}:{document.line(wrong.pointer)}: {wrong}") from wrong
    except errors.Malformed as error:
        raise errors.Misconfigured(reason=str(error)) from error


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
