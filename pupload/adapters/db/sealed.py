"""
Blobs that are sealed before they are written.

A sealed blob begins with a byte of its own; others are as `pupload.adapters.db.codec` writes them, from before there
was a key. What a blob is for is sealed in, by table and key, so that a row cannot be put in the place of another.
"""

from pupload import errors, ports
from pupload.adapters.db import statements
from pupload.adapters.db.session import Session

_SEALED = b"\xff"
"""No shape of the codec."""

CHECK = "sealing"
"""The row of `meta` by which a wrong key is noticed at the start."""


class Seal:
    """Seals and opens the blobs of one database; without a sealer they stay as they are."""

    def __init__(self, sealer: ports.Sealer | None) -> None:
        self.sealer = sealer

    def close(self, blob: bytes, about: str) -> bytes:
        """The blob to write."""
        return blob if self.sealer is None else _SEALED + self.sealer.seal(blob, about=about)

    def open(self, blob: object, about: str) -> object:
        """The blob as it was before. Raises `errors.Misconfigured` without the key, `errors.Damaged`."""
        if not isinstance(blob, bytes) or not blob.startswith(_SEALED):
            return blob
        if self.sealer is None:
            raise errors.Misconfigured(reason=f"{about} is encrypted, and no key was given")
        return self.sealer.open(blob[1:], about=about)

    def check(self, session: Session) -> None:
        """Raises `errors.Misconfigured` when the database was sealed with a key that is not there."""
        found = session.run(statements.META, {"name": CHECK}).fetchone()
        if found is not None:
            self.open(bytes.fromhex(found[0]), "the database")
        elif self.sealer is not None:
            session.run(statements.INSERT_META, {"key": CHECK, "value": self.close(b"", "the database").hex()})
            # Another server may have been quicker, with a key of its own.
            self.open(bytes.fromhex(session.run(statements.META, {"name": CHECK}).fetchone()[0]), "the database")

    def check_anew(self, session: Session) -> None:
        """The check is sealed with the newest key afterwards."""
        session.run(statements.DELETE_META, {"beginning": CHECK})
        self.check(session)


OPEN = Seal(None)
"""Seals nothing."""


def plan(run_id: str) -> str:
    """What a plan's blob is for."""
    return f"the plan of run {run_id}"


def project(project_id: str) -> str:
    """What a project's blob is for."""
    return f"project {project_id}"


def delivery(delivery_id: str) -> str:
    """What a callback's blob is for."""
    return f"callback {delivery_id}"


def schedule(schedule_id: str) -> str:
    """What a schedule's blob is for."""
    return f"schedule {schedule_id}"


def flow_version(version_id: str) -> str:
    """What the blob of a saved flow's version is for."""
    return f"version {version_id}"


def drawing(drawing_id: object) -> str:
    """What a drawing's blob is for."""
    return f"drawing {drawing_id}"


def credential(key: str) -> str:
    """What a credential's blob is for."""
    return f"credential {key}"


def batch(batch_id: str) -> str:
    """What a batch's blob is for."""
    return f"batch {batch_id}"


def task(task_id: str) -> str:
    """What a task's blob is for."""
    return f"task {task_id}"


def namespace(key: str) -> str:
    """What a namespace's blob is for."""
    return f"namespace {key}"


def fact(fact_id: str) -> str:
    """What a known fact's blob is for."""
    return f"fact {fact_id}"


def message(key: str) -> str:
    """What the blob of something said is for."""
    return f"message {key}"


def account(name: str) -> str:
    """What an account's blob is for."""
    return f"account {name}"


def secret(name: str) -> str:
    """What a secret's blob is for."""
    return f"secret {name}"


# ── Whose it is ──────────────────────────────────────────────────────────────────────────────────────────────────

_OF = "/"
"""Between what a thing is called and the number of its account; in no name."""


def owned(name: str, account: int | None) -> str:
    """The key of the row of what is called so, and is this account's, or nobody's."""
    return name if account is None else f"{name}{_OF}{account}"


def behind_owned(name: str) -> str:
    """Greater than the keys of all that is called so, whoever's it is."""
    return f"{name}{chr(ord(_OF) + 1)}"


def name(key: str) -> str:
    """What that is called whose row has this key."""
    return key.partition(_OF)[0]


def account_of(key: str) -> int | None:
    """Whose it is; None: nobody's."""
    account = key.partition(_OF)[2]
    return int(account) if account else None
