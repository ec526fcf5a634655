"""Who may do what: roles stand above each other, keys are never more than their owners."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pupload.domain import access
from pupload.domain.access import ALLOWED, ANYBODY, Caller, Permission, Role

ROLES = [Role.VIEWER, Role.OPERATOR, Role.EDITOR, Role.ADMIN]


def test_each_role_may_do_more_than_the_one_below() -> None:
    for lower, higher in itertools.pairwise(ROLES):
        assert ALLOWED[lower] < ALLOWED[higher]
    assert ALLOWED[Role.ADMIN] == set(Permission)


def test_a_viewer_changes_nothing_but_their_own_account() -> None:
    changing = {each for each in ALLOWED[Role.VIEWER] if not each.endswith(".view")}
    assert changing == {Permission.OWN_ACCOUNT}


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR, Role.EDITOR])
def test_administration_is_the_administrators(role: Role) -> None:
    mine = {Permission.SETTINGS_EDIT, Permission.USERS_MANAGE, Permission.RUNS_PURGE}
    assert not mine & ALLOWED[role]


@given(role=st.sampled_from(ROLES), scopes=st.none() | st.frozensets(st.sampled_from(list(Permission))))
def test_a_key_is_never_more_than_its_owner(role: Role, scopes: frozenset[Permission] | None) -> None:
    caller = Caller(user=1, name="ann", role=role, scopes=scopes)
    assert caller.permissions <= ALLOWED[role]
    assert all(caller.may(each) is (each in caller.permissions) for each in Permission)
    if scopes is not None:
        assert caller.permissions <= scopes | {Permission.OWN_ACCOUNT}
        assert scopes - caller.permissions == access.beyond(role, scopes)


@pytest.mark.parametrize(
    ("role", "owner", "public", "sees"),
    [
        (Role.EDITOR, 1, False, True),
        (Role.EDITOR, 2, False, False),
        (Role.EDITOR, None, False, False),
        (Role.EDITOR, 2, True, True),
        (Role.ADMIN, 2, False, True),
        (Role.ADMIN, None, False, True),
    ],
)
def test_everybody_finds_their_own(role: Role, owner: int | None, public: bool, sees: bool) -> None:
    assert Caller(user=1, name="ann", role=role).sees(owner, public=public) is sees


def test_before_there_are_accounts_everything_is_there_for_whoever_comes() -> None:
    assert ANYBODY.sees(None)
    assert all(ANYBODY.may(each) for each in Permission)


def test_scopes_by_name() -> None:
    assert access.scopes(["runs.view", "runs.view"]) == {Permission.RUNS_VIEW}
    with pytest.raises(ValueError, match=r"^runs\.all$"):
        access.scopes(["runs.view", "runs.all"])
