"""The embedded store as other people's programs use it, wells of every source, projects, starting badly."""

import hashlib
import hmac
import io
import json
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import aiohttp
import boto3
import botocore.config
import minio
import pytest
from boto3.s3.transfer import TransferConfig

from pupload import errors
from pupload.adapters.s3 import signing
from pupload.client import Client
from tests.system import flows
from tests.system.server import Server

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

Json = dict[str, Any]

BUCKET = "pupload"


def boto(server: Server) -> "S3Client":
    keys = server.credentials
    return boto3.client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{server.store_port}",
        region_name="us-east-1",
        aws_access_key_id=keys["access_key"],
        aws_secret_access_key=keys["secret_key"],
        config=botocore.config.Config(
            signature_version="s3v4", s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}
        ),
    )


async def answer(method: str, url: str, body: bytes | None = None, **headers: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.request(method, url, data=body, headers=headers) as response:
        text: str = await response.text()
    return response.status, text


# ── Other programs ───────────────────────────────────────────────────────────────────────────────────────────────


def test_boto3_keeps_and_finds_objects(server: Server) -> None:
    client = boto(server)
    body = bytes(range(256)) * 4096
    client.put_object(Bucket=BUCKET, Key="boto/a ü+%", Body=body, ContentType="text/x-test", Metadata={"who": "boto"})
    found = client.get_object(Bucket=BUCKET, Key="boto/a ü+%")
    assert (found["Body"].read(), found["ContentType"], found["Metadata"]) == (body, "text/x-test", {"who": "boto"})
    client.upload_fileobj(
        io.BytesIO(body * 12),
        BUCKET,
        "boto/parts",
        Config=TransferConfig(multipart_threshold=5 << 20),
    )
    assert client.head_object(Bucket=BUCKET, Key="boto/parts")["ContentLength"] == len(body) * 12
    assert [each["Key"] for each in client.list_objects_v2(Bucket=BUCKET, Prefix="boto/")["Contents"]] == [
        "boto/a ü+%",
        "boto/parts",
    ]
    client.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": "boto/a ü+%"}, {"Key": "boto/parts"}]})
    assert client.list_objects_v2(Bucket=BUCKET, Prefix="boto/")["KeyCount"] == 0


def test_the_minio_sdk_keeps_and_finds_objects(server: Server) -> None:
    keys = server.credentials
    client = minio.Minio(
        f"127.0.0.1:{server.store_port}",
        access_key=keys["access_key"],
        secret_key=keys["secret_key"],
        secure=False,
        region="us-east-1",
    )
    client.put_object(BUCKET, "minio/a", io.BytesIO(b"hello"), 5, content_type="text/plain")
    response = client.get_object(BUCKET, "minio/a")
    assert response.read() == b"hello"
    response.close()
    response.release_conn()
    assert [each.object_name for each in client.list_objects(BUCKET, prefix="minio/", recursive=True)] == ["minio/a"]
    client.remove_object(BUCKET, "minio/a")


def test_curl_uses_what_boto3_presigned(server: Server, tmp_path: Path) -> None:
    client = boto(server)
    put = client.generate_presigned_url("put_object", Params={"Bucket": BUCKET, "Key": "curl/a"})
    get = client.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": "curl/a"})
    (tmp_path / "file").write_bytes(b"by curl")
    subprocess.run(["curl", "-sS", "--fail", "-T", str(tmp_path / "file"), put], check=True)
    assert subprocess.run(["curl", "-sS", "--fail", get], capture_output=True, check=True).stdout == b"by curl"
    client.delete_object(Bucket=BUCKET, Key="curl/a")


# ── Signatures ───────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_url_that_was_tampered_with_is_refused(client: Client) -> None:
    run = await client.start(flows.copying())
    good: str = run["WaitingURLs"][0]["PutURL"]
    parts = urlsplit(good)
    query = dict(parse_qsl(parts.query))

    def tampered(path: str = parts.path, **changes: str) -> str:
        return parts._replace(path=path, query=urlencode(query | changes)).geturl()

    signature = query["X-Amz-Signature"]
    flipped = ("0" if signature[0] != "0" else "1") + signature[1:]
    for url, code in [
        (tampered(**{"X-Amz-Signature": flipped}), "SignatureDoesNotMatch"),
        (tampered(**{"X-Amz-Expires": "604800"}), "SignatureDoesNotMatch"),
        (tampered(f"{parts.path}x"), "SignatureDoesNotMatch"),
        (tampered("/pupload/elsewhere"), "SignatureDoesNotMatch"),
        (tampered(acl=""), "SignatureDoesNotMatch"),
        (parts._replace(query="").geturl(), "AccessDenied"),
    ]:
        status, said = await answer("PUT", url, b"evil")
        assert (status, code in said) == (403, True), said
    for method in ("GET", "DELETE", "POST", "HEAD"):
        assert (await answer(method, good))[0] == 403
    assert (await client.status(run["ID"]))["Status"] == "WAITING"
    assert (await answer("PUT", good, b"good"))[0] == 200
    done = await client.wait(run["ID"])
    assert (done["Status"], await flows.get(done, "there")) == ("COMPLETE", b"good")
    get = done["Artifacts"]["here"]["GetURL"]
    assert (await answer("PUT", get, b"evil"))[0] == 403
    assert (await answer("DELETE", get))[0] == 403


async def test_expired_and_foreign_signatures_are_refused(server: Server) -> None:
    """F33: an expired URL says so; a forged one never learns more than that."""
    keys = signing.Credentials(server.credentials["access_key"], server.credentials["secret_key"])
    stranger = signing.Credentials(keys.access_key, "another secret")
    unknown = signing.Credentials("NOBODY", keys.secret_key)

    def url(credentials: signing.Credentials, *, age: timedelta = timedelta(0)) -> str:
        return signing.presign(
            credentials,
            method="PUT",
            scheme="http",
            host=f"127.0.0.1:{server.store_port}",
            path=f"/{BUCKET}/signed",
            region="us-east-1",
            now=datetime.now(UTC) - age,
            expires_seconds=60,
        )

    assert (await answer("PUT", url(keys), b""))[0] == 200
    for bad, sentence in [
        (url(keys, age=timedelta(minutes=2)), "expired"),
        (url(keys, age=-timedelta(hours=1)), ""),
        (url(stranger), "SignatureDoesNotMatch"),
        (url(unknown), "InvalidAccessKeyId"),
    ]:
        status, said = await answer("PUT", bad, b"evil")
        assert (status, sentence in said) == (403, True), said
    assert boto(server).head_object(Bucket=BUCKET, Key="signed")["ContentLength"] == 0
    boto(server).delete_object(Bucket=BUCKET, Key="signed")


async def test_one_runs_url_is_no_good_for_another(client: Client) -> None:
    one, other = await client.start(flows.copying()), await client.start(flows.copying())
    url = one["WaitingURLs"][0]["PutURL"].replace(one["ID"], other["ID"])
    assert (await answer("PUT", url, b"evil"))[0] == 403
    for run in (one, other):
        await client.cancel(run["ID"])
        await client.wait(run["ID"])


# ── Uploads in parts ─────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_fresh_url_is_given_for_an_edge_that_waits(server: Server, client: Client) -> None:
    run = await client.start(flows.copying())
    _, said = await answer("POST", f"{server.url}/api/v1/upload/{run['ID']}/there")
    ticket = json.loads(said)
    assert ticket["Artifact"]["EdgeName"] == "there"
    assert (await answer("PUT", ticket["PutURL"], b"x"))[0] == 200
    assert (await client.wait(run["ID"]))["Status"] == "COMPLETE"


async def test_a_large_upload_gets_a_plan_and_an_abandoned_one_leaves_nothing(server: Server, client: Client) -> None:
    run = await client.start(flows.copying())
    place = f"{server.url}/api/v1/upload/{run['ID']}/there"
    _, said = await answer("POST", place, b'{"Size": 6000000000}')
    plan = json.loads(said)
    assert sum(part["Size"] for part in plan["Parts"]) == 6_000_000_000
    again = json.loads((await answer("POST", place, b'{"Size": 6000000000}'))[1])
    assert (again["UploadID"], again["Received"]) == (plan["UploadID"], [])
    # A part that is not as planned would spoil the whole: it is begun anew then.
    assert (await answer("PUT", plan["Parts"][0]["PutURL"], b"too short"))[0] == 200
    anew = json.loads((await answer("POST", place, b'{"Size": 6000000000}'))[1])
    assert (anew["UploadID"] != plan["UploadID"], anew["Received"]) == (True, [])
    assert (await answer("PUT", plan["Parts"][1]["PutURL"], b"more"))[0] == 404
    await client.cancel(run["ID"])
    await client.wait(run["ID"])
    while boto(server).list_multipart_uploads(Bucket=BUCKET).get("Uploads"):
        pass  # what a run held is given up behind its end


# ── Wells ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_static_well_takes_what_is_in_the_store(server: Server, client: Client) -> None:
    boto(server).put_object(Bucket=BUCKET, Key="fixed/input", Body=b"static")
    well = {"Edge": "there", "Store": "default", "Source": "static", "Key": "fixed/input"}
    order = flows.copying()
    order["Flow"]["DataWells"] = [well]
    done = await flows.finish(client, order)
    assert (done["Status"], await flows.get(done, "here")) == ("COMPLETE", b"static")
    boto(server).delete_object(Bucket=BUCKET, Key="fixed/input")
    missing = await flows.finish(client, order)
    assert missing["Status"] == "ERROR"
    assert "fixed/input" in missing["Error"]


async def test_keys_of_wells_are_made_of_their_variables(server: Server, client: Client) -> None:
    order = flows.copying()
    order["Flow"]["DataWells"] = [
        {"Edge": "here", "Store": "default", "Key": "made/${FLOW_NAME}/${RUN_ID}-${NODE_ID}.txt"}
    ]
    done = await flows.finish(client, order, there=b"x")
    assert done["Artifacts"]["here"]["ObjectName"] == f"made/flow/{done['ID']}-step.txt"
    assert boto(server).get_object(Bucket=BUCKET, Key=f"made/flow/{done['ID']}-step.txt")["Body"].read() == b"x"


@pytest.mark.parametrize(
    "key", ["../../etc/${RUN_ID}", "/${RUN_ID}", "a//${RUN_ID}", "./${RUN_ID}/..", "${RUN_ID}\n%2e%2e"]
)
async def test_a_key_is_a_name_and_never_a_path(server: Server, client: Client, key: str) -> None:
    order = flows.copying()
    order["Flow"]["DataWells"] = [{"Edge": "here", "Store": "default", "Key": key}]
    if not (await client.validate(order))["Valid"]:
        with pytest.raises(errors.Invalid):
            await client.start(order)
        return
    done = await flows.finish(client, order, there=b"x")
    assert done["Status"] == "COMPLETE", done["Error"]
    assert await flows.get(done, "here") == b"x"
    named = [path for path in server.folder.glob(f"**/*{done['ID']}*") if path.parent != server.data / "attempts"]
    assert not named, "no name becomes a path"


async def test_a_webhook_well_takes_a_signed_body(client: Client) -> None:
    order = flows.copying()
    order["Flow"]["DataWells"] = [{"Edge": "there", "Store": "default", "Source": "webhook"}]
    run = await client.start(order)
    (waiting,) = run["WaitingURLs"]
    assert waiting["Method"] == "POST"
    status, _ = await answer("POST", waiting["PutURL"].replace("token=", "token=x"), b"evil")
    assert status == 403
    assert (await answer("POST", waiting["PutURL"], b"by post"))[0] == 200
    done = await client.wait(run["ID"])
    assert (done["Status"], await flows.get(done, "here")) == ("COMPLETE", b"by post")


async def test_a_webhook_with_a_secret_takes_nothing_without_its_signature(client: Client) -> None:
    order = flows.copying()
    well = {"Edge": "there", "Store": "default", "Source": "webhook", "Secret": "between us"}
    order["Flow"]["DataWells"] = [well]
    run = await client.start(order)
    url, body = run["WaitingURLs"][0]["PutURL"], b"signed body"
    assert (await answer("POST", url, body))[0] == 403
    assert (await answer("POST", url, body, **{"X-Pupload-Signature": "sha256=" + "0" * 64}))[0] == 403
    digest = hmac.new(b"between us", body, hashlib.sha256).hexdigest()
    assert (await answer("POST", url, body, **{"X-Pupload-Signature": f"sha256={digest}"}))[0] == 200
    assert (await client.wait(run["ID"]))["Status"] == "COMPLETE"


async def test_a_store_of_the_flows_own_is_used_by_its_keys(server: Server, client: Client) -> None:
    """The embedded one, as if it were somewhere else."""
    keys = server.credentials
    params = {
        "Endpoint": f"127.0.0.1:{server.store_port}",
        "BucketName": BUCKET,
        "AccessKey": keys["access_key"],
        "SecretKey": keys["secret_key"],
        "Secure": False,
        "PathStyle": True,
    }
    order = flows.copying()
    order["Flow"]["Stores"] = [{"Name": "elsewhere", "Type": "s3", "Params": params}]
    order["Flow"]["DataWells"] = [
        {"Edge": "there", "Store": "elsewhere", "Source": "upload", "Key": "own/${RUN_ID}/in"},
        {"Edge": "here", "Store": "elsewhere", "Key": "own/${RUN_ID}/out"},
    ]
    done = await flows.finish(client, order, there=b"far away")
    assert done["Status"] == "COMPLETE", done["Error"]
    assert done["Artifacts"]["here"]["StoreName"] == "elsewhere"
    assert await flows.get(done, "here") == b"far away"
    assert keys["secret_key"] not in json.dumps(done)
    journal = [event.data async for event in client.events(done["ID"])]
    assert keys["secret_key"] not in json.dumps(journal)


async def test_a_store_that_refuses_its_keys_is_named(server: Server, client: Client) -> None:
    params = {"Endpoint": f"127.0.0.1:{server.store_port}", "BucketName": BUCKET, "Secure": False}
    order = flows.copying()
    order["Flow"]["Stores"] = [
        {"Name": "locked", "Type": "s3", "Params": {**params, "AccessKey": "nobody", "SecretKey": "hush-hush"}}
    ]
    order["Flow"]["DataWells"] = [{"Edge": "there", "Store": "locked", "Source": "static", "Key": "k"}]
    done = await flows.finish(client, order)
    assert done["Status"] == "ERROR"
    assert "locked" in done["Error"]
    assert "hush-hush" not in json.dumps(done)


# ── Projects, and what watches ───────────────────────────────────────────────────────────────────────────────────

PROJECT = "0190a5a0-1111-7000-8000-000000000001"


async def test_a_project_is_pushed_and_its_flow_started(server: Server, client: Client) -> None:
    order = flows.copying()
    store = {
        "Name": "s",
        "Type": "s3",
        "Params": {"Endpoint": "s3.example.org", "BucketName": "b", "SecretKey": "hush"},
    }
    project = {"ID": PROJECT, "Flows": [order["Flow"]], "NodeDefs": order["NodeDefs"], "GlobalStores": [store]}
    await client.push(PROJECT, project)
    status, said = await answer("GET", f"{server.url}/api/v1/project/{PROJECT}")
    assert (status, json.loads(said)["Flows"][0]["Name"], "hush" in said) == (200, "flow", False)
    status, said = await answer("POST", f"{server.url}/api/v1/project/{PROJECT}/flows/flow")
    assert status == 200, said
    run = json.loads(said)
    assert await flows.put(run, "there", b"p") == 200
    assert (await client.wait(run["ID"]))["Status"] == "COMPLETE"
    status, said = await answer("POST", f"{server.url}/api/v1/project/{PROJECT}/flows/nothing")
    assert (status, "error" in json.loads(said)) == (404, True)


async def test_health_metrics_and_the_api_description_are_there(server: Server, client: Client) -> None:
    await flows.finish(client, flows.one("true"))
    health = await client.health()
    assert (health["status"], {line["name"] for line in health["lines"]}) == (
        "ok",
        {"database", "store", "engine", "disk"},
    )
    status, said = await answer("GET", f"{server.url}/metrics")
    assert status == 200
    assert 'route="/api/v1/flow/test"' in said or "/api/v1/flow/test" in said
    assert "pupload_" in said
    assert "run_0" not in said, "no run has numbers of its own"
    status, said = await answer("GET", f"{server.url}/api/openapi.json")
    described = json.loads(said)
    assert (status, described["openapi"][:2]) == (200, "3.")
    assert "/api/v1/flow/status/{flowRunID}" in described["paths"]


# ── Starting badly ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"DOCKER_HOST": "unix:///nowhere/docker.sock"}, "container engine"),
        ({"PUPLOAD_HOST": "0.0.0.0"}, "loopback"),
        ({"PUPLOAD_BODY_LIMIT": "many"}, "body_limit"),
    ],
)
def test_a_server_that_cannot_start_says_why_in_a_line_and_leaves_nothing(
    tmp_path_factory: pytest.TempPathFactory, settings: dict[str, str], words: str
) -> None:
    server = Server(tmp_path_factory.mktemp("bad"), **settings)
    process = server.launch()
    assert server.ready_line(process) == ""
    assert process.wait(30) != 0
    assert process.stdout is not None
    process.stdout.close()
    assert server.pids() == []
    (line,) = [line for line in server.stderr().splitlines() if line]
    assert words in line


def test_a_port_that_is_taken_is_told(own_server: Callable[..., Server]) -> None:
    first = own_server()
    second = Server(first.folder.parent / "second")
    second.port = first.port
    process = second.launch()
    assert second.ready_line(process) == ""
    assert process.wait(30) != 0
    assert process.stdout is not None
    process.stdout.close()
    assert f"cannot listen on 127.0.0.1:{first.port}" in second.stderr()
    assert second.pids() == []
