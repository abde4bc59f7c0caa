"""The table: what goes wrong, and what becomes of a listing then. Tests play it, the document shows it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product as combinations
from typing import Any, Literal

from airflow_provider_avepoint.core.errors import (
    AvePointAuthError,
    AvePointError,
    AvePointPayloadError,
    AvePointPermissionError,
    AvePointRequestError,
    AvePointRestoreUncertain,
    AvePointUnavailable,
)
from airflow_provider_avepoint.core.products import PRODUCTS

DRIVERS = ("requests", "aiohttp")
PAGES = ("first", "middle", "last")
#: Pages that are fetched at the same time: the connection's ``max_concurrency``.
AT_A_TIME = (1, 4)
ONCE, FOR_GOOD = 1, None

AN_HOUR = 3600
# In seconds; what hangs is waited for this long, and what drips ten times as long.
HASTY = {"timeout": 0.5}

AGAIN = "It is asked for again, up to five times in all."
NEW_TOKEN = "A new token is asked for, once."
AS_IT_IS = "It is taken for what it is."
REREAD = "The listing is read once more, page by page."
DISTINCT = "Each job counts once, wherever it stands."
TAKEN_FOR_AN_HOUR = "It is taken to last an hour, unless the API says earlier."
BY_NUMBER = "Where pages have numbers, no link is needed."

LATER = "trying again later may help"
CHECK_HOST = "check the connection's host"
CHECK_IDENTITY = "check the connection's identity_endpoint"
CHECK_CREDENTIALS = "check the connection's login, its password or certificate"
ADD_PERMISSION = "add it in AvePoint Online Services > App registrations"
UPDATE = "update this provider, or report it"
NOT_THE_API = "check that the connection's host is an address of AvePoint's API"
NOT_IDENTITY = "check that the connection's identity_endpoint is an address of AvePoint's API"


@dataclass(frozen=True, kw_only=True)
class Play:
    """One of the simulator's faults.

    :param at: whether it hits a page, or the token that this page needs.
    :param fields: what the simulator is told; ``{foreign}``, ``{own}`` and the like stand for addresses.
    """

    at: Literal["page", "token"] = "page"
    kind: str
    count: int | None = ONCE
    fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One row.

    :param happens: what the server does, or the network before it.
    :param plays: the faults that are armed.
    :param orders: what else the simulator is told before: its method, and the arguments.
    :param error: what the listing ends in, None for the complete list.
    :param remedy: how the list becomes complete.
    :param advice: what the message says, whatever its case.
    :param may_survive: the list may be complete all the same: the fault is in what is not always needed.
    :param host: the connection's host, if it is not the simulator's.
    :param extra: the connection's extras, besides those of every case.
    :param certificate: the connection proves who it is by a certificate, not by a secret.
    :param pages: the pages that it can hit.
    :param forms: the forms of readings that it can hit; see :class:`Reading`.
    """

    name: str
    happens: str
    plays: tuple[Play, ...] = ()
    orders: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    error: type[AvePointError] | None = None
    remedy: str = ""
    advice: str = ""
    may_survive: bool = False
    host: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    certificate: bool = False
    pages: tuple[str, ...] = PAGES
    forms: tuple[str, ...] = ("rows", "object", "pages")


@dataclass(frozen=True, kw_only=True)
class Reading:
    """A reading beside the jobs.

    :param call: the hook's method.
    :param arguments: its arguments.
    :param path: where the request goes that the fault hits.
    :param form: what the answer is: all ``rows``, one ``object``, or ``pages`` of rows.
    """

    call: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    path: str
    form: str

    def __str__(self) -> str:
        return " ".join((self.call, *map(str, self.arguments.values())))


@dataclass(frozen=True, kw_only=True)
class RestoreFault:
    """One row of what happens to the POST that asks for a restore.

    :param happens: what the server does, or the network before it.
    :param plays: the faults that are armed.
    :param error: what the task ends in, None for a drill that passes.
    :param says: what the message or the drill says.
    :param begins: how many restores begin at the server.
    :param sent: how many POSTs are sent.
    :param extra: the connection's extras, besides those of every case.
    :param host: the connection's host, if it is not the simulator's.
    """

    name: str
    happens: str
    plays: tuple[Play, ...] = ()
    error: type[AvePointError] | None = None
    says: str
    begins: int
    sent: int = 1
    extra: Mapping[str, Any] = field(default_factory=dict)
    host: str | None = None


