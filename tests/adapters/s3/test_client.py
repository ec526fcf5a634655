"""The S3 client against a server that does things wrong: what it makes of each, and what it leaves behind."""

import asyncio
import os
import socket
from datetime import timedelta
from hashlib import md5, sha256
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest
from aiohttp import web

from pupload import errors, ports
from pupload.adapters.s3 import checksums, client, errors_table, places, signing, transfer, xml
from tests.adapters.s3 import faulty
from tests.adapters.s3.faulty import breaks_off, error, hangs_up, head, in_turn, is_silent, says, scene

BODY = os.urandom(300_000)
DIGEST = sha256(BODY).hexdigest()

# ── What each answer means ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("answer", "meaning"),
    [
        (error(404, "NoSuchKey"), errors.ObjectAbsent),
        (error(404, "NoSuchUpload"), errors.ObjectAbsent),
        (error(404, "NoSuchBucket"), errors.StoreRefused),
        (says(404, "<html>not found</html>"), errors.StoreRefused),
        (error(403, "AccessDenied"), errors.ObjectForbidden),
        (error(403, "SignatureDoesNotMatch"), errors.ObjectForbidden),
        (error(403, "RequestTimeTooSkewed"), errors.ObjectForbidden),
        (error(403, "InvalidAccessKeyId"), errors.ObjectForbidden),
        (error(400, "ExpiredToken"), errors.ObjectForbidden),
        (says(401), errors.ObjectForbidden),
        (says(403), errors.ObjectForbidden),
        (error(412, "PreconditionFailed"), errors.PreconditionFailed),
        (says(412), errors.PreconditionFailed),
        (error(409, "ConditionalRequestConflict"), errors.PreconditionFailed),
        (error(400, "InvalidArgument"), errors.StoreRefused),
        (error(501, "NotImplemented"), errors.StoreRefused),
        (error(301, "PermanentRedirect"), errors.StoreRefused),
        (says(302, Location="http://127.0.0.1:1/elsewhere"), errors.StoreRefused),
        (error(507, "InsufficientStorage"), errors.DiskFull),
        (error(503, "SlowDown"), errors.StoreUnavailable),
        (error(500, "InternalError"), errors.StoreUnavailable),
        (says(502), errors.StoreUnavailable),
        (says(504, "<html>"), errors.StoreUnavailable),
        (hangs_up, errors.StoreUnavailable),
        (breaks_off(BODY, 10), errors.StoreUnavailable),
        (says(403, "<Error><!DOCTYPE x [<!ENTITY a 'b'>]><Code>NoSuchKey</Code></Error>"), errors.ObjectForbidden),
    ],
)
async def test_every_answer_has_its_meaning(answer: faulty.Answer, meaning: type[errors.PuploadError]) -> None:
    async with scene(answer) as at:
        with pytest.raises(errors.PuploadError) as raised:
            await at.store.read("some/key")
        assert type(raised.value) is meaning


async def test_errors_name_the_store_and_hide_the_keys() -> None:
    for answer in (error(403, "SignatureDoesNotMatch"), error(503, "SlowDown"), error(400, "Odd"), hangs_up):
        async with scene(answer) as at:
            with pytest.raises(errors.PuploadError) as raised:
                await at.store.stat("some/key")
            assert "faulty" in str(raised.value)
            assert faulty.KEYS.secret_key not in str(raised.value)
            assert faulty.KEYS.access_key not in str(raised.value)


async def test_a_head_that_finds_nothing_asks_for_the_bucket_once_a_minute() -> None:
    async with scene(in_turn(lambda request: says(200) if request.path == "/bucket" else says(404))) as at:
        for _ in range(3):
            with pytest.raises(errors.ObjectAbsent):
                await at.store.stat("k")
        assert [asked.path for asked in at.server.asked] == ["/bucket/k", "/bucket", "/bucket/k", "/bucket/k"]
        at.clock.later += timedelta(seconds=61)
        with pytest.raises(errors.ObjectAbsent):
            await at.store.stat("k")
        assert [asked.path for asked in at.server.asked][4:] == ["/bucket/k", "/bucket"]


async def test_a_missing_bucket_is_no_missing_object() -> None:
    async with scene(says(404)) as at:
        with pytest.raises(errors.StoreRefused) as refused:
            await at.store.stat("k")
        assert refused.value.code == "NoSuchBucket"


async def test_a_head_that_is_forbidden_is_not_absent() -> None:
    async with scene(says(403)) as at:
        with pytest.raises(errors.ObjectForbidden):
            await at.store.stat("k")


