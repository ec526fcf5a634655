"""`ports.Sealer` that hides nothing, and tells all the same what was sealed for something else."""

from pupload import errors


class PlainSealer:
    """Writes before the data what it is for."""

    def __init__(self) -> None:
        self.keys = 1

    def seal(self, data: bytes, *, about: str) -> bytes:
        """See `ports.Sealer`."""
        return b"%d %s\0%s" % (self.keys, about.encode(), data)

    def open(self, sealed: bytes, *, about: str) -> bytes:
        """See `ports.Sealer`."""
        head, _, data = sealed.partition(b"\0")
        _, _, said = head.partition(b" ")
        if said != about.encode():
            raise errors.Damaged(what=about, reason="it was sealed for something else")
        return data

    def renew(self, *, new_key: bool) -> str:
        """See `ports.Sealer`."""
        self.keys += new_key
        return str(self.keys)
