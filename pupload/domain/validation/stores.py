"""Rules about the stores that a flow brings along."""

from collections.abc import Iterator, Mapping

from pupload.domain.flow import DEFAULT_STORE, Store
from pupload.domain.validation.findings import Finding, found, pointer
from pupload.domain.validation.subject import FLOW, Subject, shown, utf8_length

PARAMS: Mapping[str, Mapping[str, type]] = {
    "s3": {
        "Endpoint": str,
        "BucketName": str,
        "Region": str,
        "AccessKey": str,
        "SecretKey": str,
        "Secure": bool,
        "PathStyle": bool,
        "PublicEndpoint": str,
        "Location": str,
    },
    "local": {},
}
"""By type of store, its params and their types; read without regard to case."""

REQUIRED: Mapping[str, tuple[str, ...]] = {"s3": ("Endpoint", "BucketName"), "local": ()}

_TYPE_NAMES = {str: "text", bool: "true or false"}


def names(subject: Subject) -> Iterator[Finding]:
    """Every store has a name of its own, and none the server's."""
    seen: set[str] = set()
    for path, store in _stores(subject):
        if reason := _bad_name(store.name):
            yield found("STORE_006", pointer(path, "Name"), store=shown(store.name), reason=reason)
        elif store.name in seen:
            yield found("STORE_005", pointer(path, "Name"), store=store.name)
        seen.add(store.name)


def types(subject: Subject) -> Iterator[Finding]:
    """Every store is of a type we know."""
    for path, store in _stores(subject):
        if store.type not in PARAMS:
            yield found("STORE_002", pointer(path, "Type"), store=shown(store.name))


def params(subject: Subject) -> Iterator[Finding]:
    """Every store has the params that its type needs, and no others."""
    for path, store in _stores(subject):
        if store.type in PARAMS:
            yield from _params(pointer(path, "Params"), store)


def unused(subject: Subject) -> Iterator[Finding]:
    """Every store is named by a well."""
    wells = [*subject.flow.wells, *filter(None, [subject.flow.default_well])]
    named = {well.store for well in wells}
    for path, store in _stores(subject):
        if store.name not in named and not _bad_name(store.name):
            yield found("STORE_004", path, store=store.name)


def default_well(subject: Subject) -> Iterator[Finding]:
    """DefaultDataWell names a store that exists."""
    well = subject.flow.default_well
    if well is not None and well.store not in subject.stores:
        yield found(
            "STORE_001", pointer(FLOW, "DefaultDataWell", "Store"), store=shown(well.store), where="DefaultDataWell"
        )


RULES = (names, types, params, unused, default_well)


def _stores(subject: Subject) -> Iterator[tuple[str, Store]]:
    return ((pointer(FLOW, "Stores", position), store) for position, store in enumerate(subject.flow.stores))


def _bad_name(name: str) -> str:
    """Why a store cannot be called so; empty when it can."""
    if not name:
        return "it is empty"
    if name == DEFAULT_STORE:
        return "that is the server's own store, which needs no definition"
    if utf8_length(name) > 128 or not name.isprintable():
        return "use at most 128 printable characters"
    return ""


def _params(path: str, store: Store) -> Iterator[Finding]:
    known = {name.lower(): (name, kind) for name, kind in PARAMS[store.type].items()}
    given = {name.lower(): value for name, value in store.params.items()}
    for name, value in store.params.items():
        if name.lower() not in known:
            reason = f"{shown(name)} is not known"
            yield found("STORE_003", pointer(path, name), store=shown(store.name), reason=reason)
        elif not isinstance(value, known[name.lower()][1]):
            reason = f"{known[name.lower()][0]} must be {_TYPE_NAMES[known[name.lower()][1]]}"
            yield found("STORE_003", pointer(path, name), store=shown(store.name), reason=reason)
        elif name.lower() == "location":
            yield found(
                "WARN_001", pointer(path, name), field=f"Location of store {shown(store.name)}", instead="use Region"
            )
    for name in REQUIRED[store.type]:
        value = given.get(name.lower(), "")
        if isinstance(value, str) and not value.strip():
            yield found("STORE_003", path, store=shown(store.name), reason=f"{name} is missing")
