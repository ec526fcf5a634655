"""What the settings mean to the engine."""

import math
import os
from pathlib import Path

from pupload import errors, offline, ports
from pupload.domain import facts, retention
from pupload.domain.policy import Policy
from pupload.engine.admission import Room
from pupload.engine.arming import Budget
from pupload.engine.callbacks import Operator
from pupload.engine.engine import Config
from pupload.engine.orders import Limits as ContainerLimits
from pupload.engine.retention import Keeping
from pupload.settings import Settings

NOBODYS_GROUP = 65534
NOBODY = f"65534:{NOBODYS_GROUP}"


def engine_config(settings: Settings, data: Path, capacity: ports.Capacity, *, dev: bool) -> Config:
    """What the engine is told, `dev` deciding what the settings leave open. Raises `errors.Misconfigured`."""
    policy = offline.policy(settings)
    return Config(
        attempts_root=data / "attempts",
        lease_seconds=settings.lease_seconds,
        own_store=settings.embedded_store,
        most_runs=settings.max_concurrent_runs or None,
        keeping=Keeping(
            terms=retention.Terms(
                resumable_seconds=settings.resumable_seconds, keep_runs_seconds=settings.keep_runs_seconds or None
            ),
            multipart_seconds=settings.multipart_seconds,
        ),
        memo_seconds=settings.memo_seconds,
        disk_reserve_bytes=settings.disk_reserve_bytes,
        max_items=settings.max_items,
        max_upload_bytes=min(settings.max_upload_bytes, policy.max_upload_bytes or settings.max_upload_bytes),
        caps=facts.Limits(
            max_pixels=settings.max_pixels or None,
            max_media_seconds=settings.max_media_seconds or None,
            max_ratio=settings.max_ratio or None,
            max_pages=settings.max_pages or None,
        ),
        callback=Operator(
            url=settings.callback_url.get_secret_value(),
            secrets=tuple(secret.get_secret_value() for secret in settings.callback_secrets),
        ),
        room=Room(
            cpus=math.inf if offline.given(settings.overcommit_cpu, dev) else capacity.cpus,
            memory_bytes=int(capacity.memory_bytes * settings.memory_share),
            gpus=capacity.gpus,
            attempts=settings.max_attempts_at_once,
        ),
        armed=Budget.usual(settings.armed_nodes, settings.armed_seconds, memory_bytes=capacity.memory_bytes),
        limits=ContainerLimits(
            user=node_user(settings, policy),
            cpus=capacity.cpus,
            pids=settings.pids,
            tmp_bytes=settings.tmp_bytes,
            log_bytes=min(settings.log_bytes, policy.max_log_bytes or settings.log_bytes),
            grace_seconds=settings.grace_seconds,
            output_files=settings.output_files,
            policy=policy,
        ),
    )


def node_user(settings: Settings, policy: Policy) -> str:
    """Whose uid nodes have that name none. Without root's rights our own: others' files could not be read."""
    own = f"{os.geteuid()}:{os.getegid() or NOBODYS_GROUP}"
    user = settings.node_user or (NOBODY if os.geteuid() == 0 else own)
    if objection := policy.user_objection(user):
        reason = f"nodes that name no user would run as {user}, which the policy does not allow: {objection}; "
        raise errors.Misconfigured(reason=reason + "change node_user, or Users in the policy file")
    return user
