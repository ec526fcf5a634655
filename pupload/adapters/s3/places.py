"""Where a bucket is: the names and paths under which its objects are asked for."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from pupload.adapters.s3 import signing

LONGEST_KEY_BYTES = 1024


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A store's address."""

    scheme: str
    host: str
    """With the port, where it is not the scheme's own."""

    def __str__(self) -> str:
        return f"{self.scheme}://{self.host}"


def read_endpoint(text: str, *, secure: bool = True) -> Endpoint:
    """
    The endpoint a person wrote: `https://s3.example`, `s3.example:9000` (then `secure` decides).

    Raises `ValueError` that tells what is wrong with it.
    """
    scheme = "https" if secure else "http"
    parts = urlsplit(text if "://" in text else f"{scheme}://{text}")
    if parts.scheme not in ("http", "https"):
        raise ValueError(f"the endpoint begins with {parts.scheme}://, but only http:// and https:// can be used")
    if not parts.hostname:
        raise ValueError("the endpoint names no host")
    if parts.username is not None or parts.password is not None:
        raise ValueError("the endpoint holds a user name or password; keys have fields of their own")
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError("the endpoint goes on after the host; buckets have a field of their own")
    if any(character.isspace() for character in parts.netloc):
        raise ValueError("the endpoint's host holds blanks")
    _ = parts.port  # raises ValueError where it is no number
    return Endpoint(parts.scheme, signing.wire_host(parts.scheme, parts.netloc))


def check_key(key: str) -> None:
    """Raises `ValueError` that tells why no object can have this key."""
    if not key:
        raise ValueError("a key has at least one character")
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        raise ValueError("a key is text that can be written in UTF-8") from None
    if size > LONGEST_KEY_BYTES:
        raise ValueError(f"a key has at most {LONGEST_KEY_BYTES} bytes, not {size}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """One bucket at one endpoint."""

    endpoint: Endpoint
    name: str
    path_style: bool = True
    """`host/bucket/key`; else `bucket.host/key`."""

    @property
    def host(self) -> str:
        """What the `Host` header says."""
        return self.endpoint.host if self.path_style else f"{self.name}.{self.endpoint.host}"

    def path(self, key: str | None = None) -> str:
        """
        The decoded path of an object, or of the bucket itself.

        Raises `ValueError` for a key that no object can have: what was meant for it must not befall the bucket.
        """
        if key is None:
            return f"/{self.name}" if self.path_style else "/"
        check_key(key)
        return f"/{self.name}/{key}" if self.path_style else f"/{key}"
