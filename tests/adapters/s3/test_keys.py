"""Keys that are secrets: looked up when they are needed, noticed when they change, and missed in words."""

from dataclasses import replace

import pytest

from pupload import errors
from pupload.adapters.memory.clock import VirtualClock
from pupload.adapters.memory.secrets import Secrets
from pupload.adapters.s3 import client
from pupload.adapters.s3.stores import S3Stores
from pupload.domain.flow import Store
from tests.builders import NOON

DESCRIBED = Store(
    name="mine",
    type="s3",
    params={
        "Endpoint": "https://s3.example.org",
        "BucketName": "media",
        "AccessKey": "${secret.ACCESS}",
        "SecretKey": "${secret.SECRET}",
    },
)
PLAIN = Store(
    name="default",
    type="s3",
    params={"Endpoint": "https://s3.example.org", "BucketName": "own", "AccessKey": "AK", "SecretKey": "SK"},
)


class Desk:
    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.secrets = Secrets()
        self.stores = S3Stores(default=PLAIN, clock=self.clock, secrets=self.secrets)

    async def put(self, **values: str) -> None:
        for name, value in values.items():
            await self.secrets.put(name, value, at=NOON)

    def signed_by(self) -> str:
        url = self.stores.open(DESCRIBED).presign_get("key", expires_seconds=60)
        return url.partition("X-Amz-Credential=")[2].partition("%2F")[0]


@pytest.fixture
def desk() -> Desk:
    return Desk()


async def test_a_store_signs_with_the_secrets_that_its_keys_name(desk: Desk) -> None:
    await desk.put(ACCESS="AKIDEXAMPLE", SECRET="secret key")
    await desk.stores.prepare(DESCRIBED)
    assert desk.signed_by() == "AKIDEXAMPLE"


async def test_opening_a_store_needs_no_secret_and_signing_says_which_is_missing(desk: Desk) -> None:
    store = desk.stores.open(DESCRIBED)
    await desk.put(ACCESS="AKIDEXAMPLE")
    await desk.stores.prepare(DESCRIBED)
    with pytest.raises(errors.StoreUnavailable, match=r"store mine .*s3\.example\.org.*secret SECRET.* is not set"):
        store.presign_get("key", expires_seconds=60)
    with pytest.raises(errors.StoreUnavailable, match="secret SECRET"):
        await store.stat("key")
    await desk.put(SECRET="secret key")
    await desk.stores.prepare(DESCRIBED)
    assert desk.signed_by() == "AKIDEXAMPLE"
    assert desk.stores.open(DESCRIBED) is store


async def test_a_run_s_store_signs_with_its_account_s_secrets_and_nobody_else_s(desk: Desk) -> None:
    await desk.put(ACCESS="AKIDNOBODYS", SECRET="secret key")
    for account, key in {2: "AKIDSECOND", 3: "AKIDTHIRD"}.items():
        await desk.secrets.put("ACCESS", key, account=account, at=NOON)
        await desk.secrets.put("SECRET", "secret key", account=account, at=NOON)
    signed = {}
    for whose in (None, 2, 3):
        described = replace(DESCRIBED, account=whose)
        await desk.stores.prepare(described)
        url = desk.stores.open(described).presign_get("key", expires_seconds=60)
        signed[whose] = url.partition("X-Amz-Credential=")[2].partition("%2F")[0]
    assert signed == {None: "AKIDNOBODYS", 2: "AKIDSECOND", 3: "AKIDTHIRD"}
    await desk.stores.prepare(replace(DESCRIBED, account=4))
    with pytest.raises(errors.StoreUnavailable, match="is not set"):
        desk.stores.open(replace(DESCRIBED, account=4)).presign_get("key", expires_seconds=60)


async def test_a_changed_secret_is_used_within_seconds_by_a_store_that_is_open(desk: Desk) -> None:
    await desk.put(ACCESS="AKIDEXAMPLE", SECRET="secret key")
    await desk.stores.prepare(DESCRIBED)
    await desk.put(ACCESS="AKIDCHANGED")
    await desk.clock.run_for(6)
    await desk.stores.prepare(DESCRIBED)
    assert desk.signed_by() == "AKIDCHANGED"


async def test_keys_that_are_refused_are_looked_up_at_once(desk: Desk) -> None:
    """F28: and only others than those are worth another try."""
    await desk.put(ACCESS="AKIDEXAMPLE", SECRET="secret key")
    await desk.stores.prepare(DESCRIBED)
    store = desk.stores.open(DESCRIBED)
    assert isinstance(store, client.S3Store)
    refused = store.keys.current()
    assert not await store.keys.renewed(refused)
    await desk.put(ACCESS="AKIDCHANGED")
    assert await store.keys.renewed(refused)
    assert desk.signed_by() == "AKIDCHANGED"


async def test_while_the_database_is_away_the_keys_that_are_known_serve(desk: Desk) -> None:
    await desk.put(ACCESS="AKIDEXAMPLE", SECRET="secret key")
    await desk.stores.prepare(DESCRIBED)
    await desk.clock.run_for(6)

    async def away(name: str) -> str | None:
        raise errors.DatabaseUnavailable(reason="it restarts")

    desk.secrets.reveal = away  # type: ignore[assignment,method-assign]
    await desk.stores.prepare(DESCRIBED)
    assert desk.signed_by() == "AKIDEXAMPLE"


async def test_blanks_around_a_key_are_no_part_of_it_and_others_are_refused(desk: Desk) -> None:
    await desk.put(ACCESS=" AKIDEXAMPLE\n", SECRET="secret key")
    await desk.stores.prepare(DESCRIBED)
    assert desk.signed_by() == "AKIDEXAMPLE"
    other = Desk()
    await other.put(ACCESS="AKID\r\nX-Evil: 1", SECRET="secret key")
    await other.stores.prepare(DESCRIBED)
    with pytest.raises(errors.StoreUnavailable, match="secrets that no keys can be") as caught:
        other.signed_by()
    assert "AKID" not in str(caught.value)
