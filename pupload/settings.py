"""
Every setting: its type, its default, its unit and why it is so.

Settings come from the environment (`PUPLOAD_` and the name in capitals), from a file named by `PUPLOAD_ENV_FILE`, or as
arguments; they are read once, in `pupload.wiring`, and passed on. `docs/reference/settings.md` is made from this
module.
"""

import os
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, DotEnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from pupload import errors
from pupload.domain import reach, signing
from pupload.domain.validation import callbacks

GIB = 1024**3
MIB = 1024**2


class Settings(BaseSettings):
    """What the operator decides."""

    model_config = SettingsConfigDict(env_prefix="PUPLOAD_", frozen=True, extra="forbid", validate_default=True)

    # ── The server ───────────────────────────────────────────────────────────────────────────────────────────────

    host: str = Field(
        "127.0.0.1",
        description="The address to listen on. Anything but loopback needs an account first "
        "([how](../howto/let-people-in.md)) or `insecure`, because whoever reaches a server without accounts may run "
        "containers on its machine.",
    )
    port: int = Field(1234, ge=0, le=65535, description="The port of the API; 0 takes a free one.")
    more_ports: tuple[Annotated[int, Field(ge=1, le=65535)], ...] = Field(
        (),
        description="Ports on which the same API is served as well, such as those that clients of other surfaces are "
        "set to: Studio's own examples have 8470, Pipelit's 8000, those of Runs and flwd 8080. A JSON list.",
    )
    public_url: str = Field(
        "",
        description="How users reach the server, such as `https://flows.example.org`, where a proxy stands before it: "
        "the server answers to that name too, and URLs for webhooks begin so.",
    )
    insecure: bool = Field(
        False,
        description="Let whoever comes do everything as long as there are no accounts, wherever they come from. Say so "
        "only behind a proxy that authenticates. Not given, only this machine itself may.",
    )
    local_resets: bool = Field(
        True,
        description="Whether requests from this machine itself, that no proxy brought, count as made by somebody who "
        "sits at it: they may make the first account, and take a second factor off. Say no where a proxy on this "
        "machine brings others' requests and adds no header that says so.",
    )
    body_limit: int = Field(
        8 * MIB,
        ge=1024,
        description="Bytes of a request's body; larger ones are refused with 413. Files never pass here: this holds a "
        "flow of 40 000 nodes, which takes seconds to read and judge, and some 50 times its size in memory meanwhile.",
    )
    request_seconds: float = Field(
        60.0, gt=0, description="How long a request may take, streams excepted, before it is answered with 503."
    )
    cors_origins: tuple[str, ...] = Field(
        (), description="Origins whose pages may call the API from a browser; none by default. A JSON list."
    )
    surfaces: tuple[str, ...] = Field(
        ("runs", "flwd", "studio", "pipelit"),
        description="The documented APIs that are served beside the native one, at their own paths. A JSON list; `[]`: "
        "the native one alone.",
    )
    rate_limit: float = Field(
        0.0,
        ge=0.0,
        description="Requests a second that each address may make; 0: any number. `/healthz` and `/metrics` do not "
        "count, a stream and a WebSocket once. Answers say how many are left.",
    )
    rate_burst: int = Field(0, ge=0, description="How many of them may come at once; 0: twice as many as in a second.")
    trusted_proxies: tuple[str, ...] = Field(
        (),
        description="Addresses or networks of proxies that say in `X-Forwarded-For` whose request it is, such as "
        "`10.0.0.0/8`. A JSON list.",
    )
    access_log: bool = Field(False, description="A log line for each request, never with its query string.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="DEBUG, INFO, WARNING or ERROR: what is written to stderr."
    )

    # ── What is kept, and where ──────────────────────────────────────────────────────────────────────────────────

    data: Path = Field(
        Path("pupload-data"),
        description="The data folder: the database, the embedded store's objects, the directories of attempts. Made "
        "when missing, readable by its owner only. Everything that must survive is in it.",
    )
    database_url: SecretStr = Field(
        SecretStr(""),
        description="The PostgreSQL database that keeps runs, journals and logs, such as "
        "`postgresql://pupload:password@db.example.org/pupload`, in libpq's words. Empty: SQLite, in the data folder. "
        "Several servers may share it. Secret because of the password.",
    )
    secret_key_file: Path | None = Field(
        None,
        description="The file with the keys that secrets in the database are encrypted with, one in each line in "
        "Base64: the first encrypts, all of them decrypt. Empty: `secret.key` in the data folder. Made with a new key "
        "when there is none; refused when others than its owner may read it. Back it up apart from the database, for "
        "one is of no use without the other. Servers on one database must have the same file.",
    )
    lease_seconds: float = Field(
        15.0,
        ge=1,
        description="How long a server that is not heard of keeps its runs, where several share a PostgreSQL database: "
        "then another takes them over. It is renewed three times as often.",
    )
    embedded_store: bool = Field(
        True, description="Whether to run the embedded object store. Switched off, `store_*` must name another."
    )
    store_host: str = Field(
        "127.0.0.1", description="The address on which the embedded store listens for uploads and downloads."
    )
    store_port: int | None = Field(
        None,
        ge=0,
        le=65535,
        description="The embedded store's port; one above `port` when not given, 0 takes a free one. Presigned URLs "
        "name it, so keep it the same across restarts.",
    )
    store_node_host: str = Field(
        "",
        description="An address on which the embedded store listens as well, for containers with `Transfer: urls`: "
        "that of the engine's bridge, such as 172.17.0.1. Their URLs are signed for it.",
    )
    store_public_url: str = Field(
        "",
        description="How users reach the store, such as `https://files.example.org`, where that differs from how the "
        "server does. URLs for users are signed for this name.",
    )
    store_max_bytes: int = Field(
        0, ge=0, description="Bytes the embedded store holds at most; 0: as much as its disk, less a reserve."
    )
    store_endpoint: str = Field("", description="Endpoint of another S3-compatible store, with `embedded_store` off.")
    store_bucket: str = Field("pupload", description="The bucket of the default store.")
    store_region: str = Field("us-east-1", description="Its region.")
    store_access_key: str = Field(
        "", description="Its access key; empty: the usual chain (environment, files, instance role)."
    )
    store_secret_key: SecretStr = Field(SecretStr(""), description="Its secret key.")
    store_path_style: bool = Field(
        True, description="Whether the bucket stands in the path instead of the host's name."
    )
    store_notifications: bool = Field(
        False,
        description="Whether that store speaks MinIO's bucket notifications, so that uploads are noticed at once.",
    )
    store_private_endpoints: bool | None = Field(
        None,
        description="Whether stores that flows bring along may be at addresses of the server's own network and "
        "machine; strangers could look around in there. Not given: on while `host` is loopback, off otherwise. "
        "Metadata services and link-local addresses are never reached.",
    )
    store_parallel: int = Field(
        4,
        ge=1,
        le=64,
        description="How many parts of one object of more than 64 MiB are moved at a time, from or to a store that is "
        "not the embedded one: a single connection to a store far away is slow, however broad the line. Each that "
        "comes takes 8 MiB of memory. 1: the whole in one go.",
    )

    # ── Containers ───────────────────────────────────────────────────────────────────────────────────────────────

    docker_host: str = Field(
        "",
        description="The container engine, such as `unix:///run/docker.sock`; empty: as the docker command finds it.",
    )
    secrets_folder: Path | None = Field(
        None,
        description="The folder in which nodes' secrets lie while they run, which the container engine must see under "
        "the same path. It should be in memory (tmpfs), so that no disk ever holds them. Empty: the first of "
        "/dev/shm, /run/user/UID and /run that is, and that the server may write to.",
    )
    node_user: str = Field(
        "",
        description="uid:gid of nodes whose definition names none. Empty: 65534:65534 (nobody) when the server runs as "
        "root, else the server's own, for it could not read another's files.",
    )
    overcommit_cpu: bool | None = Field(
        None,
        description="Whether nodes may be promised more CPUs than there are. Memory and GPUs never are. Not given: on "
        "in `pup dev`, off in `pup serve`.",
    )
    clamp_tiers: bool | None = Field(
        None,
        description="Whether a tier larger than the machine is made smaller, with a warning, instead of refused. Not "
        "given: on in `pup dev`, off in `pup serve`.",
    )
    memory_share: float = Field(
        0.9, gt=0, le=1, description="The share of the engine's memory that nodes may be promised together."
    )
    max_attempts_at_once: int = Field(
        128, ge=1, description="Containers at once, whatever their size: an engine slows down under hundreds."
    )
    armed_nodes: int | None = Field(
        None,
        ge=0,
        description="How many containers may wait, started ahead of time, for the nodes that runs need soonest: such a "
        "node begins at once when its inputs are there. One that waits uses no CPU and some megabytes; no run has more "
        "than half of what the others leave. 0: none. Not given: one for each 256 MiB of the engine's memory, at most "
        "64.",
    )
    armed_seconds: float = Field(
        600.0,
        gt=0,
        description="How long such a container may wait for its node. Then it is removed, and the run gets no other "
        "before it comes forward: an upload arrives, or a node begins or ends.",
    )
    pids: int = Field(512, ge=16, description="Processes and threads in one container.")
    tmp_bytes: int = Field(
        256 * MIB, ge=MIB, description="The size of /tmp in a container. It is memory, and counts against the tier's."
    )
    output_files: int = Field(
        100_000,
        ge=1,
        description="Files and directories in the outputs of one attempt; one that makes more is killed. Their bytes "
        "together are bounded by the storage of the tier.",
    )
    max_items: int = Field(
        10_000,
        ge=1,
        le=1_000_000,
        description="Items in one collection: files that a node leaves for an output with `Many`, and the most that "
        "`MaxItems` of a node can say. An attempt that leaves more fails.",
    )
    max_backfill_dates: int = Field(
        366, ge=1, le=10_000, description="Runs that one backfill may start: dates, both ends included."
    )
    log_bytes: int = Field(
        16 * MIB,
        ge=4096,
        description="Bytes of one attempt's log that are kept, 80 of them for each line beside its text; of what "
        "follows only the last line is. The engine keeps up to four times as much on its disk until the attempt ends.",
    )
    grace_seconds: float = Field(10.0, ge=0, description="Between TERM and KILL when an attempt is stopped.")
    policy: Path | None = Field(
        None,
        description="The operator's policy: a YAML file that says which images, networks, users, tiers and so on nodes "
        "may have (`pup policy show` prints what holds). Read when the server starts; one with a mistake is refused.",
    )
    networks: tuple[str, ...] = Field(
        ("none",),
        description="Networks that definitions may ask for. A JSON list; add `bridge` to let nodes out. Does not count "
        "where the policy file has `Networks`.",
    )
    transfers: tuple[str, ...] = Field(
        ("files",),
        description="How definitions may ask for their bytes. A JSON list; add `urls` to let nodes have presigned "
        "URLs, which everybody who may inspect containers can read. Does not count where the policy file has "
        "`Transfers`.",
    )
    node_folders: tuple[Path, ...] = Field(
        (), description="Folders of node types (`<publisher>/<name>/node.yaml`) beside those that ship. A JSON list."
    )

    sources: Path | None = Field(
        None,
        description="The sources of flows: a YAML file that says which folders and git repositories flows are found in "
        "([how](../howto/keep-flows-in-git.md)). Read when the server starts; one with a mistake is refused. Servers "
        "on one database must have the same.",
    )

    # ── Callbacks ────────────────────────────────────────────────────────────────────────────────────────────────

    callback_url: SecretStr = Field(
        SecretStr(""),
        description="Who is told of every run that is over, whatever its flow says, such as "
        "`https://hooks.example.org/pupload`. Its address may be of the server's own network, and it may be plain "
        "http. Secret because such URLs often let in whoever has them.",
    )
    callback_secrets: tuple[SecretStr, ...] = Field(
        (),
        description="What those messages are signed with. A JSON list of `whsec_` and base64, or texts of 16 bytes "
        "and more; two while one is being exchanged for another.",
    )
    callback_private_endpoints: bool | None = Field(
        None,
        description="Whether the callbacks of flows, and the providers that credentials are tried out at, may be at "
        "addresses of the server's own network and machine; strangers could look around in there. Not given: on while "
        "`host` is loopback, off otherwise. Metadata services and link-local addresses are never reached.",
    )
    callback_http: bool | None = Field(
        None,
        description="Whether the callbacks of flows may be sent in plain text, by http. Not given: on while `host` "
        "is loopback, off otherwise.",
    )

    # ── Runs ─────────────────────────────────────────────────────────────────────────────────────────────────────

    upload_seconds: float = Field(86400.0, gt=0, description="How long a run waits for its uploads.")
    max_concurrent_runs: int = Field(
        0,
        ge=0,
        description="How many runs may have something under way at the same time on this server; the others wait for a "
        "slot, by priority and then in the order of their creation. 0: as many as there is room for.",
    )
    queue_seconds: float = Field(
        86400.0, gt=0, description="How long a node waits for room. That its run waits for a slot does not count."
    )
    node_seconds: float = Field(3600.0, gt=0, description="How long an attempt may take whose definition does not say.")
    max_upload_bytes: int = Field(
        50 * GIB, ge=1, description="Bytes of one upload; a larger one is refused when it arrives."
    )
    max_pixels: int = Field(
        1_000_000_000,
        ge=0,
        description="Pixels (width times height) of any picture or video frame, on arrival and after nodes, whatever "
        "its ports say; 0: any number. Ports may take less (`MaxPixels`).",
    )
    max_media_seconds: float = Field(
        7 * 86400.0, ge=0, description="How long any sound or video may play; 0: for ever. Ports: `MaxDuration`."
    )
    max_ratio: float = Field(
        250.0,
        ge=0,
        description="How many times its own size any packed file or archive may become, where that is 1 MiB and more: "
        "beyond it are bombs. 0: any number. Ports: `MaxRatio`.",
    )
    max_pages: int = Field(100_000, ge=0, description="Pages of any PDF or TIFF; 0: any number. Ports: `MaxPages`.")
    inspection_seconds: float = Field(
        5.0,
        gt=0,
        description="How long reading the headers of one file may take, in a process of its own. Of a file that takes "
        "longer nothing can be told: a port with a limit refuses it, others take it.",
    )
    table_bytes: int = Field(
        256 * MIB,
        ge=MIB,
        description="How much of one file is read to tell of its columns (`pup profile`) or to count its rows; of a "
        "larger one the beginning counts. So much of a file that is not in the embedded store takes room in the data "
        "folder meanwhile.",
    )
    table_seconds: float = Field(
        20.0,
        gt=0,
        description="How long that may take, in a process of its own; then what was read so far counts.",
    )
    dry_run_seconds: float = Field(
        300.0, gt=0, description="How long a dry run may take; then it is stopped, and what there is is told."
    )
    max_nodes: int = Field(100_000, ge=1, description="Nodes in one flow.")

    # ── What is deleted, and when ────────────────────────────────────────────────────────────────────────────────

    keep_runs_seconds: float = Field(
        0.0,
        ge=0,
        description="How long a run is kept after its end, with its objects, its journal and its logs, before it is "
        "purged; 0: until somebody purges it. A run whose object has a longer `Lifetime` is kept for that. 2592000 "
        "are 30 days.",
    )
    resumable_seconds: float = Field(
        7 * 86400.0,
        ge=0,
        description="How long an ended run may be resumed: so long are kept the objects that only passed between its "
        "nodes, on edges without a data well.",
    )
    memoize: bool = Field(
        True,
        description="Whether a node's work is used again where the same was done before: on the same bytes, by the "
        "same image, with the same command, flags and definition. A node or a definition says `Memoize: false` where "
        "that must not be. `pup why` tells of each node what was found.",
    )
    memo_seconds: float = Field(
        30 * 86400.0,
        gt=0,
        description="How long work is remembered that nobody used again. It is forgotten sooner when its objects are "
        "deleted: with `resumable_seconds` those that only passed between nodes, with its run all others.",
    )
    multipart_seconds: float = Field(
        7 * 86400.0,
        gt=0,
        description="How old an upload in parts may become for which no run waits any more, in the stores in use; "
        "then it is aborted.",
    )
    disk_reserve_bytes: int | None = Field(
        None,
        ge=0,
        description="Bytes to stay free on the disks of the data folder and of the container engine. With less no "
        "attempt starts and the embedded store takes no upload; what runs goes on. With less than a quarter of it no "
        "run is taken (503). Not given: 2 GiB, or 5 % of the disk where that is less.",
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the names are pydantic's
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments win over the environment, and that over the file."""
        named = os.environ.get("PUPLOAD_ENV_FILE")  # noqa: TID251 - this module is where settings are read
        if not named:
            return init_settings, env_settings
        if not Path(named).is_file():
            raise errors.Misconfigured(reason=f"PUPLOAD_ENV_FILE names {named}, which is no file")
        return init_settings, env_settings, DotEnvSettingsSource(settings_cls, env_file=named)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.embedded_store and not self.store_endpoint and not self.store_access_key:
            raise ValueError("embedded_store is off: name another store with store_endpoint and its keys")
        if reason := self._callback_objection():
            raise ValueError(reason)
        return self

    def _callback_objection(self) -> str:
        """What is wrong with the operator's callback; empty when nothing is. It quotes neither URL nor secret."""
        url = self.callback_url.get_secret_value()
        if url and (reason := callbacks.url_objection(url, http=True, policy=reach.Policy(private=True))):
            return f"callback_url cannot be used: {reason}"
        if len(self.callback_secrets) > callbacks.MOST_SECRETS:
            return f"callback_secrets holds more than {callbacks.MOST_SECRETS}"
        for secret in self.callback_secrets:
            try:
                signing.key_of(secret.get_secret_value())
            except ValueError as error:
                return f"callback_secrets cannot be used: {error}"
        return ""

    @property
    def embedded_port(self) -> int:
        """The port of the embedded store."""
        if self.store_port is not None:
            return self.store_port
        return self.port + 1 if self.port else 0