async def test_a_store_that_is_not_there_is_unavailable() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, but nobody listens
        store = client.S3Store(
            name="gone",
            endpoint=places.Endpoint("http", f"127.0.0.1:{taken.getsockname()[1]}"),
            bucket="bucket",
            credentials=faulty.KEYS,
            clock=faulty.QuickClock(),
        )
        with pytest.raises(errors.StoreUnavailable) as raised:
            await store.stat("k")
        assert "127.0.0.1" in raised.value.endpoint
        assert raised.value.reason == "no connection could be made (connection refused)"
        await store.close()


# ── Trying again ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("failure", [error(500, "InternalError"), error(503, "SlowDown"), says(502), hangs_up])
async def test_what_may_pass_is_tried_again(failure: faulty.Answer) -> None:
    """F26: after a pause."""
    async with scene(failure, failure, failure, head(7)) as at:
        assert (await at.store.stat("k")).size == 7
        assert at.server.methods == ["HEAD"] * 4
        assert at.clock.pauses


async def test_trying_again_ends() -> None:
    """F26: six times, within seconds; whoever asked may be more patient."""
    async with scene(error(503, "SlowDown")) as at:
        with pytest.raises(errors.StoreUnavailable):
            await at.store.delete("k")
        assert len(at.server.asked) == 6
        assert 3 < sum(at.clock.pauses) < 10


async def test_what_will_not_pass_is_not_tried_again() -> None:
    async with scene(error(403, "AccessDenied")) as at:
        with pytest.raises(errors.ObjectForbidden):
            await at.store.put_bytes("k", b"x", content_type="a/b")
        assert len(at.server.asked) == 1


async def test_a_silent_store_is_given_up() -> None:
    async with scene(is_silent, patience_seconds=0.05) as at:
        with pytest.raises(errors.StoreUnavailable) as raised:
            await at.store.stat("k")
        assert "silent" in raised.value.reason
        assert len(at.server.asked) == 6


async def test_a_store_that_takes_no_more_of_a_body_is_given_up(tmp_path: Path) -> None:
    """F25: it keeps the connection and reads nothing: nobody waits for it longer than for an answer."""
    (tmp_path / "in").write_bytes(bytes(64 << 20))
    open_ = asyncio.Event()
    asked = 0

    async def reads_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        await open_.wait()
        writer.close()

    server = await asyncio.start_server(reads_nothing, "127.0.0.1", 0, limit=1024)
    host, port = server.sockets[0].getsockname()
    store = client.S3Store(
        name="full",
        endpoint=places.Endpoint("http", f"{host}:{port}"),
        bucket="bucket",
        credentials=faulty.KEYS,
        clock=faulty.QuickClock(),
        attempts=2,
        patience_seconds=0.02,
    )
    with pytest.raises(errors.StoreUnavailable, match=r"silent for 0\.3 seconds"):
        await store.put_file("k", tmp_path / "in", content_type="a/b")
    assert asked == 2
    open_.set()
    await store.close()
    server.close()


async def test_every_attempt_sends_the_whole_body(tmp_path: Path) -> None:
    body = os.urandom(3 << 20)
    (tmp_path / "in").write_bytes(body)
    async with scene(error(500, "InternalError"), hangs_up, says(200, ETag='"e"'), head(len(body))) as at:
        stat = await at.store.put_file("k", tmp_path / "in", content_type="a/b")
        assert stat.sha256 == sha256(body).hexdigest()
        *puts, last = at.server.asked
        assert [asked.body == body for asked in puts] == [True, False, True]
        assert puts[-1].headers["Content-Length"] == str(len(body))
        assert last.method == "HEAD"


async def test_what_a_store_took_and_has_not_is_not_given_up(tmp_path: Path) -> None:
    """F27: a store that forgets all it takes is as good as away."""
    (tmp_path / "in").write_bytes(b"precious")
    async with scene(
        in_turn(lambda request: says(404) if request.path.endswith("/k") and request.method == "HEAD" else says(200))
    ) as at:
        with pytest.raises(errors.StoreUnavailable, match="it took 8 bytes as k, and has no such object"):
            await at.store.put_file("k", tmp_path / "in", content_type="a/b")
        assert at.server.methods.count("PUT") == 6


async def test_keys_that_may_only_put_are_enough_to_put(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"precious")
    async with scene(in_turn(lambda request: says(403) if request.method == "HEAD" else says(200, ETag='"e"'))) as at:
        assert (await at.store.put_file("k", tmp_path / "in", content_type="a/b")).size == 8


# ── Downloads ────────────────────────────────────────────────────────────────────────────────────────────────────


def serves_ranges(request: web.Request) -> faulty.Answer:
    start = int(request.headers.get("Range", "bytes=0-").removeprefix("bytes=").removesuffix("-"))
    return says(206 if start else 200, BODY[start:], ETag='"e"')


