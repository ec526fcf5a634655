"""The real server, for which five megabytes are large already: `in_parts.py dev --data ...`, run by its path."""

from typing import Any

from pupload.adapters.s3.client import S3Store
from pupload.adapters.s3.local import EmbeddedStore
from pupload.cli.main import main
from pupload.service import uploads

PART_BYTES = 5 << 20
"""Stores take no smaller ones, but for the last."""


def _make_small() -> None:
    for store in (S3Store, EmbeddedStore):
        make: Any = store.__init__
        make.__kwdefaults__ |= {"single_put_limit": PART_BYTES, "part_bytes": PART_BYTES}
    S3Store.__init__.__kwdefaults__["copy_part_bytes"] = PART_BYTES  # type: ignore[index]
    uploads.PART_BYTES = PART_BYTES


if __name__ == "__main__":
    _make_small()
    main()
