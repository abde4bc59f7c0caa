"""What comes again and again: the usual time between two, and whether the next one is late."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import median

# Nothing is late before.
_LEAST_PATIENCE = timedelta(days=8)


def is_late(moments: Iterable[datetime], now: datetime) -> bool:
    """Tell whether the newest moment is older than twice the usual time between two, and than eight days.

    Several moments of one day, such as the tries of a task, count once.

    :param moments: when it came, in any order; where it has not come for so long that no moment is known, it
        is late.
    :param now: the moment of the report.
    """
    known = sorted(moments)
    if not known:
        return True
    days = sorted({moment.date() for moment in known})
    usual = median([(later - earlier).days for earlier, later in pairwise(days)] or [0])
    return now - known[-1] > max(_LEAST_PATIENCE, 2 * timedelta(days=usual))