async def test_a_broken_download_goes_on_where_it_was(tmp_path: Path) -> None:
    rest = breaks_off(BODY[100_000:], 50_000, status=206)
    async with scene(breaks_off(BODY, 100_000), rest, in_turn(serves_ranges)) as at:
        assert await at.store.fetch("k", tmp_path / "out") == DIGEST
        assert (tmp_path / "out").read_bytes() == BODY
        assert [asked.headers.get("Range") for asked in at.server.asked] == [None, "bytes=100000-", "bytes=150000-"]
        assert [asked.headers.get("If-Match") for asked in at.server.asked] == [None, '"e"', '"e"']


async def test_a_broken_download_goes_on_where_the_store_knows_no_ranges(tmp_path: Path) -> None:
    async with scene(breaks_off(BODY, 100_000), says(200, BODY, ETag='"e"')) as at:
        assert await at.store.fetch("k", tmp_path / "out") == DIGEST
        assert (tmp_path / "out").read_bytes() == BODY


@pytest.mark.parametrize("then", [error(412, "PreconditionFailed"), says(200, BODY, ETag='"other"')])
async def test_a_download_is_never_of_two_objects(then: faulty.Answer, tmp_path: Path) -> None:
    async with scene(breaks_off(BODY, 100_000), then) as at:
        with pytest.raises(errors.PreconditionFailed):
            await at.store.fetch("k", tmp_path / "out")
        assert names_in(tmp_path) == []


async def test_a_store_that_ignores_if_match_is_seen_through(tmp_path: Path) -> None:
    async with scene(says(200, BODY, ETag='"other"')) as at:
        with pytest.raises(errors.PreconditionFailed):
            await at.store.fetch("k", tmp_path / "out", if_etag="e")
        assert names_in(tmp_path) == []


async def test_a_download_that_never_ends_well_leaves_nothing(tmp_path: Path) -> None:
    async with scene(breaks_off(BODY, 100_000), hangs_up) as at:
        with pytest.raises(errors.StoreUnavailable):
            await at.store.fetch("k", tmp_path / "out")
        assert names_in(tmp_path) == []


async def test_a_store_that_ignores_ranges_gives_the_slice_all_the_same() -> None:
    async with scene(says(200, b"0123456789", ETag='"e"')) as at:
        assert await at.store.read("k", start=3, length=4) == b"3456"


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def test_a_full_disk_is_told_as_such() -> None:
    with Path("/dev/full").open("wb", buffering=0) as full, pytest.raises(errors.DiskFull) as raised:  # noqa: SIM117
        with transfer.disk_of(Path("/data/out")):
            full.write(b"x")
    assert raised.value.path == "/data/out"


# ── Copies and parts ─────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_copy_that_fails_within_a_200_has_failed() -> None:
    failed = error(200, "InternalError")
    async with scene(failed, says(200, "<CopyObjectResult><ETag>e</ETag></CopyObjectResult>"), head(5)) as at:
        assert (await at.store.copy("a b", "b", if_etag="e")).size == 5
        assert at.server.methods == ["PUT", "PUT", "HEAD"]
        assert at.server.asked[0].headers["x-amz-copy-source"] == "/bucket/a%20b"
        assert at.server.asked[0].headers["x-amz-copy-source-if-match"] == '"e"'


async def test_what_is_too_large_to_copy_is_copied_in_parts() -> None:
    size = 12 << 20

    def choose(request: web.Request) -> faulty.Answer:
        query = dict(parse_qsl(request.query_string, keep_blank_values=True))
        if request.method == "HEAD":
            return head(size, Content_Type="video/mp4")
        if "uploads" in query:
            return says(200, "<R><UploadId>u1</UploadId></R>")
        if request.method == "POST":
            return says(200, "<CompleteMultipartUploadResult/>")
        if "partNumber" in query:
            return says(200, f"<CopyPartResult><ETag>&quot;e{query['partNumber']}&quot;</ETag></CopyPartResult>")
        return error(400, "InvalidRequest", "The specified copy source is larger than the maximum allowable size")

    async with scene(in_turn(choose)) as at:
        assert (await at.store.copy("a", "b", if_etag="e")).size == size
        ranges = [asked.headers.get("x-amz-copy-source-range") for asked in at.server.asked]
        assert [one for one in ranges if one] == [
            "bytes=0-5242879",
            "bytes=5242880-10485759",
            "bytes=10485760-12582911",
        ]
        completed = next(asked.body for asked in at.server.asked if asked.method == "POST" and asked.body)
        assert b"<PartNumber>3</PartNumber><ETag>&quot;e3&quot;</ETag>" in completed


