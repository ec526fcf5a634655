"""Stores as flows describe them."""

import subprocess
import sys
from collections.abc import Mapping

import pytest

from pupload import errors, ports
from pupload.adapters.memory import objects
from pupload.adapters.s3 import client, stores
from pupload.adapters.system import clock, outbound
from pupload.domain import flow, reach

GOOD: Mapping[str, str | bool] = {
    "Endpoint": "s3.example:9000",
    "BucketName": "bucket",
    "AccessKey": "AKID",
    "SecretKey": "the-secret",
}


def some_stores(**more: object) -> stores.S3Stores:
    ours = objects.Objects(clock=clock.SystemClock())
    return stores.S3Stores(default=ours, clock=clock.SystemClock(), **more)  # type: ignore[arg-type]


def described(kind: str = "s3", **params: str | bool) -> flow.Store:
    return flow.Store(name="mine", type=kind, params={**(GOOD if kind == "s3" else {}), **params})


def opened(**params: str | bool) -> client.S3Store:
    store = some_stores().open(described("s3", **params))
    assert isinstance(store, client.S3Store)
    return store


def url_of(store: ports.ObjectStore, audience: ports.Audience = "user") -> str:
    return store.presign_get("k", expires_seconds=60, audience=audience).partition("?")[0]


def test_a_described_store_is_asked_at_its_address() -> None:
    store = opened()
    assert (store.name, store.notifies, store.region) == ("mine", False, "us-east-1")
    assert url_of(store) == "https://s3.example:9000/bucket/k"


def test_the_ways_to_say_it() -> None:
    assert url_of(opened(Secure=False)) == "http://s3.example:9000/bucket/k"
    assert url_of(opened(Secure="false")) == "http://s3.example:9000/bucket/k"
    assert url_of(opened(Endpoint="http://plain.example")) == "http://plain.example/bucket/k"
    assert url_of(opened(PathStyle=False)) == "https://bucket.s3.example:9000/k"
    assert url_of(opened(PublicEndpoint="files.example")) == "https://files.example/bucket/k"
    assert url_of(opened(NodeEndpoint="http://172.17.0.1:9000"), "node") == "http://172.17.0.1:9000/bucket/k"
    assert opened(Region="eu-central-1").region == opened(Location="eu-central-1").region == "eu-central-1"
    assert opened(Notifications=True).notifies


def test_names_are_read_in_any_case() -> None:
    store = some_stores().open(
        flow.Store(name="mine", type="S3", params={name.upper(): value for name, value in GOOD.items()})
    )
    assert url_of(store) == "https://s3.example:9000/bucket/k"


def test_without_an_endpoint_it_is_amazon() -> None:
    assert url_of(opened(Endpoint="", Region="eu-west-1")) == "https://s3.eu-west-1.amazonaws.com/bucket/k"


@pytest.mark.parametrize(
    "wrong",
    [
        {"Endpoint": "ftp://s3"},
        {"Endpoint": True},
        {"PublicEndpoint": "https://host/path"},
        {"BucketName": ""},
        {"BucketName": "../up"},
        {"BucketName": "a"},
        {"Region": "eu/central"},
        {"SecretKey": ""},
        {"AccessKey": ""},
        {"AccessKey": "A\r\nX-Header: y"},
        {"SessionToken": "a b"},
        {"Secure": "maybe"},
    ],
)
def test_what_cannot_be_used_is_refused_without_showing_it(wrong: Mapping[str, str | bool]) -> None:
    with pytest.raises(errors.Refused) as refused:
        opened(**wrong)
    assert "store mine" in str(refused.value)
    assert "the-secret" not in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_type_nobody_knows_is_refused() -> None:
    with pytest.raises(errors.Refused) as refused:
        some_stores().open(described("gcs"))
    assert "gcs" in str(refused.value)


def test_equal_descriptions_share_a_store_and_others_do_not() -> None:
    made = some_stores()
    assert made.open(described()) is made.open(described())
    assert made.open(described()) is not made.open(described(BucketName="other"))
    assert made.open(described()) is not made.open(described(SecretKey="another"))
    assert made.open(described()) is not made.default()


def test_local_is_the_servers_own_store_or_another_bucket_of_it() -> None:
    made_for: list[tuple[str, str]] = []

    def make_local(*, name: str, bucket: str) -> ports.ObjectStore:
        made_for.append((name, bucket))
        return objects.Objects(clock=clock.SystemClock(), name=name)

    made = some_stores(make_local=make_local)
    assert made.open(described("local")) is made.default()
    assert made.open(described("local", BucketName="mine")).name == "mine"
    assert made_for == [("mine", "mine")]
    with pytest.raises(errors.Refused):
        some_stores().open(described("local"))


STRICT = outbound.Guard(reach.Policy())


@pytest.mark.parametrize(
    "inside",
    [
        {"Endpoint": "http://169.254.169.254"},
        {"Endpoint": "http://2130706433:9000"},
        {"Endpoint": "http://0x7f.1"},
        {"Endpoint": "http://[::ffff:10.0.0.1]:9000"},
        {"Endpoint": "http://LocalHost.:9000"},
        {"Endpoint": "http://0.0.1:9000", "BucketName": "127", "PathStyle": False},
    ],
)
def test_a_flow_may_not_name_addresses_that_the_operator_keeps(inside: Mapping[str, str | bool]) -> None:
    store = flow.Store(name="mine", type="s3", params={**GOOD, **inside})
    with pytest.raises(errors.Refused) as refused:
        some_stores(guard=STRICT).open(store)
    assert "store mine: Endpoint is" in str(refused.value)


def test_names_that_the_server_only_signs_for_may_be_anywhere() -> None:
    store = some_stores(guard=STRICT).open(
        described(PublicEndpoint="http://127.0.0.1:9", NodeEndpoint="http://172.17.0.1:9")
    )
    assert url_of(store) == "http://127.0.0.1:9/bucket/k"


def test_the_operators_own_store_may_be_anywhere() -> None:
    own = described(Endpoint="http://127.0.0.1:9000")
    made = stores.S3Stores(default=own, clock=clock.SystemClock(), guard=STRICT)
    assert url_of(made.default()) == "http://127.0.0.1:9000/bucket/k"
    with pytest.raises(errors.Refused):
        made.open(own)


def test_the_operator_may_keep_his_own_keys_to_himself() -> None:
    lending, keeping = some_stores(), some_stores(lends_own_keys=False)
    without = described("s3", AccessKey="", SecretKey="")
    assert isinstance(lending.open(without), client.S3Store)
    with pytest.raises(errors.Refused):
        keeping.open(without)
    own = stores.S3Stores(default=without, clock=clock.SystemClock(), lends_own_keys=False)
    assert isinstance(own.default(), client.S3Store)


async def test_closing_closes_all() -> None:
    made = some_stores()
    first = made.open(described())
    await made.close()
    assert made.open(described()) is not first


def test_making_stores_waits_for_no_sdk() -> None:
    """They take most of a second to be imported, and most installations never need them."""
    look = (
        "import sys; from pupload.adapters.s3 import local, stores, supervisor; "
        "print(*{'boto3', 'botocore', 'minio'} & sys.modules.keys())"
    )
    found = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert found.stdout == "\n"
