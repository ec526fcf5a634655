"""The statements of `pupload.adapters.db.ownership`: leases, claims, changes of hands and letters."""

from sqlalchemy import BigInteger, and_, bindparam, delete, insert, select, update
from sqlalchemy.dialects import postgresql

from pupload.adapters.db.statements import IS_KNOWN, ME, NOUGHT, NOW, ONE, RUN
from pupload.adapters.db.tables import controllers, letters, meta, runs

_UNCLOSED = and_(runs.c.closed_at.is_(None), IS_KNOWN)
"""Runs for which something may be left to do."""
_OTHER = controllers.c.id != ME
_LIVE = controllers.c.expires_at > NOW

# ── Leases ───────────────────────────────────────────────────────────────────────────────────────────────────────

_put = postgresql.insert(controllers).values(
    {name: bindparam(name) for name in ("id", "name", "engine", "store", "claim")}
    | {"expires_at": NOW + bindparam("lease", type_=BigInteger)}
)
PUT_CONTROLLER = _put.on_conflict_do_update(
    index_elements=["id"],
    set_={name: _put.excluded[name] for name in ("name", "engine", "store", "expires_at", "claim")},
)
OTHERS = (
    select(controllers.c.id, controllers.c.name, controllers.c.engine, controllers.c.store)
    .where(_OTHER, _LIVE)
    .order_by(controllers.c.id)
)
END_OTHERS = delete(controllers).where(_OTHER)
SIGN_OUT = update(controllers).where(controllers.c.id == ME).values(expires_at=NOW)
"""Its claim stays, for when it comes back."""
SWEEP = delete(controllers).where(
    controllers.c.id.in_(
        select(controllers.c.id)
        .where(controllers.c.expires_at < NOW - bindparam("kept", type_=BigInteger))
        .with_for_update(skip_locked=True)
    )
)
"""Removes those that have been gone for long."""

# ── Runs that change hands ───────────────────────────────────────────────────────────────────────────────────────

DISOWN = update(runs).where(runs.c.owner == ME, _UNCLOSED).values(owner=bindparam("nobody"))
"""Those of our earlier self."""
FREE = (
    select(runs.c.id, runs.c.owner)
    .where(_UNCLOSED, runs.c.owner != ME, runs.c.owner.not_in(select(controllers.c.id).where(_LIVE)))
    .order_by(runs.c.created_at, runs.c.id)
    .limit(bindparam("limit"))
    .offset(NOUGHT)
    .with_for_update(of=runs, skip_locked=True)
)
"""Without those that somebody else takes, or writes to, at this moment. Nobody takes the others before the commit."""
TAKE = (
    update(runs)
    .where(runs.c.id == RUN)
    .values(owner=bindparam("new_owner"), fence=runs.c.fence + ONE, version=runs.c.version + ONE)
)
OWNED = select(runs.c.id).where(runs.c.owner == ME, _UNCLOSED).order_by(runs.c.created_at, runs.c.id)

# ── Claims ───────────────────────────────────────────────────────────────────────────────────────────────────────

LOCK_NAME = select(meta.c.key).where(meta.c.key == bindparam("name")).with_for_update()
TRY_NAME = select(meta.c.key).where(meta.c.key == bindparam("name")).with_for_update(skip_locked=True)
"""Rows of `meta` stand for locks that are held until the commit. SQLite, which has one writer, needs none."""
LOCK_MINE = select(_LIVE.label("live"), controllers.c.claim).where(controllers.c.id == ME).with_for_update()
"""Whether our lease goes on, and our claim."""
LOCK_DEAD = select(controllers.c.id).where(_OTHER, ~_LIVE).with_for_update(skip_locked=True)
"""Those that stay dead until the commit. One that comes back at this moment has its row, and is not among them."""
CLAIMS = select(controllers.c.id, controllers.c.claim).where(_OTHER, controllers.c.engine == bindparam("engine"))
PUT_CLAIM = update(controllers).where(controllers.c.id == ME).values(claim=bindparam("new_claim"))

# ── Letters ──────────────────────────────────────────────────────────────────────────────────────────────────────

ADDRESSEE = select(runs.c.id).where(runs.c.id == RUN, _UNCLOSED).with_for_update(read=True, key_share=True)
"""A run that takes letters; nobody deletes it before the commit."""
POST = insert(letters).values(run_id=bindparam("run_id"), blob=bindparam("blob")).returning(letters.c.id)
LETTERS = (
    select(letters.c.id, letters.c.run_id, letters.c.blob)
    .join(runs, runs.c.id == letters.c.run_id)
    .where(runs.c.owner == ME)
    .order_by(letters.c.id)
)
REMOVE = delete(letters).where(letters.c.id == bindparam("letter"))
WAITS = (
    select(letters.c.id).join(runs, runs.c.id == letters.c.run_id).where(letters.c.id == bindparam("letter"), _UNCLOSED)
)
