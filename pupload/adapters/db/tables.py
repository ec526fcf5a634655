"""
The tables.

Columns hold what is searched for; everything else is a blob that `pupload.adapters.db.codec` writes and reads. Times
are integers: microseconds since 1970, UTC. The schema itself is made by `migrations/`; a test holds the two together.
"""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects import postgresql

metadata = MetaData()

TEXT = Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
"""Compared by its bytes, as SQLite does, whatever language the database server was set up in."""


def _of_a_run() -> Column[str]:
    """What belongs to a run goes with it."""
    return Column("run_id", TEXT, ForeignKey("runs.id", ondelete="CASCADE"), nullable=False)


def _where(condition: str) -> dict[str, Any]:
    return {"sqlite_where": text(condition), "postgresql_where": text(condition)}


runs = Table(
    "runs",
    metadata,
    Column("id", TEXT, primary_key=True),
    Column("flow", TEXT, nullable=False),
    Column("status", TEXT, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("started_at", BigInteger),
    Column("finished_at", BigInteger),
    Column("error", TEXT, nullable=False),
    Column("idempotency_key", TEXT, unique=True),
    Column("last_seq", BigInteger, nullable=False),
    Column("head", LargeBinary, nullable=False),
    Column("owner", TEXT, nullable=False, server_default=""),
    Column("fence", BigInteger, nullable=False, server_default="0"),
    Column("closed_at", BigInteger),
    Column("tidy_at", BigInteger),
    Column("doomed_at", BigInteger),
    Column("family", TEXT),
    Column("flow_id", TEXT),
    Column("account_id", BigInteger),
    Column("followed", Integer),
    Column("parent_id", TEXT),
    Column("parent_edge", TEXT),
    Index("runs_unclosed", "owner", "created_at", **_where("closed_at IS NULL")),
    Index("runs_to_tidy", "tidy_at"),
    Index("runs_untidied", "finished_at", **_where("tidy_at IS NULL AND finished_at IS NOT NULL")),
    Index("runs_doomed", "doomed_at", **_where("doomed_at IS NOT NULL")),
    Index("runs_by_family", "family", **_where("family IS NOT NULL")),
    Index(
        *("runs_ended", "started_at", "status", "flow_id", "finished_at", "doomed_at"),
        **_where("finished_at IS NOT NULL AND doomed_at IS NULL"),
    ),
    Index("runs_by_age", "created_at", "id"),
    Index("runs_by_status", "status", "created_at", "id"),
    Index("runs_by_flow", "flow", "created_at", "id"),
    Index("runs_by_saved_flow", "flow_id", "created_at", "id", **_where("flow_id IS NOT NULL")),
    Index("runs_by_account", "account_id", "created_at", "id", **_where("account_id IS NOT NULL")),
    Index("runs_of_account", "account_id", "id", **_where("account_id IS NOT NULL")),
    Index("runs_of_account_by_status", "account_id", "status", "created_at", "id", **_where("account_id IS NOT NULL")),
    Index(
        *("runs_ended_by_account", "account_id", "started_at", "status", "flow_id", "finished_at", "doomed_at"),
        **_where("account_id IS NOT NULL AND finished_at IS NOT NULL AND doomed_at IS NULL"),
    ),
    Index("runs_unsettled", "id", **_where("followed IS NOT NULL AND finished_at IS NOT NULL")),
    Index("runs_by_parent", "parent_id", "id", **_where("parent_id IS NOT NULL")),
)
"""
One row per run. `last_seq` counts its journal: it grows in the statement that moves the version.

`owner` and `fence` say which controller may write (`ports.Ownership`); `closed_at` when the run, being over, had given
up all it held. `tidy_at` is when something of it is to be deleted next, `doomed_at` since when all of it is. `family`
is the first of the runs that it goes back to by being resumed, `flow_id` the saved flow that it is of, `account_id`
whose it is. The indexes of accounts hold no run that is nobody's. `followed` is 1 while something may follow from it
that was not done yet; `parent_id` is the run on whose behalf it is, `parent_edge` where that awaits its result.
"""

plans = Table(
    "plans", metadata, _of_a_run(), Column("blob", LargeBinary, nullable=False), PrimaryKeyConstraint("run_id")
)
"""What never changes in a run: written once."""

node_runs = Table(
    "node_runs",
    metadata,
    _of_a_run(),
    Column("node_id", TEXT, nullable=False),
    Column("blob", LargeBinary, nullable=False),
    PrimaryKeyConstraint("run_id", "node_id"),
    sqlite_with_rowid=False,
)
"""Nodes to which something happened: one without a row is as the run's plan begins it."""

artifacts = Table(
    "artifacts",
    metadata,
    _of_a_run(),
    Column("edge", TEXT, nullable=False),
    Column("blob", LargeBinary, nullable=False),
    Column("gone_at", BigInteger),
    PrimaryKeyConstraint("run_id", "edge"),
    sqlite_with_rowid=False,
)

journal = Table(
    "journal",
    metadata,
    _of_a_run(),
    Column("seq", BigInteger, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("kind", TEXT, nullable=False),
    Column("blob", LargeBinary, nullable=False),
    PrimaryKeyConstraint("run_id", "seq"),
    sqlite_with_rowid=False,
)

log_batches = Table(
    "log_batches",
    metadata,
    _of_a_run(),
    Column("last_cursor", BigInteger, nullable=False),
    Column("count", Integer, nullable=False),
    Column("node", TEXT, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("last_number", BigInteger, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("blob", LargeBinary, nullable=False),
    PrimaryKeyConstraint("run_id", "last_cursor"),
    Index("log_batches_by_node", "run_id", "node", "last_cursor"),
)
"""Log lines of one attempt, as many as came together. Named by its last line, so that `since` is one range."""

projects = Table(
    "projects",
    metadata,
    Column("id", TEXT, primary_key=True),
    Column("name", TEXT, nullable=False),
    Column("blob", LargeBinary, nullable=False),
)
"""Named by their ids, those of accounts with a slash and the account's number behind."""

meta = Table("meta", metadata, Column("key", TEXT, primary_key=True), Column("value", TEXT, nullable=False))
"""What is true of the whole database, such as the name of this instance."""

controllers = Table(
    "controllers",
    metadata,
    Column("id", TEXT, primary_key=True),
    Column("name", TEXT, nullable=False),
    Column("engine", TEXT, nullable=False),
    Column("store", TEXT, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("claim", LargeBinary, nullable=False),
)
"""Servers that hold, or held, a lease."""

letters = Table(
    "letters",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    _of_a_run(),
    Column("blob", LargeBinary, nullable=False),
    Index("letters_by_run", "run_id", "id"),
    sqlite_autoincrement=True,  # a number that was taken is not given again
)
"""What a run's owner is told by others."""

secrets = Table(
    "secrets",
    metadata,
    Column("id", TEXT, primary_key=True),
    Column("changed_at", BigInteger, nullable=False),
    Column("blob", LargeBinary, nullable=False),
)
"""Sealed values by their names, those of accounts with a slash and the account's number behind."""

schedules = Table(
    "schedules",
    metadata,
    Column("id", TEXT, primary_key=True),
    Column("flow_id", TEXT, nullable=False),
    Column("enabled", Integer, nullable=False),
    Column("look_at", BigInteger),
    Column("version", BigInteger, nullable=False),
    Column("blob", LargeBinary, nullable=False),
    Column("account_id", BigInteger),
    Index("schedules_by_account", "account_id", "id"),
    Index("schedules_by_flow", "flow_id", "id"),
    Index("schedules_due", "look_at", **_where("look_at IS NOT NULL")),
)
"""When runs of saved flows are to be started; `look_at` is when somebody has to see to one."""

namespaces = Table(
    "namespaces",
    metadata,
    Column("id", TEXT, primary_key=True),
    Column("name", TEXT, nullable=False),
    Column("account_id", BigInteger, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("blob", LargeBinary, nullable=False),
    Index("namespaces_by_name", "name", "account_id"),
    Index("namespaces_by_account", "account_id", "name"),
)
"""Namespaces that are kept; `account_id` is 0 where they are nobody's."""

memos = Table(
    "memos",
    metadata,
    Column("scope", TEXT, nullable=False),
    Column("key", TEXT, nullable=False),
    Column("uses", TEXT, nullable=False),
    _of_a_run(),
    Column("at", BigInteger, nullable=False),
    Column("blob", LargeBinary, nullable=False),
    PrimaryKeyConstraint("scope", "key"),
    Index("memos_by_type", "scope", "uses", "at"),
    Index("memos_by_run", "run_id"),
    Index("memos_by_age", "at"),
)
"""Work that was done, by what it is known by; it goes with the run whose objects it names."""

saved_flows = Table(
    "saved_flows",
    metadata,
    Column("id", TEXT, primary_key=True),
    Column("namespace", TEXT, nullable=False),
    Column("name", TEXT, nullable=False),
    Column("source", TEXT, nullable=False),
    Column("enabled", Integer, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("words", TEXT, nullable=False),
    Column("blob", LargeBinary, nullable=False),
    Column("account_id", BigInteger, nullable=False, server_default="0"),
    Column("public", Integer, nullable=False, server_default="0"),
    Index("saved_flows_by_name", "namespace", "name", "account_id", unique=True),
)
"""
Flows under their names; `words` are what a search looks in, in small letters.

Those of account 0 are nobody's, for a unique index tells no nothing from another.
"""

saved_versions = Table(
    "saved_versions",
    metadata,
    Column("id", TEXT, primary_key=True),
    Column("flow_id", TEXT, ForeignKey("saved_flows.id", ondelete="CASCADE"), nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("about", LargeBinary, nullable=False),
    Column("blob", LargeBinary, nullable=False),
    Index("saved_versions_by_flow", "flow_id", "number", unique=True),
)
"""Their versions: what is told of each, and its content, sealed."""

accounts = Table(
    "accounts",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("name", TEXT, nullable=False, unique=True),
    Column("service", Integer, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("blob", LargeBinary, nullable=False),
    sqlite_autoincrement=True,
)
"""Who has an account, sealed. A number is never given twice."""

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", TEXT, primary_key=True),
    Column("account_id", BigInteger, ForeignKey("accounts.id", ondelete="CASCADE"), nullable=False),
    Column("digest", TEXT, nullable=False, unique=True),
    Column("name", TEXT, nullable=False),
    Column("used_at", BigInteger),
    Column("revoked_at", BigInteger),
    Column("blob", LargeBinary, nullable=False),
    Index("api_keys_by_account", "account_id", "id"),
)
"""Their keys, by digests."""

sequences = Table(
    "sequences",
    metadata,
    Column("name", TEXT, primary_key=True),
    Column("last", BigInteger, nullable=False),
)
"""The last number that was given to a thing of that name which has no table of its own."""

drawings = Table(
    "drawings",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("account_id", BigInteger, nullable=False),
    Column("slug", TEXT, nullable=False),
    Column("public", Integer, nullable=False),
    Column("is_default", Integer, nullable=False),
    Column("nodes", Integer, nullable=False),
    Column("edges", Integer, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("deleted_at", BigInteger),
    Column("head", LargeBinary, nullable=False),
    Column("blob", LargeBinary, nullable=False),
    Index("drawings_by_slug", "slug", "account_id", unique=True, **_where("deleted_at IS NULL")),
    Index("drawings_of_account", "account_id", "id", **_where("deleted_at IS NULL")),
)
"""
Graphs that are drawn; those of account 0 are nobody's, for a unique index tells no nothing from another.

`nodes` and `edges` are how many there are; they themselves are in the blob, sealed, for there may be secrets in them.
"""

credentials = Table(
    "credentials",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("key", TEXT, nullable=False, unique=True),
    Column("account_id", BigInteger, nullable=False),
    Column("name", TEXT, nullable=False),
    Column("type", TEXT, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("blob", LargeBinary, nullable=False),
    Index("credentials_of_account", "account_id", "name", "id"),
    sqlite_autoincrement=True,
)
"""What opens something elsewhere, sealed; those of account 0 are nobody's. A number is never given twice."""

batches = Table(
    "batches",
    metadata,
    Column("id", TEXT, primary_key=True),
    Column("account_id", BigInteger),
    Column("status", TEXT, nullable=False),
    Column("tags", TEXT, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("blob", LargeBinary, nullable=False),
    Index("batches_of_account", "account_id", "created_at", "id"),
)
"""Runs that are planned together; `tags` have each a line of their own."""

tasks = Table(
    "tasks",
    metadata,
    Column("id", TEXT, primary_key=True),
    Column("batch_id", TEXT, ForeignKey("batches.id", ondelete="CASCADE"), nullable=False),
    Column("account_id", BigInteger),
    Column("status", TEXT, nullable=False),
    Column("tags", TEXT, nullable=False),
    Column("run_id", TEXT),
    Column("created_at", BigInteger, nullable=False),
    Column("blob", LargeBinary, nullable=False),
    Index("tasks_of_batch", "batch_id", "created_at", "id"),
    Index("tasks_of_account", "account_id", "created_at", "id"),
    Index("tasks_of_run", "run_id", **_where("run_id IS NOT NULL")),
)
"""Of batches; `run_id` is the run that does one, there or not."""

known_facts = Table(
    "known_facts",
    metadata,
    Column("id", TEXT, primary_key=True),
    Column("place", TEXT, nullable=False),
    Column("key", TEXT, nullable=False),
    Column("account_id", BigInteger),
    Column("run_id", TEXT, ForeignKey("runs.id", ondelete="CASCADE")),
    Column("scope", TEXT, nullable=False),
    Column("type", TEXT, nullable=False),
    Column("access_count", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("blob", LargeBinary, nullable=False),
    Index("known_facts_by_place", "place", "key", unique=True),
    Index("known_facts_of_account", "account_id", "updated_at", "id"),
    Index("known_facts_of_run", "run_id", **_where("run_id IS NOT NULL")),
)
"""What runs leave behind for later ones; those that one run alone knows go with it."""

forgotten_runs = Table(
    "forgotten_runs",
    metadata,
    Column("run_id", TEXT, ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
)
"""Runs that are not remembered as episodes any more."""

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", TEXT, primary_key=True),
    _of_a_run(),
    Column("host", TEXT, nullable=False),
    Column("due_at", BigInteger),
    Column("version", BigInteger, nullable=False),
    Column("blob", LargeBinary, nullable=False),
    Index("deliveries_by_run", "run_id", "id"),
    Index("deliveries_due", "due_at", **_where("due_at IS NOT NULL")),
)
"""Callbacks; `due_at` is empty when nothing is to be tried any more."""

feed = Table(
    "feed",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("txid", BigInteger, nullable=False),
    Column("run_id", TEXT, nullable=False),
    Column("kind", Integer, nullable=False),
    Column("upto", BigInteger, nullable=False),
    Column("count", Integer, nullable=False),
    Index("feed_in_order", "txid", "id"),
)
"""
Which part of which journal (`kind` 0) or log (1) came when: the `count` entries or lines that end with `upto`.

`txid` is the transaction that wrote it (0 where there is one writer): see `pupload.adapters.db.feed`. A row outlives
its run, and then tells nothing: a run is removed without looking for its rows here.
"""

messages = Table(
    "messages",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("key", TEXT, nullable=False, unique=True),
    Column("account_id", BigInteger, nullable=False),
    Column("flow", TEXT, nullable=False),
    Column("run_id", TEXT, nullable=False),
    Column("role", TEXT, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("blob", LargeBinary, nullable=False),
    Index("messages_of_run", "run_id", "id"),
    Index("messages_of_thread", "account_id", "flow", "at", "id"),
    sqlite_autoincrement=True,
)
"""What was said in threads, sealed; `account_id` is 0 where it is nobody's. The key is the run and who said it."""
