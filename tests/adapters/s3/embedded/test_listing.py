"""
Lists: the order of bytes, common prefixes, pages; against a model that is too simple to be wrong.
"""

import sqlite3
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pupload.adapters.s3.embedded import listing
from pupload.adapters.s3.embedded.refusals import Refusal
from tests.adapters.s3.embedded.process import BUCKET, Server

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

NAMES = st.text(st.sampled_from("ab/é\x00\U0010ffff"), min_size=1, max_size=6)


def model(keys: set[str], prefix: str, delimiter: str) -> list[tuple[bytes, bool]]:
    """All lines of a list: name, and whether it is a common prefix."""
    lines = set()
    for key in keys:
        if key.startswith(prefix):
            head, cut, _ = key[len(prefix) :].partition(delimiter) if delimiter else (key, "", "")
            lines.add(((prefix + head + cut).encode(), True) if cut else (key.encode(), False))
    return sorted(lines)


@given(
    keys=st.sets(NAMES, max_size=25),
    prefix=st.text(st.sampled_from("ab/é"), max_size=2),
    delimiter=st.sampled_from(["", "/", "b", "//"]),
    limit=st.integers(1, 5),
)
def test_pages_together_are_the_whole_list(keys: set[str], prefix: str, delimiter: str, limit: int) -> None:
    db = sqlite3.connect(":memory:")
    try:
        db.execute("CREATE TABLE objects (bucket, key, size, etag, modified_ms, PRIMARY KEY (bucket, key))")
        rows = [("b", key.encode(), 1, "", 0) for key in keys] + [("c", b"other", 1, "", 0)]
        db.executemany("INSERT INTO objects VALUES (?, ?, ?, ?, ?)", rows)
        found = []
        after, jump, more = b"", False, True
        while more:
            page = listing.walk(
                db,
                "b",
                prefix=prefix.encode(),
                delimiter=delimiter.encode(),
                after=after,
                jump=jump,
                limit=limit,
            )
            found += [(line.name, line.is_prefix) for line in page.lines]
            more = page.is_truncated
            if more:
                assert len(page.lines) == limit
                after, jump = listing.read_token(listing.write_token(page.lines[-1]))
        assert found == model(keys, prefix, delimiter)
    finally:
        db.close()


@pytest.mark.parametrize(
    ("prefix", "after"), [(b"a", b"b"), (b"a\xff", b"b"), (b"\xff\xff", None), (b"", None), (b"a\xfe\xff", b"a\xff")]
)
def test_the_successor_is_behind_all_that_begin_so(prefix: bytes, after: bytes | None) -> None:
    assert listing.successor(prefix) == after


def test_a_token_nobody_wrote_is_refused() -> None:
    for token in ("rubbish!", "", "eHg="):
        with pytest.raises(Refusal, match="InvalidArgument"):
            listing.read_token(token)


@pytest.fixture(scope="module")
def filled(s3: "S3Client") -> Iterator[str]:
    """A bucket of its own."""
    s3.create_bucket(Bucket="listing")
    for name in ("a", "b/1", "b/2", "c d/ü", "e&<>\"'", "e\x01", "f+g"):
        s3.put_object(Bucket="listing", Key=name, Body=name.encode())
    yield "listing"
    for line in s3.list_objects_v2(Bucket="listing")["Contents"]:
        s3.delete_object(Bucket="listing", Key=line["Key"])
    s3.delete_bucket(Bucket="listing")


ALL = ["a", "b/1", "b/2", "c d/ü", "e\x01", "e&<>\"'", "f+g"]


def test_boto3_reads_every_key_back(s3: "S3Client", filled: str) -> None:
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=filled, PaginationConfig={"PageSize": 2})
    assert [line["Key"] for page in pages for line in page["Contents"]] == ALL
    pages_v1 = s3.get_paginator("list_objects").paginate(Bucket=filled, PaginationConfig={"PageSize": 3})
    assert [line["Key"] for page in pages_v1 for line in page["Contents"]] == ALL


def test_common_prefixes_are_counted_and_paged(s3: "S3Client", filled: str) -> None:
    first = s3.list_objects_v2(Bucket=filled, Delimiter="/", MaxKeys=2)
    assert [line["Key"] for line in first["Contents"]] == ["a"]
    assert [line["Prefix"] for line in first["CommonPrefixes"]] == ["b/"]
    assert (first["KeyCount"], first["IsTruncated"]) == (2, True)
    second = s3.list_objects_v2(
        Bucket=filled, Delimiter="/", MaxKeys=2, ContinuationToken=first["NextContinuationToken"]
    )
    assert [line["Prefix"] for line in second["CommonPrefixes"]] == ["c d/"]
    marked = s3.list_objects(Bucket=filled, Delimiter="/", MaxKeys=2, Marker="b/")
    assert [line["Prefix"] for line in marked["CommonPrefixes"]] == ["c d/"]
    assert s3.list_objects_v2(Bucket=filled, StartAfter="e&")["Contents"][0]["Key"] == "e&<>\"'"
    assert s3.list_objects_v2(Bucket=filled, MaxKeys=0)["KeyCount"] == 0


def test_what_a_list_says_of_an_object(s3: "S3Client", filled: str) -> None:
    line = s3.list_objects_v2(Bucket=filled, Prefix="a", FetchOwner=True)["Contents"][0]
    head = s3.head_object(Bucket=filled, Key="a")
    assert (line["ETag"], line["Size"]) == (head["ETag"], 1)
    assert line["LastModified"].replace(microsecond=0) == head["LastModified"]
    assert line["Owner"]["ID"]


@pytest.mark.parametrize("query", [("max-keys", "-1"), ("max-keys", "x"), ("encoding-type", "b64")])
def test_a_bad_parameter_is_refused(server: Server, query: tuple[str, str]) -> None:
    assert server.call("GET", f"/{BUCKET}", query=[query]).code == "InvalidArgument"