@dataclass(frozen=True, kw_only=True)
class Case:
    """One listing of one product by one driver, with one fault on one page."""

    fault: Fault
    product: str
    driver: str
    page: str
    at_a_time: int

    def __str__(self) -> str:
        return f"{self.fault.name}-{self.product}-{self.driver}-{self.page}-{self.at_a_time}"


def page(kind: str, count: int | None = ONCE, **fields: Any) -> tuple[Play, ...]:
    return (Play(kind=kind, count=count, fields=fields),)


def token(kind: str, count: int | None = ONCE, **fields: Any) -> tuple[Play, ...]:
    return (Play(at="token", kind=kind, count=count, fields=fields),)


def odd_page(count: int | None = ONCE, **quirks: Any) -> tuple[Play, ...]:
    return page("quirks", count, quirks={"link": "absolute", **quirks})


NETWORK = (
    Fault(
        name="nobody-listens",
        happens="Nobody listens at the API's address.",
        host="{nobody}",
        error=AvePointUnavailable,
        advice=LATER,
        pages=("first",),
    ),
    Fault(
        name="drop", happens="The connection ends without an answer, once.", remedy=AGAIN, plays=page("drop")
    ),
    Fault(
        name="drop-for-good",
        happens="The connection ends without an answer, every time.",
        plays=page("drop", FOR_GOOD),
        error=AvePointUnavailable,
        advice=LATER,
    ),
    Fault(
        name="drop-in-the-middle",
        happens="The connection ends in the middle of the body, once.",
        remedy=AGAIN,
        plays=page("drop", where="middle"),
    ),
    Fault(
        name="drop-in-the-middle-for-good",
        happens="The connection ends in the middle of the body, every time.",
        plays=page("drop", FOR_GOOD, where="middle"),
        error=AvePointUnavailable,
        advice=LATER,
    ),
    Fault(
        name="hang",
        happens="No answer comes within the timeout, once.",
        remedy=AGAIN,
        plays=page("hang"),
        extra=HASTY,
    ),
    Fault(
        name="hang-for-good",
        happens="No answer comes within the timeout, however often it is asked for.",
        plays=page("hang", FOR_GOOD),
        extra=HASTY,
        error=AvePointUnavailable,
        advice=LATER,
    ),
    Fault(
        name="hang-in-the-middle",
        happens="Half a body comes, and no more within the timeout, once.",
        remedy=AGAIN,
        plays=page("hang", where="middle"),
        extra=HASTY,
    ),
    Fault(
        name="late",
        happens="The answer comes late, within the timeout.",
        remedy=AS_IT_IS,
        plays=page("slow", seconds=0.02),
    ),
    Fault(
        name="slow-bytes",
        happens="The body comes in pieces with pauses between them, each shorter than the timeout.",
        remedy=AS_IT_IS,
        plays=page("drip", pieces=5, seconds=0.005),
    ),
    Fault(
        name="slow-bytes-without-end",
        happens="The body comes in pieces for longer than ten times the timeout, once.",
        remedy=AGAIN,
        plays=page("drip", pieces=100_000, seconds=0.15),
        extra=HASTY,
    ),
    Fault(
        name="endless-body",
        happens="The body does not end.",
        plays=page("endless_body"),
        error=AvePointPayloadError,
        advice="ask for smaller pages with its page_size",
    ),
)

