"""Errors: one tree, each with its sentence."""

import string
from inspect import cleandoc

import pytest

from pupload import errors


def below(kind: type[errors.PuploadError]) -> list[type[errors.PuploadError]]:
    return [kind, *(one for child in kind.__subclasses__() for one in below(child))]


ALL = [kind for kind in below(errors.PuploadError) if kind.__module__ == "pupload.errors"]


def facts_of(kind: type[errors.PuploadError]) -> list[str]:
    return [name for _, name, _, _ in string.Formatter().parse(cleandoc(kind.__doc__ or "")) if name]


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_every_error_tells_its_facts_in_one_line(kind: type[errors.PuploadError]) -> None:
    facts = {name: f"<{name}>" for name in facts_of(kind)}
    error = kind(**facts)
    assert str(error) == error.message
    assert "\n" not in str(error)
    for name, value in facts.items():
        assert value in str(error)
        assert getattr(error, name) == value


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_a_fact_that_nobody_gave_breaks_no_message(kind: type[errors.PuploadError]) -> None:
    error = kind()
    for name in facts_of(kind):
        assert f"({name} unknown)" in str(error)
    with pytest.raises(AttributeError):
        _ = error.no_such_fact


def test_facts_may_be_any_text() -> None:
    said = "{braces} %s \ud800 \n and more"
    assert str(errors.Malformed(reason=said)) == said


def test_every_leaf_stands_on_a_branch_that_says_who_may_mend_it() -> None:
    branches = (errors.Refused, errors.TryLater, errors.AttemptFailed, errors.Broken)
    loose = {kind for kind in ALL if not issubclass(kind, branches)}
    assert loose == {
        errors.PuploadError,
        errors.ObjectAbsent,
        errors.ObjectForbidden,
        errors.PreconditionFailed,
        errors.StoreRefused,
        errors.Misconfigured,
        errors.AnotherStore,
    }


def test_findings_travel_with_an_invalid_flow() -> None:
    assert errors.Invalid(what="flow").findings == ()
    assert errors.Invalid(what="flow", findings=("a", "b")).findings == ("a", "b")


def test_no_docstring_names_what_is_not_a_word() -> None:
    for kind in ALL:
        assert all(name.isidentifier() for name in facts_of(kind)), kind


def test_an_error_looked_at_before_it_is_made_does_not_loop() -> None:
    bare = errors.Malformed.__new__(errors.Malformed)
    with pytest.raises(AttributeError):
        _ = bare.reason
