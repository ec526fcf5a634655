"""
The moments of cron expressions, by cronsim, which keeps to what Debian's cron does.

Where clocks are put forward, a fire in the hour that is not comes right behind it; where they are put back, one in
the hour that is twice comes once. Expressions with `*` for minute or hour go by time that passes, and notice neither.
"""

import zoneinfo
from datetime import UTC, datetime

import cronsim

from pupload import errors

_FIELDS = 5
_NO_FIELDS = "a cron expression has five fields: minute, hour, day of month, month, day of week; 0 6 * * * for one"


class CronCalendar:
    """`schedule.Calendar`."""

    def check(self, cron: str, timezone: str) -> None:
        """See `schedule.Calendar.check`."""
        _moments(cron, timezone, datetime(2000, 1, 1, tzinfo=UTC))

    def following(self, cron: str, timezone: str, after: datetime) -> datetime | None:
        """See `schedule.Calendar.following`."""
        try:
            for found in _moments(cron, timezone, after):
                # In an hour that is twice, it begins again with the first of the two.
                if (moment := found.astimezone(UTC)) > after:
                    return moment
        except OverflowError:
            return None  # the calendar ends
        return None


def _moments(cron: str, timezone: str, after: datetime) -> cronsim.CronSim:
    if len(cron.split()) != _FIELDS:
        raise errors.Malformed(reason=_NO_FIELDS)
    try:
        return cronsim.CronSim(cron, after.astimezone(_zone(timezone)))
    except (cronsim.CronSimError, ValueError) as error:
        raise errors.Malformed(reason=f'the cron expression "{cron[:64]}" cannot be read: {error}') from error


def _zone(name: str) -> zoneinfo.ZoneInfo:
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise errors.Malformed(
            reason=f'there is no time zone "{name[:64]}": give a name such as UTC or Europe/Berlin'
        ) from error
