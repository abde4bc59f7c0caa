"""Whatever a server could send, and whatever jobs there could be: made up by Hypothesis.

Two thousand examples by default, the same each time; as many as ``AVEPOINT_FUZZ_EXAMPLES`` says, and others
each time, where it is set. What fails prints how to have it again.
"""

from __future__ import annotations

import os
from datetime import timedelta

from hypothesis import HealthCheck, settings

_LONG = os.environ.get("AVEPOINT_FUZZ_EXAMPLES")
EXAMPLES = int(_LONG or 2000)
IS_LONG = _LONG is not None
# Pages, rows, single jobs, licences and tokens, policies, shared answers, watermarks.
_PROPERTIES = 7

_COMMON = {
    "database": None,
    "deadline": None,  # what is bounded is counted: requests and pages
    "print_blob": True,
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large],
}
settings.register_profile("fuzz-quick", derandomize=True, **_COMMON)
settings.register_profile("fuzz-long", **_COMMON)

HOUR = timedelta(hours=1)


def fuzz(cases: int) -> settings:
    """Return the settings of a property that has so many *cases*: each property has its share of examples."""
    profile = settings.get_profile("fuzz-long" if _LONG else "fuzz-quick")
    return settings(profile, max_examples=max(1, EXAMPLES // _PROPERTIES // cases))
