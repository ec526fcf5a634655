"""What saved flows ask of a database, as SQLAlchemy Core writes it; see `pupload.adapters.db.statements`."""

from itertools import product
from typing import Any

from sqlalchemy import ColumnElement, Executable, bindparam, delete, func, insert, or_, select, update
from sqlalchemy.dialects import postgresql

from pupload.adapters.db.statements import NOUGHT, ONE, all_of
from pupload.adapters.db.tables import saved_flows, saved_versions

_FLOW = saved_flows.c.id == bindparam("flow")

INSERT = (
    postgresql.insert(saved_flows)
    .values({column.name: bindparam(column.name) for column in saved_flows.columns})
    .on_conflict_do_nothing()
    .returning(saved_flows.c.id)
)
"""No row comes back when the name is another's."""
MOVE = (
    update(saved_flows)
    .where(_FLOW, saved_flows.c.revision == bindparam("if_revision"))
    .values({column.name: bindparam(f"new_{column.name}") for column in saved_flows.columns if column.name != "id"})
    .returning(saved_flows.c.id)
)
"""Touches nothing when it is at another revision."""
INSERT_VERSION = insert(saved_versions)
REMOVE = delete(saved_flows).where(_FLOW).returning(saved_flows.c.id)

BY_ID = select(saved_flows.c.blob).where(_FLOW)
BY_NAME = (
    select(saved_flows.c.blob)
    .where(saved_flows.c.namespace == bindparam("namespace"), saved_flows.c.name == bindparam("name"))
    .order_by(saved_flows.c.account_id)
)

_CONDITIONS: tuple[ColumnElement[bool], ...] = (
    saved_flows.c.namespace == bindparam("namespace"),
    saved_flows.c.source == bindparam("source"),
    saved_flows.c.words.like(bindparam("text"), escape="\\"),
    saved_flows.c.enabled == bindparam("enabled"),
    or_(saved_flows.c.account_id == bindparam("account"), saved_flows.c.public == ONE),
)


def _page(condition: ColumnElement[bool] | None) -> Executable:
    order = saved_flows.c.namespace, saved_flows.c.name, saved_flows.c.account_id
    page = select(saved_flows.c.id, saved_flows.c.blob).order_by(*order)
    page = page.limit(bindparam("limit")).offset(bindparam("offset"))
    return page if condition is None else page.where(condition)


def _count(condition: ColumnElement[bool] | None) -> Executable:
    every = select(func.count()).select_from(saved_flows)
    return every if condition is None else every.where(condition)


_FILTERS: dict[tuple[bool, ...], Any] = {
    given: all_of(*zip(given, _CONDITIONS, strict=True)) for given in product((False, True), repeat=len(_CONDITIONS))
}
PAGES = {given: _page(condition) for given, condition in _FILTERS.items()}
"""By whether a namespace, a source, a text, whether they are enabled, and an account is asked for."""
COUNTS = {given: _count(condition) for given, condition in _FILTERS.items()}

_OF_FLOW = saved_versions.c.flow_id == bindparam("flow")
VERSIONS = (
    select(saved_versions.c.id, saved_versions.c.about)
    .where(_OF_FLOW)
    .order_by(saved_versions.c.number.desc())
    .limit(bindparam("limit"))
    .offset(bindparam("offset"))
)
VERSION = select(saved_versions.c.id, saved_versions.c.about, saved_versions.c.blob).where(
    _OF_FLOW, saved_versions.c.number == bindparam("number")
)

REVISIONS = select(saved_flows.c.id, saved_flows.c.revision)
_others = saved_versions.alias("others")
_newest = (
    select(func.max(_others.c.number)).where(_others.c.flow_id == saved_flows.c.id).correlate(saved_flows)
).scalar_subquery()
LATEST = (
    select(saved_flows.c.id, saved_flows.c.blob, saved_versions.c.id, saved_versions.c.blob)
    .select_from(saved_flows.join(saved_versions, saved_versions.c.flow_id == saved_flows.c.id))
    .where(saved_versions.c.number == _newest, saved_flows.c.id > bindparam("after"))
    .order_by(saved_flows.c.id)
    .limit(bindparam("limit"))
    .offset(NOUGHT)
)