async def test_a_large_file_goes_in_parts_and_one_that_fails_ends_it(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(os.urandom(12 << 20))

    def choose(request: web.Request) -> faulty.Answer:
        if "uploads" in request.query:
            return says(200, "<R><UploadId>u1</UploadId></R>")
        if request.query.get("partNumber") == "2":
            return error(400, "InvalidArgument")
        return says(200, ETag='"e"')

    async with scene(in_turn(choose)) as at:
        with pytest.raises(errors.StoreRefused):
            await at.store.put_file("k", tmp_path / "in", content_type="a/b")
        assert at.server.asked[-1].method == "DELETE"
        assert "uploadId=u1" in at.server.asked[-1].query


async def test_a_completion_whose_answer_was_lost_is_recognised() -> None:
    parts = [ports.Part(number=1, size=5, etag=md5(b"12345").hexdigest())]
    etag = f"{md5(md5(b'12345').digest()).hexdigest()}-1"
    async with scene(hangs_up, error(404, "NoSuchUpload"), says(200, b"12345", ETag=etag)) as at:
        assert (await at.store.complete_multipart("k", "u1", parts)).etag == etag
    async with scene(error(404, "NoSuchUpload"), says(200, b"12345", ETag='"another-1"')) as at:
        with pytest.raises(errors.ObjectAbsent):
            await at.store.complete_multipart("k", "u1", parts)


async def test_an_internal_error_for_an_upload_that_is_gone_is_seen_through() -> None:
    parts = [ports.Part(number=1, size=5, etag=md5(b"12345").hexdigest())]
    etag = f"{md5(md5(b'12345').digest()).hexdigest()}-1"

    def choose(request: web.Request) -> faulty.Answer:
        if request.method == "HEAD":
            return head(5, etag)
        return error(500, "InternalError") if request.method == "POST" else error(404, "NoSuchUpload")

    async with scene(in_turn(choose)) as at:
        assert (await at.store.complete_multipart("k", "u1", parts)).etag == etag


@pytest.mark.parametrize("source", [head(5, "changed"), says(404)])
async def test_a_store_that_copies_whatever_the_condition_is_seen_through(source: faulty.Answer) -> None:
    def choose(request: web.Request) -> faulty.Answer:
        if request.method == "HEAD":
            if request.path == "/bucket/source":
                return source
            return says(200) if request.path == "/bucket" else head(5, "changed")
        return says(200, "<CopyObjectResult><ETag>changed</ETag></CopyObjectResult>")

    async with scene(in_turn(choose)) as at:
        with pytest.raises(errors.PreconditionFailed):
            await at.store.copy("source", "target", if_etag="sealed")
        last = at.server.asked[-1]
        assert (last.method, last.path) == ("DELETE", "/bucket/target")


async def test_a_copy_of_what_was_put_in_parts_may_have_another_etag() -> None:
    def choose(request: web.Request) -> faulty.Answer:
        if request.method == "HEAD":
            return head(5, "sealed-2" if request.path == "/bucket/source" else "whole")
        return says(200, "<CopyObjectResult><ETag>whole</ETag></CopyObjectResult>")

    async with scene(in_turn(choose)) as at:
        assert (await at.store.copy("source", "target", if_etag="sealed-2")).etag == "whole"


# ── What is believed ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        ({"x-amz-checksum-sha256": checksums.in_header(sha256(b"x").digest())}, sha256(b"x").hexdigest()),
        (
            {
                "x-amz-checksum-sha256": checksums.in_header(sha256(b"x").digest()),
                "x-amz-checksum-type": "COMPOSITE",
            },
            None,
        ),
        ({"x-amz-checksum-sha256": checksums.in_header(sha256(b"x").digest()) + "-2"}, None),
        ({"x-amz-checksum-sha256": "nonsense"}, None),
        ({"x-amz-checksum-sha256": checksums.in_header(b"short")}, None),
        ({}, None),
    ],
)
async def test_only_a_checksum_of_the_whole_object_is_believed(headers: dict[str, str], told: str | None) -> None:
    async with scene(head(1, **headers)) as at:
        assert (await at.store.stat("k")).sha256 == told


async def test_a_store_that_kept_other_bytes_is_found_out() -> None:
    wrong = checksums.in_header(sha256(b"other").digest())
    async with scene(says(200, ETag='"e"', x_amz_checksum_sha256=wrong)) as at:
        with pytest.raises(errors.StoreRefused):
            await at.store.put_bytes("k", b"mine", content_type="a/b")


