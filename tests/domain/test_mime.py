"""Media types: what is one, what fits what, what a file may be taken for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pupload.domain import mime

TYPES = st.sampled_from(
    [
        *("image/png", "image/jpg", "image/jpeg", "image/*", "image/svg+xml", "*/*", "*", "text/plain", "text/*"),
        *("text/xml", "application/xml", "application/json", "application/geo+json", "application/octet-stream"),
        *("video/*", "video/mp4", "application/x-gzip", "text/csv", "not a type"),
    ]
)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("image/png", "image/png"),
        (" Image/PNG ; charset=utf-8 ", "image/png"),
        ("image/jpg", "image/jpeg"),
        ("application/x-gzip", "application/gzip"),
        ("text/xml", "application/xml"),
        ("audio/mp3", "audio/mpeg"),
        ("video/x-m4v", "video/mp4"),
        ("application/x-zip-compressed", "application/zip"),
        ("application/vnd.api+json", "application/vnd.api+json"),
        ("image/*", "image/*"),
        ("*", "*/*"),
        ("*/*", "*/*"),
    ],
)
def test_types_have_one_name(text: str, name: str) -> None:
    assert mime.normalised(text) == name


@pytest.mark.parametrize(
    "text", ["", "image", "image/", "/png", "ima*", "image*", "*/png", "image/p*", "a/b/c", "a b/c", "video\n/mp4"]
)
def test_what_is_no_type(text: str) -> None:
    assert mime.normalised(text) is None
    assert not mime.valid(text)
    assert not mime.concrete(text)


@pytest.mark.parametrize(
    ("found", "accepted"),
    [
        ("image/png", "image/png"),
        ("image/png", "image/*"),
        ("image/png", "*"),
        ("IMAGE/PNG; q=1", "image/png"),
        ("image/jpg", "image/jpeg"),
        ("application/geo+json", "application/json"),
        ("image/svg+xml", "application/xml"),
        ("image/svg+xml", "text/xml"),
        ("application/xml", "text/*"),
        ("image/*", "*/*"),
    ],
)
def test_matches(found: str, accepted: str) -> None:
    assert mime.matches(found, accepted)


@pytest.mark.parametrize(
    ("found", "accepted"),
    [
        ("image/png", "image/jpeg"),
        ("image/png", "video/*"),
        ("image/*", "image/png"),
        ("*/*", "image/*"),
        ("application/json", "application/geo+json"),
        ("text/plain", "application/json"),
        ("nonsense", "*/*"),
    ],
)
def test_does_not_match(found: str, accepted: str) -> None:
    assert not mime.matches(found, accepted)


@pytest.mark.parametrize(
    ("produced", "accepted", "fits"),
    [
        (["image/png"], ["image/*"], True),
        (["image/*"], ["image/png"], True),
        (["*/*"], ["video/mp4"], True),
        (["text/plain"], ["text/*"], True),
        (["text/plain"], ["text/csv"], True),
        (["text/plain"], ["application/json"], False),
        (["image/png", "video/mp4"], ["video/*", "audio/*"], True),
        (["image/png"], ["image/jpeg"], False),
        (["image/*"], ["video/*"], False),
        ([], ["video/*"], True),
        (["video/*"], [], True),
        (["application/octet-stream"], ["image/png"], True),
    ],
)
def test_compatible(produced: list[str], accepted: list[str], fits: bool) -> None:
    assert mime.compatible(produced, accepted) is fits


@given(st.lists(TYPES, max_size=3), st.lists(TYPES, max_size=3))
def test_compatible_is_symmetric(left: list[str], right: list[str]) -> None:
    assert mime.compatible(left, right) == mime.compatible(right, left)


@given(TYPES, TYPES)
def test_what_matches_is_compatible_and_accepted(found: str, accepted: str) -> None:
    if mime.matches(found, accepted):
        assert mime.compatible([found], [accepted])
        assert mime.accepts([accepted], found)


@given(st.text(max_size=30))
def test_names_are_settled(text: str) -> None:
    name = mime.normalised(text)
    assert name is None or mime.normalised(name) == name


@pytest.mark.parametrize(
    ("accepted", "found"),
    [
        ([], "application/x-anything"),
        (["text/csv"], "text/plain"),
        (["text/markdown"], "text/plain"),
        (["application/json"], "text/plain"),
        (["application/geo+json"], "application/json"),
        (["application/geo+json"], "text/plain"),
        (["text/plain"], "text/csv"),
        (["text/plain"], "application/json"),
        (["text/plain"], "text/x-c"),
        (["text/plain"], "application/x-empty"),
        (["application/x-ndjson"], "application/x-empty"),
        (["application/x-ndjson"], "application/json"),
        (["application/vnd.pupload.facts+jsonl"], "application/json"),
        (["application/vnd.pupload.facts+jsonl"], "text/plain"),
        (["application/epub+zip"], "application/zip"),
        (
            ["application/vnd.openxmlformats-officedocument.wordprocessingml.document"],
            "application/zip",
        ),
        (["audio/mp4"], "video/mp4"),
        (["audio/ogg"], "application/ogg"),
        (["application/x-npy"], "application/octet-stream"),
        (["application/octet-stream"], "image/png"),
        (["image/svg+xml"], "text/xml"),
        (["image/*", "video/*"], "video/mp4"),
        (["text/markdown"], "text/x-tex"),
        (["application/json"], "text/x-c"),
    ],
)
def test_files_that_are_taken(accepted: list[str], found: str) -> None:
    assert mime.accepts(accepted, found)


@pytest.mark.parametrize(
    ("accepted", "found"),
    [
        (["image/*"], "text/html"),
        (["image/jpeg"], "text/plain"),
        (["image/png"], "application/octet-stream"),
        (["image/*"], "application/octet-stream"),
        (["application/pdf"], "application/octet-stream"),
        (["application/pdf"], "application/x-empty"),
        (["application/pdf"], "text/plain"),
        (["image/jpeg"], "image/png"),
        (["text/plain"], "image/png"),
        (["text/*"], "application/zip"),
        (["video/mp4"], "audio/mpeg"),
        (["nonsense"], "image/png"),
        (["video/*"], mime.PLAYLIST),
        (["audio/*"], mime.PLAYLIST),
        (["audio/*", "video/mp4"], "audio/x-mpegurl"),
        (["video/*"], "text/plain"),
        (["video/*"], "text/x-tex"),
        (["text/markdown"], "text/html"),
        (["video/*"], "application/xml"),
    ],
)
def test_files_that_are_refused(accepted: list[str], found: str) -> None:
    assert not mime.accepts(accepted, found)


@pytest.mark.parametrize(
    ("text", "extension"),
    [
        ("image/jpeg", ".jpg"),
        ("image/JPG; q=1", ".jpg"),
        ("video/mp4", ".mp4"),
        ("video/quicktime", ".mov"),
        ("text/plain", ".txt"),
        ("application/x-gzip", ".gz"),
        ("audio/flac", ".flac"),
        ("image/*", ""),
        ("application/x-nobody-knows", ""),
        ("nonsense", ""),
    ],
)
def test_extensions(text: str, extension: str) -> None:
    assert mime.extension(text) == extension
