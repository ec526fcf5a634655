"""How flows name secrets, and what may be one."""

import pytest

from pupload.domain import secret


@pytest.mark.parametrize("name", ["KEY", "a", "_", "0", "S3.key_1-x", "x" * 128])
def test_a_whole_value_names_a_secret(name: str) -> None:
    assert secret.named(f"${{secret.{name}}}") == name
    assert secret.path_of(name) == f"/run/secrets/{name}"


@pytest.mark.parametrize(
    "value",
    [
        *("${secret.}", "${secret.a b}", "${secret.../x}", "${secret..x}", "${secret.a/b}", "${secret.-x}"),
        *(f"${{secret.{'x' * 129}}}", "${secret.KEY} ", "x${secret.KEY}", "${secret.A}${secret.B}", "${secret.KEY"),
        "${secret.KEY}\n",
    ],
)
def test_what_only_looks_like_a_reference_is_none_and_is_noticed(value: str) -> None:
    assert secret.named(value) is None
    assert secret.is_mentioned(value)


@pytest.mark.parametrize("value", ["", "KEY", "$secret.KEY", "${SECRET.KEY}", "${KEY}", True, None, 3])
def test_other_values_name_nothing(value: object) -> None:
    assert secret.named(value) is None
    assert not secret.is_mentioned(value)


def test_a_stores_secrets_are_told_once_each() -> None:
    params: dict[str, str | bool] = {
        "AccessKey": "${secret.A}",
        "SecretKey": "${secret.B}",
        "SessionToken": "${secret.A}",
        "Secure": True,
    }
    assert secret.of_store(params) == ("A", "B")


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("abc", "fewer than 4"),
        ("     ", "blanks"),
        ("abc\ud800", "Unicode"),
        ("x" * (secret.MOST_BYTES + 1), "longer than"),
        ("ö" * (secret.MOST_BYTES // 2 + 1), "longer than"),
    ],
)
def test_what_cannot_be_kept_secret_is_refused(value: str, why: str) -> None:
    assert why in secret.objection(value)
    assert value not in secret.objection(value)


@pytest.mark.parametrize("value", ["abcd", "a\nb\x00c", "x" * secret.MOST_BYTES])
def test_other_values_may_be_secrets(value: str) -> None:
    assert secret.objection(value) == ""
