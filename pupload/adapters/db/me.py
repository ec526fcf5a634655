"""Which controller this process is, as far as it has said so."""

from dataclasses import dataclass

from pupload import errors, ports


@dataclass(slots=True)
class Me:
    """Shared by the ports of one database; changed by `Ownership.sign_in` alone."""

    controller: ports.Controller | None = None
    """None before it signed in."""
    lease_micros: int = 0
    out: bool = False
    """Whether it signed out."""

    @property
    def id(self) -> str:
        """The owner of what is created now; empty where nobody signed in, as in tools and tests."""
        return self.controller.id if self.controller else ""

    def signed_in(self) -> ports.Controller:
        """Raises `errors.Broken` when it never did."""
        if self.controller is None:
            raise errors.Broken(reason="a controller must sign in before it asks for runs or room")
        return self.controller
