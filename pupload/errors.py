"""
Every error pupload raises on purpose.

The docstring of a class is its message, the facts in braces are attributes. Who may do something about it is
told by the branch it stands on:

    PuploadError
    ├── Refused                 the caller asked for something that cannot be; asking again will not help
    │   ├── Invalid             a flow or request broke rules; carries every finding
    │   ├── Unknown             no such run, edge, project, ...
    │   ├── Conflict            right words, wrong moment (a terminal run cannot be cancelled)
    │   └── Forbidden           the caller, or the operator's policy, does not allow it
    ├── TryLater                something pupload needs does not answer now; the same call may succeed later
    │   ├── StoreUnavailable
    │   ├── ExecutorUnavailable
    │   ├── SourceUnavailable
    │   ├── DatabaseUnavailable
    │   ├── ServerUnreachable   said by our own client
    │   └── DiskFull
    │       └── DatabaseFull    a DatabaseUnavailable, too
    ├── AttemptFailed           a node's attempt ended badly; carries its failure class
    └── Broken                  a bug or damaged data: state that does not read back, a broken promise of a port
        ├── Stale               somebody else saved the run first: load and decide again
        ├── Fenced              another controller owns the run: let go of it
        └── Damaged

Libraries' own errors are turned into one of these once, in the adapter that names the library.
"""

from collections.abc import Mapping, Sequence
from inspect import cleandoc
from typing import Any


class PuploadError(Exception):
    """Something went wrong."""

    def __init__(self, **facts: Any) -> None:
        self.facts: Mapping[str, Any] = facts
        super().__init__(cleandoc(type(self).__doc__ or "").replace("\n", " ").format_map(_Facts(facts)))

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["facts"][name]
        except KeyError:
            raise AttributeError(name) from None

    @property
    def message(self) -> str:
        """The sentence for a person."""
        return str(self)


class _Facts(dict[str, Any]):
    """A fact nobody gave reads as its name: a message must never fail."""

    def __missing__(self, key: str) -> str:
        return f"({key} unknown)"


# ── Refused ──────────────────────────────────────────────────────────────────────────────────────────────────────


class Refused(PuploadError):
    """Refused: {reason}"""


class Invalid(Refused):
    """invalid {what}"""

    @property
    def findings(self) -> Sequence[Any]:
        """`domain.validation.findings.Finding`s, all of them; empty where the request could not even be read."""
        found: Sequence[Any] = self.facts.get("findings", ())
        return found


class Malformed(Refused):
    """{reason}"""


class UnfitEdge(Malformed):
    """{reason}"""


class UnfitInput(Malformed):
    """what {slug} is given does not fit: {reason}"""


class UnfitDrawing(Malformed):
    """the drawing {slug} cannot run: {reason}"""


class Unknown(Refused):
    """{what} {name} does not exist."""


class UnknownRun(Unknown):
    """Flow run does not exist."""


class UnknownProject(Unknown):
    """project does not exist"""


class UnknownSecret(Unknown):
    """secret {name} does not exist"""


class UnknownCredential(Unknown):
    """credential {name} does not exist"""


class UnknownLLM(UnknownCredential):
    """LLM credential {name} does not exist"""


class UnknownSchedule(Unknown):
    """schedule {name} does not exist"""


class NoSchedule(Unknown):
    """node {node} has no schedule"""


class UnknownAccount(Unknown):
    """account {name} does not exist"""


class UnknownAgent(UnknownAccount):
    """Agent user not found"""


class UnknownKey(Unknown):
    """key {key} does not exist"""


class UnknownFlow(Unknown):
    """Flow {flow} does not exist in project {project}"""


class UnknownSavedFlow(Unknown):
    """Flow {flow} is not saved here"""


class UnknownFact(Unknown):
    """fact {name} does not exist"""


class UnknownBatch(Unknown):
    """batch {name} does not exist"""


class UnknownTask(Unknown):
    """task {name} does not exist"""


class UnknownDrawing(Unknown):
    """drawing {name} does not exist"""


class UnknownDrawnNode(Unknown):
    """drawing {drawing} has no node {node}"""


class NoChatTrigger(Unknown):
    """drawing {drawing} has no node that takes what is said"""


class UnknownDrawnEdge(Unknown):
    """drawing {drawing} has no edge {edge}"""


class UnknownNamespace(Unknown):
    """namespace {name} does not exist"""


class UnknownSource(Unknown):
    """source {name} does not exist"""


class UnknownVersion(Unknown):
    """Flow {flow} has no version {number}"""


class UnknownDelivery(Unknown):
    """Callback {delivery} of run {run} does not exist."""


class NoPreview(Unknown):
    """no preview available: {reason}"""


class UnknownArtifact(Unknown):
    """artifact {name} does not exist"""


class ArtifactGone(UnknownArtifact):
    """artifact {name} cannot be had any more: {reason}"""


class NotAwaited(Refused):
    """Edge {edge} of run {run} does not wait for an upload{hint}."""


class Conflict(Refused):
    """{reason}"""


class NotOver(Conflict):
    """run {run} is {status}: only a run that has ended can be purged; cancel it first"""


class NameTaken(Conflict):
    """there is a flow {flow} already"""


class NamespaceTaken(Conflict):
    """there is a namespace {name} already"""


class AccountTaken(Conflict):
    """there is an account named {name} already"""


class AccountChanged(Conflict):
    """somebody else changed the account {name}; read it anew"""


class CredentialChanged(Conflict):
    """somebody else changed the credential {name}; read it anew"""


class AlreadySetUp(Conflict):
    """Setup already completed."""


