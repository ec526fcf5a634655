"""What the engine's refusals mean: the order's own fault, a full disk, or trouble that may pass. Pure."""

from pathlib import Path

from pupload import errors
from pupload.adapters.docker import calls

_SERVER_ERROR = 500
_HOST_IS_SHORT_OF = (
    "resource temporarily unavailable",
    "cannot allocate memory",
    "too many open files",
    "deadline exceeded",
    "device or resource busy",
    "transport is closing",
    "connection refused",
)
_NODE_ASKED_FOR = ("oci runtime", "runtime create failed", "unable to find user", "device driver", "exec format error")


def meaning(refusal: calls.Refusal) -> errors.PuploadError:
    """Why a container could not be made or started: the order's fault, the disk's, or for now."""
    said = " ".join(refusal.reason.split())
    lower = said.lower()
    if "no space left" in lower:
        return errors.DiskFull(path="the engine's data")
    if any(phrase in lower for phrase in _HOST_IS_SHORT_OF):
        return refusal
    if refusal.status < _SERVER_ERROR or any(phrase in lower for phrase in _NODE_ASKED_FOR):
        return errors.ContainerRefused(reason=_sentence(said))
    return refusal


def cannot_see(folder: Path) -> errors.PuploadError:
    """A folder of secrets that the engine's machine does not have."""
    reason = (
        f"the container engine does not see {folder}, where this server keeps them: let both run on one machine, or "
        "name a folder that both see with secrets_folder"
    )
    return errors.SecretsUnusable(reason=reason)


def _sentence(said: str) -> str:
    """The engine's chain of causes without the links that tell a user nothing."""
    for mark in ("unable to start container process: ", "starting container process caused: "):
        said = said.rpartition(mark)[2] or said
    return said.removesuffix(": unknown")
