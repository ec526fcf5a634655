"""What a run of a job is given: values of any kind on the wire, texts to the flow."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from pupload import errors
from pupload.api import documents
from pupload.api.flwd import models
from pupload.domain import arguments, tables
from pupload.domain.flow import Flow
from pupload.domain.validation import flags


def read_new_run(document: Any) -> models.NewRun:
    """What is to be run. Null is as if it were not given. Raises `errors.Malformed`."""
    if not isinstance(document, dict):
        raise errors.Malformed(reason="the body must be a JSON object")
    given = {name: value for name, value in document.items() if value is not None}
    try:
        return models.NewRun.model_validate(given)
    except ValidationError as error:
        said = (f"{'.'.join(map(str, each['loc']))[:64]}: {each['msg']}" for each in error.errors()[:5])
        raise errors.Malformed(reason="; ".join(said)) from None


def texts(args: Mapping[str, Any]) -> dict[str, str]:
    """The arguments as texts: what is no text as JSON writes it; null is as if it were not given."""
    return {name: _text(value) for name, value in args.items() if value is not None}


def check(flow: Flow, given: Mapping[str, str]) -> None:
    """Raises `errors.Malformed` with every argument that is wrong in `wrong_args`."""
    if wrong := list(_wrong(flow, given)):
        said = "; ".join(f"{name[:64]}: {message}" for name, message in wrong[:3])
        more = f"; and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise errors.Malformed(reason=f"the arguments do not fit the job: {said}{more}", wrong_args=wrong)


def _wrong(flow: Flow, given: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    schema = arguments.schema(flow)
    known = {param.name: param for param in flow.params}
    for name, text in given.items():
        if name in known:
            if reason := flags.refused(text, known[name]):
                yield name, reason
        elif not schema["additionalProperties"]:
            yield name, f"the job takes no such argument; it takes: {', '.join(known)}"
    for name in schema["required"]:
        if name not in given:
            yield name, "it must be given"


def values(flow: Flow, given: Mapping[str, str]) -> dict[str, Any]:
    """What a run was given, as values of the kinds that the flow declares."""
    kinds = {param.name: flags.kind_of(param) for param in flow.params}
    return {name: arguments.value(text, kinds.get(name, "string")) for name, text in given.items()}


def read_moment(text: str, name: str) -> datetime | None:
    """A time as RFC 3339 writes it; None where there is none. Raises `errors.Malformed`."""
    if not text:
        return None
    try:
        # A plus that nobody escaped arrives as a blank.
        moment = datetime.fromisoformat(text.strip().replace(" ", "+")) if "T" in text.upper() else None
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise errors.Malformed(reason=f"{name} must be a time such as 2024-01-15T10:30:01Z")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise errors.Malformed(reason=f"{name} must be a time such as 2024-01-15T10:30:01Z") from None


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    spelled = documents.spelling(value)
    return tables.compact(value) if spelled is None else spelled