STATUSES = (
    *(
        Fault(
            name=f"{status}",
            happens=f"It answers {status}, once.",
            remedy=AGAIN,
            plays=page("status", status=status),
        )
        for status in (408, 425, 429, 500, 502, 503, 504)
    ),
    *(
        Fault(
            name=f"{status}-for-good",
            happens=f"It answers {status}, every time.",
            plays=page("status", FOR_GOOD, status=status),
            error=AvePointUnavailable,
            advice=LATER,
        )
        for status in (429, 500, 503)
    ),
    Fault(
        name="501",
        happens="501, or another 5xx that does not pass.",
        plays=page("status", status=501),
        error=AvePointUnavailable,
        advice=LATER,
    ),
    Fault(
        name="retry-after",
        happens="429 that says after how many seconds to come again, once.",
        remedy="It is asked for again then.",
        plays=page("retry_after", seconds=0),
    ),
    Fault(
        name="retry-after-a-date",
        happens="503 that says when to come again, once.",
        remedy="It is asked for again then.",
        plays=page("retry_after", status=503, seconds=0, form="date"),
    ),
    Fault(
        name="retry-after-nonsense",
        happens="429 that says when to come again, but so that nobody can read it, once.",
        remedy=AGAIN,
        plays=page("status", status=429, headers={"Retry-After": "soon, Tomorrow 99:99"}),
    ),
    Fault(
        name="retry-after-too-long",
        happens="429 that asks for longer than a minute.",
        plays=page("retry_after", seconds=AN_HOUR),
        error=AvePointUnavailable,
        advice="asked us to wait 3600 s",
    ),
    Fault(
        name="401",
        happens="401: the token has become invalid, once.",
        remedy=NEW_TOKEN,
        plays=page("expire_token"),
    ),
    Fault(
        name="401-for-good",
        happens="401 for every token.",
        plays=page("expire_token", FOR_GOOD),
        error=AvePointAuthError,
        advice="check that the connection's host and environment belong to the tenant",
    ),
    Fault(
        name="403",
        happens="403.",
        plays=page("status", FOR_GOOD, status=403),
        error=AvePointPermissionError,
        advice=ADD_PERMISSION,
    ),
    Fault(
        name="400",
        happens="400, before all jobs have come that the total says.",
        plays=page("status", FOR_GOOD, status=400),
        error=AvePointRequestError,
        advice="check the argument that it names",
    ),
    Fault(
        name="404",
        happens="404, before all jobs have come that the total says.",
        plays=page("status", FOR_GOOD, status=404),
        error=AvePointRequestError,
        advice="the connection's host",
    ),
    Fault(
        name="204",
        happens="204, or another success that is no 200, before all jobs have come that the total says.",
        plays=page("status", status=204, body=""),
        error=AvePointRequestError,
        advice="the connection's host",
    ),
    *(
        Fault(
            name=f"{status}-to-another-host",
            happens=f"{status}, a redirect to another host.",
            plays=page("redirect", status=status, location="{foreign}/jobs"),
            error=AvePointPayloadError,
            advice=CHECK_HOST,
        )
        for status in (302, 307)
    ),
    Fault(
        name="redirect-to-the-same-host",
        happens="A redirect to another path of the same host.",
        plays=page("redirect", status=308, location="{own}/elsewhere"),
        error=AvePointPayloadError,
        advice=CHECK_HOST,
    ),
)

