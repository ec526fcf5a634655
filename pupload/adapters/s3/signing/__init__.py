"""
Signature Version 4 for S3, both sides of it: signing requests and URLs, and checking the signatures of others.

Everything here is arithmetic on its arguments; the time comes in. `canonical` is the form that is signed, `hmacs`
the keys and HMACs; `signer` signs, `claims` reads what a stranger says, `verifier` checks it, `chunks` goes on inside
the body. The names that others use are gathered here: `signing.presign`.

The wire's own words are in "Authenticating Requests (AWS Signature Version 4)" of the S3 API reference.
"""

from pupload.adapters.s3.signing.canonical import Pairs, encode_path, encode_query, wire_host
from pupload.adapters.s3.signing.chunks import chunk_signature, trailer_signature
from pupload.adapters.s3.signing.claims import ALLOWED_SKEW, SignatureRefused
from pupload.adapters.s3.signing.hmacs import ALGORITHM, Credentials
from pupload.adapters.s3.signing.payloads import EMPTY_SHA256, STREAMING_PAYLOADS, UNSIGNED_PAYLOAD
from pupload.adapters.s3.signing.signer import LONGEST_EXPIRY_SECONDS, presign, sign
from pupload.adapters.s3.signing.verifier import Verified, WireRequest, verify

__all__ = [
    "ALGORITHM",
    "ALLOWED_SKEW",
    "EMPTY_SHA256",
    "LONGEST_EXPIRY_SECONDS",
    "STREAMING_PAYLOADS",
    "UNSIGNED_PAYLOAD",
    "Credentials",
    "Pairs",
    "SignatureRefused",
    "Verified",
    "WireRequest",
    "chunk_signature",
    "encode_path",
    "encode_query",
    "presign",
    "sign",
    "trailer_signature",
    "verify",
    "wire_host",
]
