"""
The pair of keys of this installation: made by chance at the first start, kept in a file only its owner can read.
"""

import json
import os
import secrets
from pathlib import Path

from pupload.adapters.s3.signing import Credentials

FILE_NAME = "credentials.json"

_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


def load_or_make(data: Path) -> Credentials:
    """The installation's keys. The file appears whole or not at all."""
    path = data / FILE_NAME
    if not path.exists():
        _make(path)
    path.chmod(0o600)
    found = json.loads(path.read_text())
    return Credentials(found["access_key"], found["secret_key"])


def _make(path: Path) -> None:
    text = json.dumps(
        {
            "access_key": "PUP" + "".join(secrets.choice(_ALPHABET) for _ in range(17)),
            "secret_key": secrets.token_urlsafe(30),
        }
    )
    draft = path.with_suffix(f".{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
