"""Credentials: what may be one, what of it is shown, what comes back, what nodes are given."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pupload.domain import credential, secret
from pupload.domain.credential import MASK, Credential

NOON = datetime(2026, 3, 3, 12, tzinfo=UTC)
KEY = "sk-0123456789abcdef"


def a_credential(type_: str = "llm", number: int = 1, name: str = "openai", **detail: Any) -> Credential:
    return Credential(
        id=number,
        key=f"cred_{number}",
        name=name,
        type=type_,
        detail=credential.complete(type_, detail),
        created_at=NOON,
        updated_at=NOON,
    )


# ── What may be one ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("name", "type_", "detail", "why"),
    [
        ("", "llm", {}, "1 to 255"),
        ("  ", "llm", {}, "blanks"),
        ("x" * 256, "llm", {}, "1 to 255"),
        ("a\nb", "llm", {}, "printable"),
        ("a", "smtp", {}, "type is one of"),
        ("a", "llm", {"api_key": 7}, "api_key must be a text"),
        ("a", "llm", {"api_key": None}, "api_key must be a text"),
        ("a", "llm", {"custom_headers": "x"}, "custom_headers must be an object"),
        ("a", "tool", {"": 1}, "1 to 128"),
        ("a", "tool", {"a.b": 1}, "1 to 128"),
        ("a", "tool", {str(number): 1 for number in range(101)}, "100 keys"),
        ("a", "tool", {"config": {"a": "x" * (64 * 1024)}}, "longer than"),
        ("a", "tool", {"config": {"a": "\ud800"}}, "Unicode"),
        ("a", "tool", {"config": {"a": [2**64]}}, "too large"),
        ("a", "tool", {"a": float("inf")}, "too large"),
        ("a", "tool", {"config": {"1": {"2": {"3": {"4": {"5": {"6": {"7": {"8": 1}}}}}}}}}, "nested"),
    ],
)
def test_what_can_be_no_credential_is_told_without_a_value(
    name: str, type_: str, detail: dict[str, Any], why: str
) -> None:
    (objection,) = credential.objections(name, type_, detail)
    assert why in objection
    assert "xxx" not in objection


def test_all_objections_are_told_at_once() -> None:
    assert len(list(credential.objections("", "smtp", {"a b": 1}))) == 3


@pytest.mark.parametrize("type_", credential.TYPES)
def test_every_type_has_defaults_that_it_takes_itself(type_: str) -> None:
    assert not list(credential.objections("a", type_, credential.complete(type_, {})))
    assert not list(credential.objections("a", type_, credential.complete(type_, {"another": [1, {"deep": "x"}]})))


# ── Masks ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("", MASK),
        ("a", MASK),
        ("abcdefgh", MASK),
        ("x" * 15, MASK),
        ("abcd56789012wxyz", "abcd****wxyz"),
        (KEY, "sk-0****cdef"),
    ],
)
def test_the_ends_of_a_long_value_are_shown_and_nothing_of_a_short_one(value: str, shown: str) -> None:
    assert credential.mask(value) == shown


@given(st.text(max_size=100))
def test_never_more_than_half_of_a_value_is_shown(value: str) -> None:
    shown = credential.mask(value)
    assert (len(shown) - len(MASK)) * 2 <= len(value) or shown == MASK


def test_of_a_language_model_all_is_shown_but_its_key_and_the_values_of_headers() -> None:
    this = a_credential(
        api_key=KEY,
        base_url="https://llm.example/v1",
        organization_id="org",
        custom_headers={"X-Key": KEY, "X-Org": "o"},
    )
    assert credential.masked(this) == {
        "provider_type": "openai_compatible",
        "api_key": "sk-0****cdef",
        "base_url": "https://llm.example/v1",
        "organization_id": "org",
        "custom_headers": {"X-Key": "sk-0****cdef", "X-Org": MASK},
    }


def test_of_git_not_even_the_ends_of_a_key_are_shown() -> None:
    shown = credential.masked(a_credential("git", ssh_private_key=KEY, access_token=KEY))
    assert (shown["ssh_private_key"], shown["webhook_secret"], shown["access_token"]) == (MASK, "", "sk-0****cdef")


def test_a_tools_configuration_and_what_a_type_does_not_know_is_masked_all_the_way_down() -> None:
    shown = credential.masked(a_credential("tool", config={"a": [KEY, 4711, True, None, {"b": KEY}]}, other=KEY))
    mask = "sk-0****cdef"
    assert shown["config"] == {"a": [mask, MASK, True, None, {"b": mask}]}
    assert shown["other"] == mask


@pytest.mark.parametrize("url", ["https://ann:hunter2@llm.example/v1", "https://llm.example/v1?key=hunter2"])
def test_an_address_that_lets_somebody_in_is_masked(url: str) -> None:
    assert "hunter2" not in str(credential.masked(a_credential(base_url=url)))


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=30),
    lambda deeper: st.lists(deeper, max_size=3) | st.dictionaries(st.text(max_size=5), deeper, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.from_regex(r"[a-z]{1,8}", fullmatch=True), values, max_size=4))
def test_whoever_writes_back_what_was_shown_changes_nothing(detail: dict[str, Any]) -> None:
    this = a_credential(
        "tool", **{key: value for key, value in detail.items() if key not in ("config", "type_", "name")}
    )
    assert credential.changed(this, credential.masked(this)) == this.detail


def test_a_change_replaces_the_keys_that_it_names_and_keeps_what_comes_back_masked() -> None:
    this = a_credential(api_key=KEY, organization_id="org", custom_headers={"X-A": KEY, "X-B": "another value"})
    after = credential.changed(this, {"organization_id": "new", "custom_headers": {"X-A": "sk-0****cdef", "X-C": "c"}})
    assert after == {**this.detail, "organization_id": "new", "custom_headers": {"X-A": KEY, "X-C": "c"}}


def test_another_ones_mask_is_a_value_like_any_other() -> None:
    after = credential.changed(a_credential(api_key=KEY), {"api_key": "abcd****wxyz"})
    assert after["api_key"] == "abcd****wxyz"


def test_a_changed_credential_has_all_that_its_type_knows() -> None:
    later = NOON + timedelta(hours=1)
    after = credential.renewed(a_credential(api_key=KEY), later, name=None, detail={"base_url": "http://x"})
    assert (after.name, after.updated_at, after.detail["api_key"]) == ("openai", later, KEY)
    assert set(after.detail) == set(credential.TYPES["llm"])


def test_a_value_is_not_in_what_a_credential_looks_like_in_an_error() -> None:
    assert KEY not in repr(a_credential(api_key=KEY))


# ── What a node is given ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_text_is_given_as_it_is_and_everything_else_as_json() -> None:
    this = a_credential(api_key=KEY, custom_headers={"X-A": "ä value"}, base_url="x", limit=7)
    assert credential.given(this, "api_key") == KEY
    assert credential.given(this, "custom_headers") == '{"X-A": "ä value"}'
    assert credential.given(this, "base_url") == "x"


@pytest.mark.parametrize("key", ["organization_id", "custom_headers", "absent", "short", "number"])
def test_what_is_empty_absent_or_too_short_to_be_masked_is_not_given(key: str) -> None:
    assert credential.given(a_credential(short="abc", number=7), key) is None


def test_flows_name_credentials_by_name_and_number_and_of_one_name_the_oldest_is_meant() -> None:
    first = a_credential("telegram", 1, "bot", bot_token=KEY)
    second = a_credential("telegram", 2, "bot", bot_token=KEY, allowed_user_ids="1,2")
    third = a_credential("telegram", 3, "not a name", bot_token=KEY)
    fourth = a_credential("telegram", 4, "1", allowed_user_ids="7")
    assert credential.names([first, second, third, fourth]) == {
        "bot_token@bot",
        "bot_token@1",
        "bot_token@2",
        "allowed_user_ids@2",
        "bot_token@3",
        "allowed_user_ids@4",
    }


@pytest.mark.parametrize(
    ("text", "number"), [("12", 12), ("0", 0), ("a1", None), ("", None), ("²", None), ("9" * 19, None)]
)
def test_digits_alone_are_a_number(text: str, number: int | None) -> None:
    assert credential.number(text) == number


def test_every_text_in_what_was_given_as_json_is_known_to_be_masked() -> None:
    written = credential.given(a_credential("tool", config={"a": ["one", {"b": "two"}], "c": 3}), "config")
    assert written is not None
    assert list(credential.texts_in(written)) == ["one", "two"]
    assert not list(credential.texts_in(KEY))
    assert not list(credential.texts_in("{no json"))


def test_a_credentials_value_is_named_as_a_secret_is() -> None:
    name = secret.named("${credential.open-ai.v1.api_key}")
    assert name == "api_key@open-ai.v1"
    assert secret.credential_of(name) == ("open-ai.v1", "api_key")
    assert secret.written(name) == "${credential.open-ai.v1.api_key}"
    assert secret.path_of("api_key@12") == "/run/secrets/api_key@12"
    assert secret.credential_of("plain") is None
    assert secret.written("plain") == "${secret.plain}"


@pytest.mark.parametrize(
    "text",
    [
        "${credential.openai}",
        "${credential..api_key}",
        "${credential.a b.key}",
        "x ${credential.a.b}",
        "${credential.a.b}x",
    ],
)
def test_what_names_a_credential_wrongly_is_noticed(text: str) -> None:
    assert secret.named(text) is None
    assert secret.is_mentioned(text)
