"""What a node's container is told and given: the order that an executor carries out."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pupload.domain import command
from pupload.domain.plan import NodePlan
from pupload.domain.policy import OPEN, Policy
from pupload.domain.run import AttemptRef, NodeRun, Run
from pupload.domain.tiers import Tier
from pupload.engine.staging import INSIDE, Folder, file_name
from pupload.ports import ContainerOrder

FENCE = "pupload.fence"
"""The label that names the fencing token under which the container was ordered: for people who look at it."""

LONGEST_REASON = 4096
"""Characters of what went wrong that a handler is told; an environment does not take much."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What every container is held to, whatever its tier."""

    user: str
    """`uid:gid` of nodes whose definition names none."""
    cpus: float
    """Of the machine: an engine refuses to give more."""
    pids: int
    tmp_bytes: int
    log_bytes: int
    """Of one attempt, in the journal."""
    grace_seconds: float
    """Between TERM and KILL."""
    output_files: int = 100_000
    """Files and directories that an attempt may have in its outputs."""
    policy: Policy = OPEN
    """What the operator lets nodes have."""


def tier_of(node: NodePlan, state: NodeRun) -> Tier:
    """The tier of the node's next attempt: one step up the ladder for each time it ran out of memory."""
    return node.retry.more_memory[state.climbed - 1] if state.climbed else node.tier


def owner_of(user: str) -> tuple[int, int]:
    """The uid and gid of `uid` or `uid:gid`."""
    uid, _, gid = user.partition(":")
    return int(uid), int(gid or uid)


def container(
    run: Run,
    node: NodePlan,
    ref: AttemptRef,
    tier: Tier,
    folder: Folder,
    inputs: Mapping[str, str],
    *,
    image: str,
    limits: Limits,
    urls: Mapping[str, str] | None = None,
    secrets: Path | None = None,
) -> ContainerOrder:
    """
    The order for one attempt.

    `inputs` are the paths inside the container, by port. Variables of the command are the flags, then the inputs, then
    the outputs: where names are equal the later wins. `urls` are environment variables for a definition that asked for
    presigned URLs: whoever may inspect the container sees them. `secrets` is a directory of files that nobody sees.
    """
    outputs = {port.port: f"{INSIDE}/out/{file_name(port)}" for port in node.outputs}
    values = {**node.flags, **inputs, **outputs}
    uid, gid = owner_of(node.user or limits.user)
    return ContainerOrder(
        attempt=ref,
        image=image,
        reference=node.image,
        uses=node.uses,
        argv=command.arguments(node.command, values) if node.command else None,
        entrypoint=node.entrypoint,
        environment={**_environment(run, node, ref, inputs, outputs), **(urls or {})},
        inputs=folder.inputs,
        outputs=folder.outputs,
        secrets=secrets,
        user=f"{uid}:{gid}",
        network=node.network or "none",
        memory_bytes=tier.memory_bytes,
        cpus=min(tier.cpus, limits.cpus),
        pids=limits.pids,
        tmp_bytes=limits.tmp_bytes,
        file_bytes=tier.storage_bytes,
        log_bytes=limits.log_bytes,
        gpus=tier.gpus,
        gpu_vendor=tier.gpu_vendor,
        capabilities=node.capabilities,
        devices=node.devices,
        runtime=limits.policy.runtime_of(tier.name),
        labels={FENCE: str(run.fence)},
    )


def _environment(
    run: Run, node: NodePlan, ref: AttemptRef, inputs: Mapping[str, str], outputs: Mapping[str, str]
) -> dict[str, str]:
    said = {"PUPLOAD_RUN_ID": run.id, "PUPLOAD_NODE_ID": node.id, "PUPLOAD_ATTEMPT": str(ref.number)}
    if run.plan.ephemeral:
        said["DRY_RUN"] = "1"
    if node.runs and run.outcome is not None:
        reason = run.outcome.reason.replace("\0", "")[:LONGEST_REASON]
        said |= {"PUPLOAD_RUN_STATUS": run.outcome.status.value, "PUPLOAD_RUN_ERROR": reason}
    for prefix, values in (("FLAG_", node.flags), ("INPUT_", inputs), ("OUTPUT_", outputs)):
        said |= {command.environment_name(prefix, name): value for name, value in values.items()}
    return said
