"""Backfill: a run of a saved flow for each of many dates, all started at once; they wait for room like any other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from pupload import errors
from pupload.domain import ids
from pupload.domain.priority import BACKFILL
from pupload.ports import Ids
from pupload.service.flows import Flows

PARAM = "date"
"""The parameter that holds a run's date, as YYYY-MM-DD."""

PREFIX = "backfill_"

MOST_KEY = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """The runs of one backfill."""

    id: str
    """Their label `backfill`."""
    flow: str
    """The id."""
    dates: Sequence[date]
    runs: Sequence[str]
    """Ids, one for each date, in the order of the dates."""


class Backfill:
    """Starts runs for dates."""

    def __init__(self, *, flows: Flows, ids: Ids, most_dates: int = 366) -> None:
        """`most_dates` may be in one batch."""
        self._flows = flows
        self._ids = ids
        self._most_dates = most_dates

    async def start(
        self,
        flow: str,
        first: str,
        last: str,
        *,
        params: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
        priority: int | None = None,
        memoize: bool = True,
        idempotency_key: str | None = None,
    ) -> Batch:
        """
        A run for each date from `first` to `last`, both included and given as YYYY-MM-DD.

        Without a `priority` they come after other runs of the flow: dates of the past can wait. `memoize` is as
        for `Flows.start`.

        Asked again with the same key, the same dates have the same runs; what was left undone is done. Raises
        `errors.Malformed` for dates that are none, are the wrong way round or too many, and as `Flows.start` does:
        where the flow cannot be run, none is started.
        """
        dates = self._dates(first, last)
        flow_id = (await self._flows.find(flow)).id
        batch = PREFIX + (idempotency_key or self._ids.new_run_id().removeprefix(ids.PREFIX))
        runs = []
        for day in dates:  # one after another, so that their ids are in order
            view = await self._flows.start(
                flow_id,
                params={**(params or {}), PARAM: day.isoformat()},
                labels={**(labels or {}), "backfill": batch, "date": day.isoformat()},
                priority=priority,
                below=BACKFILL,
                memoize=memoize,
                idempotency_key=f"{batch} {day.isoformat()}",
            )
            runs.append(view.run.id)
        return Batch(id=batch, flow=flow_id, dates=dates, runs=runs)

    def _dates(self, first: str, last: str) -> Sequence[date]:
        start, end = _date(first), _date(last)
        count = (end - start).days + 1
        if count < 1:
            raise errors.Malformed(reason=f"the last date, {end}, is before the first, {start}")
        if count > self._most_dates:
            raise errors.Malformed(reason=f"from {start} to {end} are {count} dates; {self._most_dates} are the most")
        return [start + timedelta(days=day) for day in range(count)]


def _date(text: str) -> date:
    try:
        found = date.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.isoformat() != text:  # 20260101 and 2026-W01-4 are ISO, too
        raise errors.Malformed(reason=f'"{text[:32]}" is no date: write it as YYYY-MM-DD')
    return found
