"""The table as a document, ``docs/faults.md``."""

from __future__ import annotations

from pathlib import Path

from airflow_provider_avepoint.core.products import PRODUCTS
from airflow_provider_avepoint.core.retry import MAX_ATTEMPTS

from .table import (
    AT_A_TIME,
    DRIVERS,
    FAULTS,
    GROUPS,
    PAGES,
    READING_FAULTS,
    RESTORE_FAULTS,
    SHARED,
    Fault,
    RestoreFault,
    all_cases,
    some_cases,
)

PATH = Path(__file__).parent.parent.parent / "docs" / "faults.md"

_BEFORE = """\
# What happens when something goes wrong

Written by `python -m tests.faults --write` from the table that the tests play (`tests/faults/table.py`); a
test fails when this file says anything else.

Each row is a fault of the network, of AvePoint's API or of its identity service, in a listing of jobs. A
listing is complete or it raises: it is not cut short in silence, so that no gate opens because a page was
lost. Where it raises, the message says what to do, and no verdict is reached. What the task then does follows
from the exception:

| exception | whose fault | the task |
|---|---|---|
| `AvePointUnavailable` | the network or the service | is retried as Airflow's settings say |
| `AvePointPayloadError` | an answer that cannot be read or does not add up | likewise |
| `AvePointRequestError` | the API refuses the request | fails at once: a retry cannot help |
| `AvePointAuthError` | the credentials are refused | fails at once |
| `AvePointPermissionError` | the app registration lacks a permission | fails at once |
| `AvePointRestoreUncertain` | an answer that is lost: a restore may have begun | fails at once |

A request is tried {attempts} times at most, with pauses that grow, for as long as trying again can help. The
token and the client secret go to the connection's own addresses only: redirects and links elsewhere are not
followed, whoever sends them.

The {faults} faults meet all {products} products, both drivers ({drivers}), the {pages} page,
and pages fetched one by one and {at_a_time} at a time: {all} cases, of which `make test` plays {some} and
`make faults` all. Each case checks the outcome, the message, the number of requests, that a second server at
another address was asked nothing, and that neither the secret nor a token stands in the message or the log.
"""

_READINGS = """\
## Readings beside the jobs

Schedule, retention, unusual activity, monitor alerts and coverage meet the faults of the network, of
statuses, of bodies and of the identity service as a listing does: {shared} of the rows above hold for them
too, with the complete reading in the place of the complete list. What becomes of a reading otherwise:

| what happens | outcome | how, or what the message says |
|---|---|---|
"""

_RESTORES = """\
## The request for a restore

The POST has no key by which the server would know it again, so it is not tried again as other requests are.
Where nobody knows what came of it, the task looks for ten minutes for a restore job that began since then.
One job is taken for its own; none, or several, end the task as uncertain. However often the task is retried
or cleared then, at most one restore begins.

| what happens | the task ends in | POSTs | how, or what the message says |
|---|---|---|---|
"""

_AFTER = """\
## What cannot be told

- **A server that leaves out jobs for good.** Its rows are believed once they have been looked at twice, even
  where its total says that there are more: a total may count jobs that do not match. A warning in the log
  then says how many rows came. A next link that leads to no jobs, twice, is an error.
- **A server without totals and links that leaves a page empty.** An empty page is the end there.
- **Headers that come byte by byte.** All of a body may take ten times the timeout, by either driver; for the
  headers, the blocking driver knows the timeout between two bytes only.
- **A clock that is more than a day behind the API's, where answers have no `Date` header.** Jobs are asked
  for up to a day into the future. Where answers have the header, a verdict asks again by the API's clock.
"""


def write() -> str:
    """Return the document."""
    parts = [
        _BEFORE.format(
            attempts=MAX_ATTEMPTS,
            faults=len(FAULTS),
            products=len(PRODUCTS),
            drivers=" and ".join(f"`{name}`" for name in DRIVERS),
            pages=f"{', '.join(PAGES[:-1])} and {PAGES[-1]}",
            at_a_time=AT_A_TIME[-1],
            all=f"{sum(1 for _ in all_cases()):,}",
            some=f"{sum(1 for _ in some_cases()):,}",
        )
    ]
    for heading, faults in GROUPS.items():
        rows = ["| what happens | outcome | how, or what the message says |", "|---|---|---|"]
        rows += [f"| {fault.happens} | {_outcome(fault)} | {_explanation(fault)} |" for fault in faults]
        parts.append(f"## {heading}\n\n" + "\n".join(rows) + "\n")
    rows = [
        f"| {each.happens} | {_outcome(each, 'a reading')} | {_explanation(each)} |"
        for each in READING_FAULTS
    ]
    parts.append(_READINGS.format(shared=len(SHARED)) + "\n".join(rows) + "\n")
    rows = [f"| {each.happens} | {_end(each)} | {each.sent} | {_tell(each)} |" for each in RESTORE_FAULTS]
    parts.append(_RESTORES + "\n".join(rows) + "\n")
    return "\n".join([*parts, _AFTER])


def _end(fault: RestoreFault) -> str:
    return "the drill" if fault.error is None else f"`{fault.error.__name__}`"


def _tell(fault: RestoreFault) -> str:
    is_own = fault.error is None and fault.says.endswith(".")
    return fault.says if is_own else f"“… {fault.says} …”"


def _outcome(fault: Fault, whole: str = "complete list") -> str:
    if fault.error is None:
        return whole
    return f"`{fault.error.__name__}`" + (", or complete list" if fault.may_survive else "")


def _explanation(fault: Fault) -> str:
    advice = f"“… {fault.advice} …”" if fault.advice else ""
    return " ".join(filter(None, (advice, fault.remedy)))