BODIES = (
    Fault(
        name="wrong-content-type",
        happens="A good page that says it is HTML.",
        remedy=AS_IT_IS,
        plays=page("headers", FOR_GOOD, headers={"Content-Type": "text/html"}),
    ),
    Fault(
        name="wrong-encoding",
        happens="A page that says it is compressed and is not, once.",
        remedy=AGAIN,
        plays=page("headers", headers={"Content-Encoding": "gzip"}),
    ),
    Fault(
        name="wrong-encoding-for-good",
        happens="Every page says it is compressed and is not.",
        plays=page("headers", FOR_GOOD, headers={"Content-Encoding": "gzip"}),
        error=AvePointUnavailable,
        advice=LATER,
    ),
    Fault(
        name="html",
        happens="200 with a web page, once.",
        remedy=AGAIN,
        plays=page("html"),
    ),
    Fault(
        name="html-for-good",
        happens="200 with a web page, such as one to sign in, every time.",
        plays=page("html", FOR_GOOD),
        error=AvePointPayloadError,
        advice=NOT_THE_API,
    ),
    Fault(
        name="empty-body",
        happens="200 with an empty body.",
        plays=page("empty_body"),
        error=AvePointPayloadError,
        advice=NOT_THE_API,
    ),
    Fault(
        name="broken-json",
        happens="200 with half a JSON text, as if it were all of it.",
        plays=page("broken_json"),
        error=AvePointPayloadError,
        advice=NOT_THE_API,
    ),
    Fault(
        name="other-json",
        happens="200 with JSON that is no object.",
        plays=page("status", status=200, body=[1, 2]),
        error=AvePointPayloadError,
        advice=UPDATE,
    ),
    Fault(
        name="error-body",
        happens="200 with an error in its body, in the older form.",
        plays=page("error_body"),
        error=AvePointUnavailable,
        advice=LATER,
    ),
    Fault(
        name="error-body-of-500",
        happens="200 with a body that says 500.",
        plays=page("error_body", form="status_code"),
        error=AvePointUnavailable,
        advice=LATER,
    ),
    Fault(
        name="error-body-of-400",
        happens="200 with a body that says 400.",
        plays=page("status", status=200, body={"statusCode": 400, "message": "No."}),
        error=AvePointRequestError,
        advice="check the argument that it names",
    ),
    Fault(
        name="error-body-without-success",
        happens="200 with a body that says it is no success.",
        plays=page("status", status=200, body={"statusCode": 200, "success": False, "data": None}),
        error=AvePointUnavailable,
        advice=LATER,
    ),
    Fault(
        name="missing-rows",
        happens="A page without the key that holds the jobs.",
        plays=page("missing_rows"),
        error=AvePointPayloadError,
        advice=UPDATE,
    ),
    Fault(
        name="rows-that-are-no-list",
        happens="A page that has something else than a list of jobs.",
        plays=page("missing_rows", instead={"error": "none"}),
        error=AvePointPayloadError,
        advice=UPDATE,
    ),
    Fault(
        name="rows-that-are-no-objects",
        happens="A page that has a list of something else.",
        plays=page("missing_rows", instead=[1, 2]),
        error=AvePointPayloadError,
        advice=UPDATE,
    ),
    Fault(
        name="rows-without-an-id",
        happens="A page with jobs that have no id.",
        plays=page("missing_rows", instead=[{"state": "Finished"}]),
        error=AvePointPayloadError,
        advice=UPDATE,
    ),
    Fault(
        name="no-rows",
        happens="A page that is empty, though there are jobs for it, once.",
        remedy=REREAD,
        plays=page("missing_rows", instead=[]),
    ),
    Fault(
        name="null-rows",
        happens="A page that has null for its jobs, once.",
        remedy=REREAD,
        plays=page("missing_rows", instead=None),
    ),
    Fault(
        name="rows-twice",
        happens="A page that has each job twice.",
        remedy=DISTINCT,
        plays=page("rows", form="twice"),
    ),
    Fault(
        name="rows-twice-for-good",
        happens="All pages have each job twice.",
        remedy=DISTINCT,
        plays=page("rows", FOR_GOOD, form="twice"),
    ),
    Fault(
        name="rows-in-no-order",
        happens="Pages whose jobs are in no order.",
        remedy=DISTINCT,
        plays=page("rows", FOR_GOOD, form="shuffled"),
    ),
)

LINKS = (
    Fault(
        name="link-to-another-host",
        happens="A next link to another host.",
        plays=odd_page(foreign_link="{foreign_host}", repeat_link=True),
        error=AvePointPayloadError,
        advice=CHECK_HOST,
    ),
    Fault(
        name="link-to-another-port",
        happens="A next link to another port.",
        plays=odd_page(foreign_link="{foreign}", repeat_link=True),
        error=AvePointPayloadError,
        advice=CHECK_HOST,
    ),
    Fault(
        name="link-to-another-scheme",
        happens="A next link to another scheme.",
        plays=odd_page(foreign_link="{own_by_https}", repeat_link=True),
        error=AvePointPayloadError,
        advice=CHECK_HOST,
    ),
    Fault(
        name="link-to-itself",
        happens="Pages whose next link leads to themselves.",
        remedy=BY_NUMBER,
        plays=odd_page(FOR_GOOD, repeat_link=True),
        error=AvePointPayloadError,
        advice="if it stays so, ask AvePoint's support",
        may_survive=True,
    ),
)