@pytest.mark.parametrize("body", ["", "<html>", "no xml", "<R/>", "<R><Contents><Key>k</Key></Contents></R>"])
async def test_an_answer_that_is_no_s3_is_refused(body: str) -> None:
    async with scene(says(200, body)) as at:
        if body != "<R/>":
            with pytest.raises(errors.StoreRefused):
                [stat async for stat in at.store.list()]
        with pytest.raises(errors.StoreRefused):
            await at.store.begin_multipart("k")


def test_keys_in_lists_are_decoded_only_where_they_were_encoded() -> None:
    document = (
        "<R>{}<Contents><Key>a%2Bb+c</Key><Size>1</Size><ETag>&quot;e&quot;</ETag>"
        "<LastModified>2026-03-04T05:06:07.000Z</LastModified></Contents></R>"
    )
    plain = xml.read_objects(document.format("").encode())
    encoded = xml.read_objects(document.format("<EncodingType>url</EncodingType>").encode())
    assert [plain.objects[0].key, encoded.objects[0].key] == ["a%2Bb+c", "a+b c"]


def test_entities_are_not_expanded() -> None:
    bomb = b'<!DOCTYPE R [<!ENTITY a "aaaa">]><R><UploadId>&a;</UploadId></R>'
    with pytest.raises(xml.NotXml):
        xml.read_upload_id(bomb)


def test_the_table_knows_what_is_worth_another_try() -> None:
    again = [errors_table.Refusal(status=503, code="SlowDown"), errors_table.Refusal(status=429, code="")]
    never = [errors_table.Refusal(status=403, code="AccessDenied"), errors_table.Refusal(status=501, code="")]
    assert all(refusal.is_worth_another_try for refusal in again)
    assert not any(refusal.is_worth_another_try for refusal in never)


# ── Where URLs lead ──────────────────────────────────────────────────────────────────────────────────────────────


def a_store(**more: object) -> client.S3Store:
    given: dict[str, object] = {
        "name": "s",
        "endpoint": places.Endpoint("http", "inside:9000"),
        "bucket": "bucket",
        "credentials": signing.Credentials("AKID", "secret"),
        "clock": faulty.QuickClock(),
    }
    return client.S3Store(**{**given, **more})  # type: ignore[arg-type]


def test_each_audience_has_its_own_name_for_the_store() -> None:
    store = a_store(
        public_endpoint=places.Endpoint("https", "files.example"),
        node_endpoint=places.Endpoint("http", "172.17.0.1:9000"),
    )
    urls = [store.presign_get("k", expires_seconds=60, audience=audience) for audience in ("user", "server", "node")]
    assert [url.partition("?")[0] for url in urls] == [
        "https://files.example/bucket/k",
        "http://inside:9000/bucket/k",
        "http://172.17.0.1:9000/bucket/k",
    ]


def test_without_other_names_everybody_gets_the_one() -> None:
    store = a_store()
    for audience in ("user", "server", "node"):
        assert store.presign_get("k", expires_seconds=60, audience=audience).startswith("http://inside:9000/bucket/k?")


def test_a_bucket_may_be_part_of_the_host() -> None:
    url = a_store(path_style=False).presign_put("a b", expires_seconds=60)
    assert url.startswith("http://bucket.inside:9000/a%20b?")


def test_type_and_size_are_signed_into_a_url_to_put() -> None:
    url = a_store().presign_put("k", expires_seconds=60, content_type="image/png", size=7)
    assert dict(parse_qsl(urlsplit(url).query))["X-Amz-SignedHeaders"] == "content-length;content-type;host"


@pytest.mark.parametrize(
    ("text", "secure", "endpoint"),
    [
        ("s3.example", True, "https://s3.example"),
        ("s3.example:9000", False, "http://s3.example:9000"),
        ("http://S3.Example:80/", True, "http://s3.example"),
        ("https://s3.example:443", False, "https://s3.example"),
        ("[::1]:9000", False, "http://[::1]:9000"),
    ],
)
def test_an_endpoint_is_read_with_or_without_scheme(text: str, secure: bool, endpoint: str) -> None:
    assert str(places.read_endpoint(text, secure=secure)) == endpoint


@pytest.mark.parametrize(
    "text", ["", "ftp://s3", "https://", "https://s3/path", "https://a:b@s3", "s3:port", "s3 .example", "https://s3?x"]
)
def test_an_endpoint_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        places.read_endpoint(text)


async def test_a_size_that_is_not_told_is_not_guessed() -> None:
    async with scene(says(200, ETag='"e"')) as at:
        with pytest.raises(errors.StoreRefused) as refused:
            await at.store.stat("k")
        assert "Content-Length" in str(refused.value)
