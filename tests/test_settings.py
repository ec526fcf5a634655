"""What the operator decides."""

import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from pupload import errors
from pupload.cli import serving
from pupload.domain.reach import is_loopback
from pupload.settings import Settings


def made(**given: Any) -> Settings:
    return Settings(**given)


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("PUPLOAD_"):
            monkeypatch.delenv(name)


def test_every_setting_says_what_it_is() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert len(field.description) > 10, name
        assert field.description.rstrip().endswith((".", "`", ")")), name


def test_without_any_the_server_is_this_machines_own() -> None:
    found = made()
    assert (found.host, found.port, found.embedded_port) == ("127.0.0.1", 1234, 1235)
    assert found.embedded_store
    assert not found.insecure


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_loopback_needs_no_leave(host: str) -> None:
    assert is_loopback(host)
    assert made(host=host).host == host


def test_the_environment_is_read_under_its_prefix_and_arguments_win(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUPLOAD_PORT", "4000")
    monkeypatch.setenv("PUPLOAD_NETWORKS", '["none", "bridge"]')
    monkeypatch.setenv("PORT", "5000")
    assert (made().port, made().networks) == (4000, ("none", "bridge"))
    assert made(port=4001).port == 4001


def test_a_file_is_read_where_one_is_named_and_the_environment_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "settings"
    file.write_text("PUPLOAD_PORT=4000\nPUPLOAD_DATA=/srv/flows\n# a remark\n")
    assert made().port == 1234
    monkeypatch.setenv("PUPLOAD_ENV_FILE", str(file))
    assert (made().port, made().data) == (4000, Path("/srv/flows"))
    monkeypatch.setenv("PUPLOAD_PORT", "4001")
    assert made().port == 4001
    assert made(port=4002).port == 4002
    monkeypatch.setenv("PUPLOAD_ENV_FILE", str(tmp_path / "nothing"))
    with pytest.raises(errors.Misconfigured, match="which is no file"):
        made()


@pytest.mark.parametrize("line", ["PUPLOAD_PROT=1", "OTHER=1"])
def test_a_word_that_nobody_knows_is_not_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    file = tmp_path / "settings"
    file.write_text(f"{line}\n")
    monkeypatch.setenv("PUPLOAD_ENV_FILE", str(file))
    with pytest.raises(ValidationError, match="not permitted"):
        made()
    with pytest.raises(ValidationError, match="not permitted"):
        made(prot=1)


@pytest.mark.parametrize(
    "wrong",
    [
        {"port": -1},
        {"port": 65536},
        {"port": "many"},
        {"memory_share": 0},
        {"memory_share": 1.1},
        {"body_limit": 1},
        {"max_attempts_at_once": 0},
        {"grace_seconds": -1},
        {"upload_seconds": 0},
        {"log_level": "LOUD"},
    ],
)
def test_what_makes_no_sense_is_refused_by_name(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        made(**wrong)


def test_without_the_embedded_store_another_must_be_named() -> None:
    with pytest.raises(ValidationError, match="name another store"):
        made(embedded_store=False)
    assert not made(embedded_store=False, store_endpoint="https://s3.example.org").embedded_store


@pytest.mark.parametrize(("given", "port"), [({}, 1235), ({"port": 0}, 0), ({"store_port": 9}, 9), ({"port": 7}, 8)])
def test_the_stores_port_is_the_next_one(given: dict[str, Any], port: int) -> None:
    assert made(**given).embedded_port == port


def test_secrets_are_not_printed() -> None:
    found = made(store_secret_key="hush-hush")
    assert "hush-hush" not in f"{found!r} {found} {found.model_dump()} {found.model_dump_json()}"
    assert found.store_secret_key.get_secret_value() == "hush-hush"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"callback_url": "hooks.example?key=hush-hush"}, "callback_url cannot be used"),
        ({"callback_url": "http://169.254.169.254/?key=hush-hush"}, "a metadata service"),
        ({"callback_secrets": ["hush-hush"]}, "callback_secrets cannot be used: it has 9 bytes"),
        ({"callback_secrets": ["whsec_hush-hush"]}, "not base64"),
        ({"callback_secrets": ["hush-hush, and long enough"] * 3}, "more than 2"),
    ],
)
def test_a_callback_that_cannot_be_used_is_refused_and_not_quoted(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(errors.Misconfigured, match=said) as refused:
        serving.settings(**wrong)
    assert "hush-hush" not in str(refused.value)


def test_the_operators_callback_may_lead_inside() -> None:
    assert made(callback_url="http://10.0.0.1/in", callback_secrets=["a secret of 16 bytes"]).callback_secrets


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        made().port = 1