IDENTITY = (
    Fault(
        name="identity-is-down",
        happens="Nobody listens at the address of the identity service.",
        extra={"identity_endpoint": "{nobody}/connect/token"},
        error=AvePointUnavailable,
        advice=LATER,
        pages=("first",),
    ),
    Fault(
        name="token-drop",
        happens="The connection ends without an answer, once.",
        remedy=AGAIN,
        plays=token("drop"),
    ),
    Fault(
        name="token-hang",
        happens="No answer comes within the timeout, once.",
        remedy=AGAIN,
        plays=token("hang"),
        extra=HASTY,
    ),
    Fault(name="token-503", happens="503, once.", remedy=AGAIN, plays=token("status", status=503)),
    Fault(
        name="token-503-for-good",
        happens="503, every time.",
        plays=token("status", FOR_GOOD, status=503),
        error=AvePointUnavailable,
        advice=LATER,
    ),
    Fault(
        name="token-redirect",
        happens="307, a redirect of the secret to another host.",
        plays=token("redirect", status=307, location="{foreign}/connect/token"),
        error=AvePointPayloadError,
        advice=CHECK_IDENTITY,
    ),
    Fault(
        name="token-404",
        happens="404, before all jobs have come that the total says.",
        plays=token("status", FOR_GOOD, status=404),
        error=AvePointRequestError,
        advice="the connection's identity_endpoint",
    ),
    Fault(
        name="invalid-client",
        happens="It refuses the credentials.",
        plays=token("status", FOR_GOOD, status=400, body={"error": "invalid_client"}),
        error=AvePointAuthError,
        advice=CHECK_CREDENTIALS,
    ),
    Fault(
        name="invalid-scope",
        happens="It refuses the permission.",
        plays=token("status", FOR_GOOD, status=400, body={"error": "invalid_scope"}),
        error=AvePointPermissionError,
        advice=ADD_PERMISSION,
    ),
    *(
        Fault(
            name=f"token-{kind.replace('_', '-')}",
            happens=f"200 with {what}.",
            plays=token(kind),
            error=AvePointPayloadError,
            advice=NOT_IDENTITY,
        )
        for kind, what in (
            ("empty_body", "an empty body"),
            ("broken_json", "half a JSON text"),
        )
    ),
    Fault(
        name="token-html",
        happens="200 with a web page, once.",
        remedy=AGAIN,
        plays=token("html"),
    ),
    Fault(
        name="token-html-for-good",
        happens="200 with a web page, every time.",
        plays=token("html", FOR_GOOD),
        error=AvePointPayloadError,
        advice=NOT_IDENTITY,
    ),
    Fault(
        name="token-endless-body",
        happens="200 with a body that does not end.",
        plays=token("endless_body"),
        error=AvePointPayloadError,
        advice=CHECK_IDENTITY,
    ),
    Fault(
        name="token-error-body",
        happens="200 with a refusal in its body.",
        plays=token("status", status=200, body={"error": "invalid_client"}),
        error=AvePointPayloadError,
        advice=CHECK_IDENTITY,
    ),
    Fault(
        name="no-token",
        happens="An answer without a token.",
        plays=token("fields", omit=["access_token"]),
        error=AvePointPayloadError,
        advice=CHECK_IDENTITY,
    ),
    *(
        Fault(
            name=f"token-that-is-{name}",
            happens=f"A token that is {what}.",
            plays=token("fields", extra={"access_token": value}),
            error=AvePointPayloadError,
            advice=CHECK_IDENTITY,
        )
        for name, what, value in (
            ("no-text", "no text", 7),
            ("empty", "empty", ""),
            ("two-lines", "two lines: it would forge a header", "a\r\nX-Forged: 1"),
        )
    ),
    Fault(
        name="token-wrong-content-type",
        happens="A good answer that says it is HTML.",
        remedy=AS_IT_IS,
        plays=token("headers", headers={"Content-Type": "text/html"}),
    ),
    Fault(
        name="no-expiry",
        happens="A token without an expiry.",
        remedy=TAKEN_FOR_AN_HOUR,
        plays=token("fields", omit=["expires_in"]),
    ),
    *(
        Fault(
            name=f"expiry-{name}",
            happens=f"A token whose expiry is {value!r}.",
            remedy=TAKEN_FOR_AN_HOUR,
            plays=token("fields", extra={"expires_in": value}),
        )
        for name, value in (("nonsense", "soon"), ("past", -AN_HOUR), ("absurd", 10**18), ("no-number", [60]))
    ),
)

