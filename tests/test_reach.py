"""Where flows may send the server, as the settings decide it: through the assembled stores, not to any network."""

from pathlib import Path
from typing import Any

import pytest

from pupload import errors, ports, storing
from pupload.adapters.system.clock import SystemClock
from pupload.domain.flow import Store
from pupload.settings import Settings

KEYS = {"AccessKey": "AKID", "SecretKey": "secret", "BucketName": "bucket"}
OWN: dict[str, Any] = {"embedded_store": False, "store_endpoint": "http://127.0.0.1:9000", "store_access_key": "a"}
OPEN: dict[str, Any] = {"host": "0.0.0.0", "insecure": True}


def opened(folder: Path, endpoint: str, keys: dict[str, str] = KEYS, **given: Any) -> ports.ObjectStore:
    """A flow's store, on a server with these settings."""
    settings = Settings(**{"data": folder, **OWN, "store_secret_key": "s", **given})
    stores = storing._other_stores(settings, SystemClock())
    return stores.open(Store(name="theirs", type="s3", params={"Endpoint": endpoint, **keys}))


@pytest.mark.parametrize(
    "endpoint", ["http://127.0.0.1:9000", "http://localhost", "http://10.1.2.3", "http://[fd12::1]"]
)
def test_the_own_network_is_open_to_flows_where_nobody_else_posts_them(endpoint: str, tmp_path: Path) -> None:
    assert opened(tmp_path, endpoint).name == "theirs"
    assert opened(tmp_path, endpoint, store_private_endpoints=True, **OPEN).name == "theirs"
    for given in (OPEN, {"store_private_endpoints": False}):
        with pytest.raises(errors.Refused):
            opened(tmp_path, endpoint, **given)


def test_metadata_services_are_closed_to_all_flows(tmp_path: Path) -> None:
    for private in (None, True, False):
        with pytest.raises(errors.Refused):
            opened(tmp_path, "http://169.254.169.254", store_private_endpoints=private)


def test_the_world_is_open_to_all_flows(tmp_path: Path) -> None:
    assert opened(tmp_path, "https://s3.example.org", **OPEN).name == "theirs"


def test_strangers_are_lent_no_keys_beside_the_operators_own_store_either(tmp_path: Path) -> None:
    without = {"BucketName": "bucket"}
    assert opened(tmp_path, "https://s3.example.org", without).name == "theirs"
    with pytest.raises(errors.Refused):
        opened(tmp_path, "https://s3.example.org", without, **OPEN)
