"""
Every statement that is run, as SQLAlchemy Core writes it.

They are compiled once, on first use, by the session of each database: what is left at run time is the driver's
own call. Parameters are named; in updates they begin with `new_` where the name would be a column's.
"""

from itertools import product
from typing import Any

from sqlalchemy import (
    BigInteger,
    BindParameter,
    Column,
    ColumnElement,
    Executable,
    Integer,
    Table,
    Text,
    and_,
    any_,
    bindparam,
    delete,
    func,
    insert,
    literal_column,
    not_,
    or_,
    select,
    update,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from pupload.adapters.db.tables import (
    artifacts,
    feed,
    journal,
    letters,
    log_batches,
    meta,
    node_runs,
    plans,
    projects,
    runs,
    secrets,
)

_LATER = {"closed_at", "tidy_at", "doomed_at", "gone_at", "family", "followed", "parent_id", "parent_edge"}
"""Columns that are empty at first."""


def _named(table: Table) -> dict[str, BindParameter[Any]]:
    return {column.name: bindparam(column.name) for column in table.columns if column.name not in _LATER}


def _put(table: Table) -> Executable:
    """Insert, in place of an earlier row of the same key."""
    named = _named(table)
    statement = postgresql.insert(table).values(named)  # SQLite writes it the same way, and its dialect compiles it
    keys = {column.name for column in table.primary_key}
    fresh: dict[str, Any] = {name: statement.excluded[name] for name in named if name not in keys}
    return statement.on_conflict_do_update(index_elements=sorted(keys), set_=fresh)


RUN: BindParameter[str] = bindparam("run")
ME: BindParameter[str] = bindparam("me")
"""The controller that this process is."""
ONE: ColumnElement[int] = literal_column("1", Integer)
NOUGHT: ColumnElement[int] = literal_column("0", Integer)
NEVER: ColumnElement[int] = literal_column(str((1 << 63) - 1), BigInteger)
"""All in the text: every parameter is given by its name, so there must be none that is not. (SQLAlchemy adds an
unnamed one wherever a LIMIT has no OFFSET.)"""


class _Now(FunctionElement[int]):
    """Microseconds since 1970 by the database's own clock, which goes on within a transaction."""

    type = BigInteger()
    inherit_cache = True


@compiles(_Now, "postgresql")
def _of_the_server(_element: Any, _compiler: Any, **_: Any) -> str:
    return "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"


@compiles(_Now, "sqlite")
def _of_this_machine(_element: Any, _compiler: Any, **_: Any) -> str:
    return "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER) * 1000"


NOW = _Now()


class _Transaction(FunctionElement[int]):
    """The number of the transaction that is under way; 0 where there is but one at a time."""

    type = BigInteger()
    inherit_cache = True


@compiles(_Transaction, "postgresql")
def _numbered(_element: Any, _compiler: Any, **_: Any) -> str:
    return "pg_current_xact_id()::text::bigint"


@compiles(_Transaction, "sqlite")
def _not_numbered(_element: Any, _compiler: Any, **_: Any) -> str:
    return "0"


# ── Writing runs ─────────────────────────────────────────────────────────────────────────────────────────────────

INSERT_RUN = postgresql.insert(runs).values(_named(runs)).on_conflict_do_nothing().returning(runs.c.id)
"""No row comes back when the id or the idempotency key is there already, perhaps since we looked."""
INSERT_PLAN = insert(plans)
PUT_NODE = _put(node_runs)
PUT_ARTIFACT = _put(artifacts)
INSERT_EVENT = insert(journal)

_GOING = or_(runs.c.status == bindparam("one"), runs.c.status == bindparam("other"))
"""The two states of a run that are not terminal."""

SAVE_RUN = (
    update(runs)
    .where(
        runs.c.id == RUN,
        runs.c.version == bindparam("if_version"),
        runs.c.owner == ME,
        runs.c.fence == bindparam("if_fence"),
    )
    .values(
        version=runs.c.version + ONE,
        status=bindparam("new_status"),
        started_at=func.coalesce(runs.c.started_at, bindparam("new_started_at")),
        finished_at=bindparam("new_finished_at"),
        error=bindparam("new_error"),
        head=bindparam("new_head"),
        last_seq=runs.c.last_seq + bindparam("events"),
    )
    .returning(runs.c.last_seq)
)
"""Moves the run on by one version and takes as many sequence numbers as there are events, or touches nothing."""

CONDEMN_RUN = (
    update(runs)
    .where(runs.c.id == RUN, runs.c.owner == ME, _GOING)
    .values(
        version=runs.c.version + ONE,
        status=bindparam("new_status"),
        finished_at=bindparam("new_finished_at"),
        closed_at=NOW,
        error=bindparam("new_error"),
        last_seq=runs.c.last_seq + ONE,
    )
    .returning(runs.c.last_seq)
)
"""Ends a run of which nothing but its row can be trusted. Nobody can tell what it holds, so it is closed as well."""

CLOSE_RUN = (
    update(runs)
    .where(runs.c.id == RUN, runs.c.owner == ME, runs.c.closed_at.is_(None), not_(_GOING))
    .values(closed_at=NOW)
    .returning(runs.c.id)
)
HIDE_RUN = update(runs).where(runs.c.id == RUN).values(doomed_at=runs.c.created_at, tidy_at=NEVER)
"""Of a dry run, when it is made."""
RELEASE_RUN = (
    update(runs)
    .where(runs.c.id == RUN, runs.c.doomed_at.is_not(None), runs.c.tidy_at == NEVER)
    .values(tidy_at=runs.c.doomed_at)
)
"""A dry run is due from now on; nothing happens to others."""
REMOVE_LETTERS = delete(letters).where(letters.c.run_id == RUN)

DELETE_RUN = delete(runs).where(runs.c.id == RUN)

# ── Reading runs ─────────────────────────────────────────────────────────────────────────────────────────────────

RUN_EXISTS = select(runs.c.id).where(runs.c.id == RUN)
LOCK_RUN = RUN_EXISTS.with_for_update(key_share=True)
"""Keeps other processes from writing to the run until the commit. SQLite has one writer and no such words."""
RUN_OF_KEY = select(runs.c.id).where(runs.c.idempotency_key == bindparam("key"))
GUARD = select(runs.c.owner, runs.c.fence).where(runs.c.id == RUN)
"""Where a save touched nothing, why."""
_head = select(
    runs.c.head,
    runs.c.flow,
    *(runs.c[name] for name in ("status", "version", "owner", "fence", "created_at", "finished_at", "error")),
).where(runs.c.id == RUN)

IS_KNOWN = or_(runs.c.doomed_at.is_(None), runs.c.tidy_at == NEVER)
"""Of runs that whoever drives them may find. A dry run is doomed from the beginning, and due when it was closed."""
HEAD = _head.where(IS_KNOWN)
DOOMED_HEAD = _head.where(not_(IS_KNOWN))
PLAN = select(plans.c.blob).where(plans.c.run_id == RUN)
NODES = select(node_runs.c.node_id, node_runs.c.blob).where(node_runs.c.run_id == RUN)
ARTIFACTS = select(artifacts.c.edge, artifacts.c.blob, artifacts.c.gone_at).where(artifacts.c.run_id == RUN)

UNFINISHED = select(runs.c.id).where(_GOING).order_by(runs.c.created_at, runs.c.id)

_STATUS = runs.c.status == bindparam("status")
_FLOW = runs.c.flow == bindparam("flow")
_SAVED_FLOW = runs.c.flow_id == bindparam("flow_id")
_ACCOUNT = runs.c.account_id == bindparam("account")
_ACCOUNT_BESIDE = func.coalesce(runs.c.account_id, NOUGHT) == bindparam("account")
"""The same, written so that no index of accounts is taken for it: where another one leaves few rows."""


def all_of(*conditions: tuple[bool, ColumnElement[bool]]) -> ColumnElement[bool] | None:
    """Those that are wanted, together; None where none is."""
    given = [condition for wanted, condition in conditions if wanted]
    return and_(*given) if given else None


_STARTED = and_(_GOING, runs.c.started_at.is_not(None))
_UNSTARTED = and_(_GOING, runs.c.started_at.is_(None))
_GIVEN = tuple(given for given in product((False, True), repeat=6) if not all(given[4:]))


def _filter(given: tuple[bool, ...], account: ColumnElement[bool]) -> ColumnElement[bool] | None:
    return all_of(*zip(given, (account, _STATUS, _FLOW, _SAVED_FLOW, _STARTED, _UNSTARTED), strict=True))


_FILTERS = {given: _filter(given, _ACCOUNT_BESIDE if any(given[4:]) else _ACCOUNT) for given in _GIVEN}
"""Of runs that are not over there are few, whoever's they are."""


SUMMARY = (
    *(runs.c.id, runs.c.flow, runs.c.status, runs.c.created_at, runs.c.started_at, runs.c.finished_at, runs.c.error),
    *(runs.c.flow_id, runs.c.account_id),
)
"""What lists show of a run."""


def _page(condition: Any) -> Executable:
    page = select(*SUMMARY).where(runs.c.doomed_at.is_(None))
    page = (
        page.order_by(runs.c.created_at.desc(), runs.c.id.desc()).limit(bindparam("limit")).offset(bindparam("offset"))
    )
    return page if condition is None else page.where(condition)


def _count(given: tuple[bool, ...]) -> Executable:
    """All less those that are doomed, which are few and have an index: the others need not be looked at one by one."""
    every = select(func.count()).select_from(runs)
    condition, beside = _FILTERS[given], _filter(given, _ACCOUNT_BESIDE)
    doomed = every.where(runs.c.doomed_at.is_not(None))
    if condition is not None and beside is not None:
        every, doomed = every.where(condition), doomed.where(beside)
    return select(every.scalar_subquery() - doomed.scalar_subquery())


PAGES = {given: _page(condition) for given, condition in _FILTERS.items()}
"""By whether an account, a status, a flow by its name, a saved flow, what has started or what has not are asked for."""
COUNTS = {given: _count(given) for given in _GIVEN}

# ── Journal and logs ─────────────────────────────────────────────────────────────────────────────────────────────

EVENTS = (
    select(journal.c.seq, journal.c.at, journal.c.kind, journal.c.blob)
    .where(journal.c.run_id == RUN, journal.c.seq > bindparam("after"))
    .order_by(journal.c.seq)
    .limit(bindparam("limit"))
    .offset(NOUGHT)
)

_logs = log_batches.c
_batch = select(_logs.last_cursor, _logs.count, _logs.node, _logs.attempt, _logs.last_number, _logs.blob)
_node = _logs.node == bindparam("node")
_attempt = _logs.attempt == bindparam("attempt")

INSERT_LOGS = insert(log_batches)
LAST_CURSOR = (
    select(_logs.last_cursor).where(_logs.run_id == RUN).order_by(_logs.last_cursor.desc()).limit(ONE).offset(NOUGHT)
)
LAST_NUMBER = (
    select(_logs.last_number)
    .where(_logs.run_id == RUN, _node, _attempt)
    .order_by(_logs.last_cursor.desc())
    .limit(ONE)
    .offset(NOUGHT)
)
_later = _batch.where(_logs.run_id == RUN, _logs.last_cursor > bindparam("since")).order_by(_logs.last_cursor)
LOGS = {
    (False, False): _later,
    (True, False): _later.where(_node),
    (False, True): _later.where(_attempt),
    (True, True): _later.where(_node, _attempt),
}
"""By whether a node and whether an attempt is asked for."""
LOG_NODES = select(_logs.node).distinct().where(_logs.run_id == RUN).order_by(_logs.node)
LATEST_LOGS = _batch.where(_logs.run_id == RUN, _node).order_by(_logs.last_cursor.desc())

INSERT_FEED = insert(feed).values(
    txid=_Transaction(), **{name: bindparam(name) for name in ("run_id", "kind", "upto", "count")}
)
"""See `pupload.adapters.db.feed`."""

# ── Projects, and the whole ──────────────────────────────────────────────────────────────────────────────────────

PUT_PROJECT = _put(projects)
PROJECTS = select(projects.c.id, projects.c.blob).where(
    projects.c.id >= bindparam("project"), projects.c.id < bindparam("behind")
)
INSERT_META = postgresql.insert(meta).on_conflict_do_nothing()
DELETE_META = delete(meta).where(meta.c.key.like(bindparam("beginning")))
META = select(meta.c.value).where(meta.c.key == bindparam("name"))

# ── Secrets, and what is sealed ──────────────────────────────────────────────────────────────────────────────────

PUT_SECRET = _put(secrets)
SECRET = select(secrets.c.blob).where(secrets.c.id == bindparam("secret"))
SECRETS = select(secrets.c.id, secrets.c.changed_at)
DELETE_SECRET = delete(secrets).where(secrets.c.id == bindparam("secret")).returning(secrets.c.id)


class Blobs:
    """The blobs of a table, some at a time, in the order of their key."""

    def __init__(self, table: Table, key: Column[Any]) -> None:
        blob = table.c.blob
        self.before: Any = 0 if isinstance(key.type, BigInteger) else ""
        """What every key is behind."""
        self.some = (
            select(key, blob).where(key > bindparam("after")).order_by(key).limit(bindparam("limit")).offset(NOUGHT)
        )
        self.replace = (
            update(table).where(key == bindparam("key"), blob == bindparam("old")).values(blob=bindparam("fresh"))
        )
        """Nothing is replaced that somebody changed since."""


# ── Put off ─────────────────────────────────────────────────────────────────────────────────────────────────────

BESIDE = frozenset({INSERT_PLAN, PUT_NODE, PUT_ARTIFACT, INSERT_EVENT, INSERT_LOGS, INSERT_FEED})
"""What is written beside a run's own row, and read by nothing that is `ROW_ONLY`."""

# ── PostgreSQL, where other processes may read and write ─────────────────────────────────────────────────────────

ROW_ONLY = frozenset({INSERT_RUN, SAVE_RUN, CONDEMN_RUN, GUARD, RUN_EXISTS, LOCK_RUN, RUN_OF_KEY})
"""Those that look at nothing but rows of `runs`: what was put off for other tables may wait."""

PULSE = select(
    runs.c.id,
    runs.c.version,
    select(func.max(_logs.last_cursor)).where(_logs.run_id == runs.c.id).correlate(runs).scalar_subquery(),
).where(runs.c.id == any_(bindparam("runs", type_=postgresql.ARRAY(Text))))
"""What changes whenever something is written for a run."""