CLOCKS = (
    *(
        Fault(
            name=f"api-clock-{name.split()[0]}",
            happens=f"The API's clock is an hour {name} ours.",
            remedy="The `Date` header is the clock that judges; a warning says by how much ours is wrong.",
            orders=(("set_clock", {"ahead_seconds": seconds}),),
        )
        for name, seconds in (("ahead of", AN_HOUR), ("behind", -AN_HOUR))
    ),
    Fault(
        name="api-clock-unknown",
        happens="The API's clock is an hour ahead of ours, and its answers have no `Date` header.",
        remedy="Jobs that start in our future are asked for too: the verdict says `clock_skew`.",
        orders=(("set_clock", {"ahead_seconds": AN_HOUR, "date_header": None}),),
    ),
    Fault(
        name="retry-after-by-another-clock",
        happens="503 that says when to come again, by a clock that is an hour ahead of ours.",
        remedy="The date is read by the clock of the answer that it stands in.",
        orders=(("set_clock", {"ahead_seconds": AN_HOUR}),),
        plays=page("retry_after", status=503, seconds=0, form="date"),
    ),
    *(
        Fault(
            name=f"certificate-clock-{name}",
            happens=f"The identity service's clock is an hour {name}, and a certificate proves who we are.",
            orders=(("set_clock", {"ahead_seconds": seconds}),),
            certificate=True,
            error=AvePointAuthError,
            advice="this machine's clock",
            pages=("first",),
        )
        for name, seconds in (("ahead", AN_HOUR), ("behind", -AN_HOUR))
    ),
)

GROUPS = {
    "The network": NETWORK,
    "Statuses and redirects of the API": STATUSES,
    "Bodies of the API": BODIES,
    "Links": LINKS,
    "The identity service": IDENTITY,
    "Clocks": CLOCKS,
}
FAULTS = tuple(fault for group in GROUPS.values() for fault in group)

CUSTOMER = "caf9d1c2-2cc6-4f0e-b04b-794c8a3b5ea3"
_CUSTOMERS = f"/partner/external/v3/general/customers/{CUSTOMER}"
READINGS = (
    Reading(call="get_backup_schedule", path="/backup/m365/settings/backup/frequency", form="rows"),
    Reading(call="get_retention", path="/backup/m365/settings/retention-policy", form="object"),
    Reading(
        call="get_unusual_activity",
        arguments={"product": "m365"},
        path="/backup/m365/cloudbackupunusualactivitydata",
        form="rows",
    ),
    Reading(
        call="get_unusual_activity",
        arguments={"product": "salesforce"},
        path="/backup/sfbapi/unusual-activities",
        form="rows",
    ),
    Reading(
        call="get_unusual_activity",
        arguments={"product": "elements", "organization_id": CUSTOMER},
        path="/partner/external/v3/wm/",
        form="object",
    ),
    Reading(call="iter_monitor_alerts", path="/backup/sfbapi/monitor-alerts", form="rows"),
    *(
        Reading(
            call="get_coverage",
            arguments={"organization_id": CUSTOMER, "parts": part},
            path=_CUSTOMERS + below,
            form="pages",
        )
        for part, below in (
            ("services", "/cloud-backup-m365"),
            ("users", "/tenants/"),
            ("changes", "/scan-profiles/batch"),
        )
    ),
)

