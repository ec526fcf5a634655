"""The stores of a server: the one in a process of its own or the operator's, and those that flows bring along."""

import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from pupload import errors, offline, ports
from pupload.adapters.s3 import local, places, stores, supervisor
from pupload.adapters.system.outbound import Guard
from pupload.domain import watermark
from pupload.domain.flow import Store
from pupload.domain.reach import Policy as ReachPolicy
from pupload.domain.reach import is_loopback
from pupload.settings import Settings


@asynccontextmanager
async def opened_stores(
    settings: Settings, data: Path, clock: ports.Clock, secrets: ports.SecretStore | None = None
) -> AsyncIterator[ports.Stores]:
    """The default store, ready for use, and those that flows bring along; closed on the way out."""
    async with AsyncExitStack() as stack:
        if settings.embedded_store:
            process = embedded_process(settings, data, clock)
            stack.push_async_callback(process.stop)  # first: whoever is interrupted while it starts must stop it too
            await process.start()
            made = _embedded_stores(settings, process, clock, secrets)
        else:
            made = _other_stores(settings, clock, secrets)
        stack.push_async_callback(made.close)
        await made.default().ensure_ready()
        yield made


def _reserve_bytes(settings: Settings, data: Path) -> int:
    """What the embedded store leaves free on its disk."""
    there = next(folder for folder in (data, *data.parents) if folder.exists())
    usage = shutil.disk_usage(there)
    space = watermark.Space(what="the store", path=str(data), free_bytes=usage.free, total_bytes=usage.total)
    return watermark.reserve_bytes(space, settings.disk_reserve_bytes)


def embedded_process(settings: Settings, data: Path, clock: ports.Clock) -> supervisor.EmbeddedProcess:
    """The embedded store's process, not started."""
    options = ["--max-total", str(settings.store_max_bytes)] if settings.store_max_bytes else []
    options += ["--min-free", str(_reserve_bytes(settings, data))]
    return supervisor.EmbeddedProcess(
        data=data / "store",
        clock=clock,
        hosts=(settings.store_host, *filter(None, [settings.store_node_host])),
        port=settings.embedded_port,
        bucket=settings.store_bucket,
        options=options,
    )


def _embedded_stores(
    settings: Settings,
    process: supervisor.EmbeddedProcess,
    clock: ports.Clock,
    secrets: ports.SecretStore | None = None,
) -> stores.S3Stores:
    public = _endpoint("store_public_url", settings.store_public_url)
    port = process.endpoint.host.rpartition(":")[2]
    node_host = settings.store_node_host
    for_nodes = _endpoint("store_node_host", f"http://{node_host}:{port}" if node_host else "")

    def make(*, name: str, bucket: str) -> local.EmbeddedStore:
        return local.EmbeddedStore(
            name=name,
            endpoint=process.endpoint,
            bucket=bucket,
            credentials=process.credentials,
            control=process.control,
            clock=clock,
            public_endpoint=public,
            node_endpoint=for_nodes,
        )

    return stores.S3Stores(
        default=make(name="default", bucket=process.bucket),
        clock=clock,
        make_local=make,
        guard=_guard(settings),
        lends_own_keys=is_loopback(settings.host),
        secrets=secrets,
        parallel=settings.store_parallel,
    )


def _endpoint(setting: str, text: str) -> places.Endpoint | None:
    try:
        return places.read_endpoint(text) if text else None
    except ValueError as error:
        raise errors.Misconfigured(reason=f"setting {setting}: {error}") from error


def _other_stores(settings: Settings, clock: ports.Clock, secrets: ports.SecretStore | None = None) -> stores.S3Stores:
    """The operator's own store as the default one, described the way a flow would."""
    described: dict[str, str | bool] = {
        "Endpoint": settings.store_endpoint,
        "BucketName": settings.store_bucket,
        "Region": settings.store_region,
        "AccessKey": settings.store_access_key,
        "SecretKey": settings.store_secret_key.get_secret_value(),
        "PathStyle": settings.store_path_style,
        "PublicEndpoint": settings.store_public_url,
        "Notifications": settings.store_notifications,
    }
    params = {name: value for name, value in described.items() if value != ""}
    try:
        return stores.S3Stores(
            default=Store(name="default", type="s3", params=params),
            clock=clock,
            guard=_guard(settings),
            lends_own_keys=is_loopback(settings.host),
            secrets=secrets,
            parallel=settings.store_parallel,
        )
    except errors.Refused as error:
        raise errors.Misconfigured(reason=str(error)) from error


def _guard(settings: Settings) -> Guard:
    """Which addresses those who post flows may send the server to."""
    return Guard(ReachPolicy(private=offline.given(settings.store_private_endpoints, is_loopback(settings.host))))