class DrawingTaken(Conflict):
    """there is a drawing {slug} already"""


class DrawnNodeTaken(Conflict):
    """Node with id '{node}' already exists."""


class BatchChanged(Conflict):
    """batch {batch} was changed by somebody else since: look at it, and change it again"""


class DrawnEdgeTaken(Conflict):
    """{reason}"""


class DrawingChanged(Conflict):
    """the drawing {slug} was changed by somebody else since: look at it, and change it again"""


class FlowChanged(Conflict):
    """flow {flow} was changed by somebody else since: look at it, and save it again"""


class NotResumable(Conflict):
    """run {run} cannot be resumed any more: {reason}"""


class TooManyRequests(Refused):
    """too many requests: {rate} a second are allowed; come back in {seconds} s"""


class CursorExpired(Refused):
    """What came after {place} is not known any more: look at the runs as they stand, and begin anew."""


class Forbidden(Refused):
    """{reason}"""


class NotAllowed(Forbidden):
    """this needs the permission {permission}, which the key that was shown does not have"""


class Unauthenticated(Refused):
    """Invalid or missing API key."""


class TokenMissing(Unauthenticated):
    """Not authenticated"""


class WrongCredentials(Unauthenticated):
    """Invalid credentials."""


class WrongCode(Unauthenticated):
    """Invalid TOTP code."""


class TooLarge(Refused):
    """{what} is larger than the limit of {limit} bytes."""


# ── TryLater ─────────────────────────────────────────────────────────────────────────────────────────────────────


class TryLater(PuploadError):
    """Not now: {reason}"""


class FellBehind(TryLater):
    """what happens is told faster than it is taken: go on after {place}"""


class StoreUnavailable(TryLater):
    """The store {store} at {endpoint} cannot be reached: {reason}"""


class ExecutorUnavailable(TryLater):
    """The container engine at {host} cannot be reached: {reason}"""


class InspectorUnavailable(TryLater):
    """Files cannot be looked into for now: {reason}"""


class SourceUnavailable(TryLater):
    """Source {source} cannot be read: {reason}"""


class DatabaseUnavailable(TryLater):
    """The database cannot be used: {reason}"""


class ServerUnreachable(TryLater):
    """The server at {url} cannot be reached: {reason}"""


class DiskFull(TryLater):
    """The disk holding {path} is full."""


class DatabaseFull(DatabaseUnavailable, DiskFull):
    """The disk holding {path} is full: nothing can be written to the database until there is room."""


# ── the world says no: object stores ─────────────────────────────────────────────────────────────────────────────


class ObjectAbsent(PuploadError):
    """Object {key} is not in store {store}."""


class ObjectForbidden(PuploadError):
    """Store {store} refuses access to {key}: {reason}"""


class PreconditionFailed(PuploadError):
    """Object {key} in store {store} is not the one that was expected."""


class StoreRefused(PuploadError):
    """Store {store} refused the request: {code}: {reason}"""


# ── AttemptFailed ────────────────────────────────────────────────────────────────────────────────────────────────


class AttemptFailed(PuploadError):
    """{reason}"""

    failure = "runtime"
    """A name of `domain.run.Failure`; the classes are in docs/reference/errors.md."""


class ImageMissing(AttemptFailed):
    """image {image} is not on this machine and cannot be pulled: {reason}"""

    failure = "image_missing"


class ImageRateLimited(AttemptFailed):
    """the registry of image {image} does not give it for now: {reason}"""

    failure = "image_rate_limited"


class WrongType(AttemptFailed):
    """{subject} is {found}, but {expected} is expected"""

    failure = "wrong_type"


class TwoTypes(AttemptFailed):
    """{subject} is {found} and, read another way, {other}: a file may be one thing only"""

    failure = "wrong_type"


class OverLimit(AttemptFailed):
    """{subject} ({found}) is refused: {reason}"""

    failure = "wrong_type"


class OutputMissing(AttemptFailed):
    """the node ended well but did not write its output {port} to {path}"""

    failure = "output_missing"


class OutputUnusable(AttemptFailed):
    """output {port} cannot be used: {reason}"""

    failure = "output_missing"


class StoreIntegrity(AttemptFailed):
    """artifact {edge} in store {store} is not what was recorded: {reason}"""

    failure = "store"


class ContainerLost(AttemptFailed):
    """the container of attempt {attempt} is gone without a result"""

    failure = "runtime"


class ContainerRefused(AttemptFailed):
    """the container could not be started: {reason}"""

    failure = "not_startable"


class SecretMissing(AttemptFailed):
    """secret {name} is not set: set it with `pup secret set {name}` and resume the run"""

    failure = "not_startable"


class CredentialMissing(AttemptFailed):
    """credential {name} is not there, or has no {key} to give: see `pup credential list`, and resume the run"""

    failure = "not_startable"


class SecretsUnusable(AttemptFailed):
    """secrets cannot be given to the node: {reason}"""

    failure = "not_startable"


# ── Broken ───────────────────────────────────────────────────────────────────────────────────────────────────────


class Broken(PuploadError):
    """This should not happen: {reason}"""


class Stale(Broken):
    """Run {run} was saved by somebody else since version {version}."""


class Fenced(Broken):
    """Run {run} belongs to another controller by now."""


class Damaged(Broken):
    """{what} cannot be read back: {reason}"""


class Misconfigured(PuploadError):
    """{reason}"""


class AnotherStore(Misconfigured):
    """
    The server {other} on this database keeps its objects in {theirs}, this one in {ours}: give all servers on one
    database the same default store, or this one a database of its own.
    """