#: What readings have in common with listings.
SHARED = tuple(
    fault
    for group in (NETWORK, STATUSES, BODIES, IDENTITY)
    for fault in group
    if fault.name not in ("no-rows", "null-rows", "rows-twice", "rows-twice-for-good", "rows-in-no-order")
)
#: What becomes of them otherwise.
READING_FAULTS = (
    Fault(
        name="reading-empty",
        happens="An empty list.",
        plays=page("missing_rows", instead=[]),
        remedy="It is believed: nothing is scheduled, nothing was detected. A missing list is not.",
        forms=("rows",),
    ),
    Fault(
        name="reading-null",
        happens="null in the place of the list or the object.",
        plays=page("missing_rows", instead=None),
        error=AvePointPayloadError,
        advice="Nothing is concluded from the answer",
        forms=("rows", "object"),
    ),
    Fault(
        name="reading-twice",
        happens="Each row twice.",
        plays=page("rows", form="twice"),
        remedy="Alike rows say nothing new: of starts and alerts each counts once, of counts the largest.",
        forms=("rows",),
    ),
    Fault(
        name="reading-in-no-order",
        happens="Rows in no order.",
        plays=page("rows", form="shuffled"),
        remedy="The order says nothing.",
        forms=("rows",),
    ),
    Fault(
        name="reading-next-link",
        happens="A link to a next page, where no document knows pages.",
        plays=page("fields", extra={"metadata": {"nextLink": "{own}/next"}}),
        error=AvePointPayloadError,
        advice="which no document describes",
        forms=("rows",),
    ),
    Fault(
        name="reading-total",
        happens="A total that is larger than the number of rows.",
        plays=page("fields", extra={"metadata": {"totalCount": 1000}}),
        error=AvePointPayloadError,
        advice="no document says how to go on",
        forms=("rows",),
    ),
)

_UNKNOWN = "It is not asked for again"
_FOUND = "the job was found by its start"
_BUSY = "There are already 3 restore/export jobs running, cannot start new restore job."


def lost(name: str, happens: str, plays: tuple[Play, ...], **more: Any) -> RestoreFault:
    """Return a row for an answer that is lost after the deed."""
    return RestoreFault(name=name, happens=happens, plays=plays, says=_FOUND, begins=1, **more)


def doubtful(name: str, happens: str, plays: tuple[Play, ...], **more: Any) -> RestoreFault:
    """Return a row for an answer that leaves open what was done, where nothing was."""
    return RestoreFault(
        name=name,
        happens=happens,
        plays=plays,
        error=AvePointRestoreUncertain,
        says=_UNKNOWN,
        begins=0,
        **more,
    )


def refused(
    name: str, happens: str, plays: tuple[Play, ...], error: type[AvePointError], says: str, **more: Any
) -> RestoreFault:
    """Return a row for a request of which it is known that nothing came."""
    return RestoreFault(name=name, happens=happens, plays=plays, error=error, says=says, begins=0, **more)


