"""The signatures inside an `aws-chunked` body: each goes on from the one before, the first from the request's own."""

from pupload.adapters.s3.signing import hmacs, payloads, verifier


def chunk_signature(verified: verifier.Verified, previous: str, chunk_sha256: str) -> str:
    """The signature of a chunk of an `aws-chunked` body; `previous` is that of the chunk before, or the request's."""
    return _chain(verified, "AWS4-HMAC-SHA256-PAYLOAD", previous, f"{payloads.EMPTY_SHA256}\n{chunk_sha256}")


def trailer_signature(verified: verifier.Verified, previous: str, trailer_sha256: str) -> str:
    """The signature of the trailing headers, after the last (empty) chunk's."""
    return _chain(verified, "AWS4-HMAC-SHA256-TRAILER", previous, trailer_sha256)


def _chain(verified: verifier.Verified, algorithm: str, previous: str, rest: str) -> str:
    text = f"{algorithm}\n{verified.timestamp}\n{verified.scope}\n{previous}\n{rest}"
    return hmacs.sign_text(verified.signing_key, text)
