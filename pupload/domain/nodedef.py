"""
What a node type takes, gives and runs: the node definition, as its author wrote it.
"""

from dataclasses import dataclass, replace
from functools import lru_cache

DEFAULT_TIER = "c-small"
DEFAULT_MAX_ATTEMPTS = 3
DEFAULT_TIMEOUT_SECONDS = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """An input or output of a node type."""

    name: str
    description: str = ""
    types: tuple[str, ...] = ()
    """Media types, wildcards allowed; none means any."""
    required: bool | None = None
    """None: an input may stay unbound, an output that is bound must be written."""
    many: bool = False
    """An output that is a directory of files, an ordered collection."""
    max_bytes: int | None = None
    """What the port takes or gives at most, here and below; None: anything."""
    max_pixels: int | None = None
    """Width times height of a picture, or of a video's frames."""
    max_duration: str | None = None
    """How long sound or video plays, a duration."""
    max_ratio: float | None = None
    """How many times its size a packed file or an archive becomes."""
    max_pages: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FlagDef:
    """A setting of a node type."""

    name: str
    description: str = ""
    required: bool = False
    type: str = ""
    """`string`, `integer`, `number`, `boolean`, `secret`; empty means string."""
    default: str | None = None
    choices: tuple[str, ...] = ()
    """The only values allowed, where there are any."""
    minimum: float | None = None
    maximum: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What runs in the container."""

    exec: str | tuple[str, ...] = ""
    """A line, split as a shell would without being one, or its arguments. Empty: the image's own command."""
    entrypoint: bool = True
    """Whether the image's entry point runs them; if not, the first of them is the program."""
    name: str = ""
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """How a failed attempt is tried again."""

    delay: str | None = None
    """The first pause, a duration; it doubles each time. 1 s when not given."""
    max: str | None = None
    """The longest pause, a duration. 60 s when not given."""
    on_exit_codes: tuple[int, ...] = ()
    """When given, only these exit codes are tried again."""
    never_on_exit_codes: tuple[int, ...] = ()
    more_memory: bool = False
    """After running out of memory the next attempt gets the next larger tier of the same family."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeDef:
    """A node type, known as `Publisher/Name`."""

    publisher: str
    name: str
    image: str = ""
    """A reference, or `${flag.NAME}`: see `pupload.domain.references`."""
    description: str = ""
    inputs: tuple[Port, ...] = ()
    """When empty, nodes may bind any input; when not, only these."""
    outputs: tuple[Port, ...] = ()
    flags: tuple[FlagDef, ...] = ()
    command: Command = Command()
    tier: str = ""
    """Empty: `DEFAULT_TIER`."""
    max_attempts: int = 0
    """Starts in all, for failures of the node; zero or less: `DEFAULT_MAX_ATTEMPTS`."""
    retry: Retry = Retry()
    timeout: str | None = None
    """How long an attempt may take, a duration."""
    user: str = ""
    """`uid` or `uid:gid`; empty: the server's `node_user`."""
    network: str = ""
    """Empty or `none`; `bridge`, or a network that the operator made, where the policy allows it."""
    capabilities: tuple[str, ...] = ()
    """To be added back, where the operator's policy allows it; all are dropped otherwise."""
    devices: tuple[str, ...] = ()
    """Paths of device files, where the operator's policy allows them."""
    transfer: str = ""
    """Empty or `files`; `urls`: the container gets presigned URLs as well."""
    secrets: tuple[str, ...] = ()
    """Names of secrets that every node of this type gets, each in a file."""
    progress: str = ""
    """The name of a built-in parser of progress lines, such as `ffmpeg`."""
    memoize: bool = True
    """Whether work that was done before, on the same inputs, may be used again."""

    @property
    def uses(self) -> str:
        """What a node's `Uses` says to mean this definition."""
        return f"{self.publisher}/{self.name}"


@lru_cache(maxsize=256)
def bare(definition: NodeDef) -> NodeDef:
    """The definition without its descriptions: all of it that means anything to a run."""
    return replace(
        definition,
        description="",
        inputs=tuple(replace(port, description="") for port in definition.inputs),
        outputs=tuple(replace(port, description="") for port in definition.outputs),
        flags=tuple(replace(flag, description="") for flag in definition.flags),
        command=replace(definition.command, description=""),
    )