RESTORE_FAULTS = (
    refused("nobody", "Nobody listens.", (), AvePointUnavailable, LATER, sent=0, host="{nobody}"),
    doubtful("drop", "The connection ends before the server has done anything.", page("drop")),
    doubtful("hang", "No answer comes within the timeout, and nothing was done.", page("hang"), extra=HASTY),
    lost("drop-after", "The connection ends after the deed.", page("drop", where="after")),
    lost(
        "drop-in-the-middle", "The connection ends in the middle of the body.", page("drop", where="middle")
    ),
    lost("hang-after", "No answer comes within the timeout.", page("hang", where="after"), extra=HASTY),
    lost("endless-body", "The body does not end.", page("endless_body")),
    lost("broken-json", "200 with half a JSON text.", page("broken_json")),
    lost("no-id", "200 without the id of the job.", page("missing_rows")),
    lost("other-id", "200 with an id that can be none.", page("fields", extra={"data": {"jobId": " "}})),
    lost(
        "wrong-encoding",
        "200 that says it is compressed and is not.",
        page("headers", headers={"Content-Encoding": "gzip"}),
    ),
    *(
        doubtful(f"{status}", f"{status}.", page("status", status=status))
        for status in (408, 425, 500, 501, 502, 503, 504)
    ),
    doubtful(
        "409",
        "409, which no document describes.",
        page("status", status=409),
    ),
    doubtful(
        "429",
        "429 of a gateway, in its own form and words.",
        page("status", status=429, body={"statusCode": 429, "message": "Rate limit is exceeded."}),
    ),
    *(
        RestoreFault(
            name=name,
            happens=happens,
            plays=plays,
            says="The task waits, and asks again.",
            begins=1,
            sent=2,
        )
        for name, happens, plays in (
            (
                "429-busy",
                "429: three restores or exports are running.",
                page("status", status=429, body={"message": _BUSY}),
            ),
            (
                "429-own",
                "429 in the form of AvePoint's own answers, whatever its words.",
                page("retry_after", seconds=0),
            ),
        )
    ),
    RestoreFault(
        name="401",
        happens="401: the token has become invalid, once.",
        plays=page("expire_token"),
        says="A new token is asked for, once: the server judges the token before it reads the body.",
        begins=1,
        sent=2,
    ),
    refused(
        "401-for-good",
        "401 for every token.",
        page("expire_token", FOR_GOOD),
        AvePointAuthError,
        "check that the connection's host and environment belong to the tenant",
        sent=2,
    ),
    refused(
        "400", "400.", page("status", status=400), AvePointRequestError, "check the argument that it names"
    ),
    refused("403", "403.", page("status", status=403), AvePointPermissionError, ADD_PERMISSION),
    refused("404", "404.", page("status", status=404), AvePointRequestError, "the connection's host"),
    doubtful("302", "302, a redirect to another host.", page("redirect", location="{foreign}/jobs")),
    doubtful(
        "307", "307, a redirect to another host.", page("redirect", status=307, location="{foreign}/jobs")
    ),
    doubtful("204", "204 without a body.", page("status", status=204, body="")),
    doubtful("html", "200 with a web page.", page("html")),
    doubtful("empty-body", "200 with an empty body.", page("empty_body")),
    doubtful("error-body", "200 with an error in its body.", page("error_body")),
    RestoreFault(
        name="late",
        happens="The answer comes late, within the timeout.",
        plays=page("slow", seconds=0.02),
        says=AS_IT_IS,
        begins=1,
    ),
    RestoreFault(
        name="slow-bytes",
        happens="The body comes in pieces.",
        plays=page("drip", pieces=5, seconds=0.005),
        says=AS_IT_IS,
        begins=1,
    ),
    refused(
        "token-503",
        "The identity service answers 503, every time.",
        token("status", FOR_GOOD, status=503),
        AvePointUnavailable,
        LATER,
        sent=0,
    ),
    refused(
        "token-invalid-scope",
        "The identity service refuses the permission.",
        token("status", FOR_GOOD, status=400, body={"error": "invalid_scope"}),
        AvePointPermissionError,
        ADD_PERMISSION,
        sent=0,
    ),
)


def all_cases() -> Iterator[Case]:
    """Yield every fault with every product, driver and page, page by page and several pages at a time."""
    for fault in FAULTS:
        for product, driver, where, at_a_time in combinations(PRODUCTS, DRIVERS, fault.pages, AT_A_TIME):
            yield Case(fault=fault, product=product, driver=driver, page=where, at_a_time=at_a_time)


def some_cases() -> Iterator[Case]:
    """Yield every fault on each of its pages, with both drivers and each way to page among these.

    Products of one way take turns, fault by fault. Each fault begins elsewhere in the round of drivers and
    pages, so that over the faults each product meets every driver on every page.
    """
    ways = products_by_way()
    longest = max(map(len, ways))
    for number, fault in enumerate(FAULTS):
        turn = number // longest
        for index in range(max(len(ways), len(fault.pages), len(DRIVERS))):
            takers = ways[index % len(ways)]
            yield Case(
                fault=fault,
                product=takers[number % len(takers)],
                driver=DRIVERS[(turn + index) % 2],
                page=fault.pages[(turn // 2 + index) % len(fault.pages)],
                at_a_time=AT_A_TIME[(turn // 6 + index) % 2],
            )


def products_by_way() -> list[list[str]]:
    """Return the products' names by the way in which their pages are asked for."""
    ways: dict[tuple[str, bool], list[str]] = {}
    for name, product in PRODUCTS.items():
        ways.setdefault((product.method, product.paging.is_offset), []).append(name)
    return list(ways.values())
