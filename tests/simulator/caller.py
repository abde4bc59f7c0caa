"""A plain HTTP caller of the simulator, which reads each product's pages by the product's own description.

So every test of the simulator proves that ``core/products`` and ``simulator/products`` fit each other.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from airflow_provider_avepoint.core.products import PRODUCTS as OURS
from airflow_provider_avepoint.simulator import Simulator
from airflow_provider_avepoint.simulator.products import PRODUCTS

M365_LIST = "/backup/m365/cloudbackupjobs"
M365_LICENSE = "/backup/m365/cloudbackuplicenseconsumption"
LEGACY_LIST = "/cloudbackup/jobs"
LEGACY_LICENSE = "/cloudbackup/licenseconsumption"
D365_LIST = "/dynamicsbackup/jobs"
GOOGLE_LIST = "/backup/google/admin/jobs"
SALESFORCE_LIST = "/backup/sfbapi/jobs"
IAAS_LIST = "/backup/vm/jobs"
AOS_LIST = "/aos/jobs"
CUSTOMERS = "/partner/external/v3/general/customers/"
CUSTOMER = "caf9d1c2-2cc6-4f0e-b04b-794c8a3b5ea3"
"""The customer of jobs that name none."""
JOB_SCOPE = "microsoft365backup.jobInfo.read.all"
LICENSE_SCOPE = "microsoft365backup.subscriptionInfo.read.all"
D365_SCOPE = "Dynamics.ReadWrite.All"
SCOPES = {
    endpoint.path: endpoint.scope
    for product in PRODUCTS.values()
    for endpoint in (product.license, product.subscriptions)
    if endpoint
} | {product.list_path.partition("{")[0]: product.scope for product in PRODUCTS.values()}
"""The permission that each path needs; a path that begins like another comes before it."""
PATIENCE = 300.0
"""The longest that a test waits for anything, in seconds: a backstop, for a machine however slow."""


def jobs_of_customer(customer_id: str) -> str:
    """Return the path of a customer's jobs."""
    return f"{CUSTOMERS}{customer_id}/avpt-products/jobs/batch"


@dataclass(frozen=True, kw_only=True)
class Wire:
    """Where a product's page holds what, in the vendor's words.

    *required* is what a question cannot do without, or what has the newest row come first. *first_index* is
    None where rows are skipped, not pages. *states* are those that every product has, as rows show them;
    *no_finish* is what stands for a finish that is not there.
    """

    product: str
    path: str
    method: str
    required: dict[str, str]
    has_window: bool
    index: str | None
    first_index: int | None
    size: str
    default_size: int
    rows: tuple[str, ...]
    row_id: str
    state: str
    start: str
    finish: str
    link: tuple[str, ...]
    totals: tuple[tuple[str, ...], ...]
    states: dict[str, Any]
    lists_waiting: bool
    has_counts: bool
    has_duration: bool
    no_finish: str | None

    @classmethod
    def of(cls, name: str) -> Wire:
        """Return the wire of a product."""
        ours, theirs = OURS[name], PRODUCTS[name]
        columns, envelope, quirks = ours.columns, ours.envelope, theirs.quirks
        required = {each.parameter: "0" for each in theirs.filters if each.is_required}
        if theirs.is_window_required:
            required |= {"startTime": "2000-01-01", "finishTime": "2100-01-01"}
        if theirs.order is not None:
            required[theirs.order.sense_parameter] = "1"
        shown = theirs.spellings.get(quirks.state_spelling, {})
        return cls(
            product=name,
            path=ours.path.format(organization_id=theirs.default_organization[0]),
            method=ours.method,
            required=required,
            has_window=theirs.window is not None,
            index=ours.paging.index,
            first_index=None if ours.paging.is_offset else quirks.first_index,
            size=ours.paging.size,
            default_size=theirs.paging.default_size,
            rows=envelope.rows[0],
            row_id=_first(columns.job_id),
            state=_first(columns.state),
            start=_first(columns.started_at),
            finish=_first(columns.finished_at),
            link=envelope.link,
            totals=envelope.total,
            states={word: shown.get(number, number) for word, number in theirs.states.items()},
            lists_waiting=theirs.lists_waiting,
            has_counts="counts" in theirs.carries,
            has_duration="duration" in theirs.carries,
            no_finish={"null": None, "n/a": "N/A"}[quirks.no_finish],
        )

    def rows_of(self, page: Any) -> list[Any]:
        """Return a page's rows."""
        found: list[Any] = _dig(page, self.rows)
        return found

    def ids(self, page: Any) -> list[str]:
        """Return the ids of a page's rows, in their order."""
        return [row[self.row_id] for row in self.rows_of(page)]

    def link_of(self, page: Any) -> Any:
        """Return what stands in the page's link field."""
        return _dig(page, self.link)

    def total_of(self, page: Any) -> Any:
        """Return the page's total."""
        found = [path for path in self.totals if path[-1] in _dig(page, path[:-1])]
        return _dig(page, (found or self.totals)[0])

    def nth(self, page: int, size: int, *, first_index: int | None = None) -> dict[str, str]:
        """Return the parameters for a page, counted from 0 here, in the server's base."""
        assert self.index is not None, "only a link leads to the next page"
        if self.first_index is None:
            return {self.index: str(page * size), self.size: str(size)}
        base = self.first_index if first_index is None else first_index
        return {self.index: str(base + page), self.size: str(size)}


def _first(keys: str | tuple[str, ...]) -> str:
    """Return the key that the product's own page has."""
    return keys if isinstance(keys, str) else keys[0]


WIRES = {name: Wire.of(name) for name in PRODUCTS}
M365, LEGACY, D365 = WIRES["m365"], WIRES["m365_legacy"], WIRES["dynamics365"]
GOOGLE, SALESFORCE = WIRES["google_workspace"], WIRES["salesforce"]
IAAS, AOS, ELEMENTS = WIRES["iaas_paas"], WIRES["aos_scan"], WIRES["elements"]


class Caller:
    """Asks the simulator over HTTP, with one token for each scope."""

    def __init__(self, avepoint: Simulator) -> None:
        self._avepoint = avepoint
        self._tokens: dict[str, str] = {}
        self.http = httpx.Client(base_url=avepoint.url, timeout=PATIENCE, verify=False)

    def grant(self, **form: str) -> httpx.Response:
        """Ask for a token with exactly these form fields."""
        return self.http.post("/connect/token", data=form)

    def grant_by_secret(self, scope: str, /, **changes: str) -> httpx.Response:
        """Ask for a token as the vendor's guide says."""
        form = {
            "client_id": self._avepoint.client_id,
            "client_secret": self._avepoint.client_secret,
            "scope": scope,
            "grant_type": "client_credentials",
        }
        return self.grant(**form | changes)

    def token(self, scope: str) -> str:
        """Return a token for *scope*, the same one each time."""
        if scope not in self._tokens:
            self._tokens[scope] = self.grant_by_secret(scope).raise_for_status().json()["access_token"]
        return self._tokens[scope]

    def forget_tokens(self) -> None:
        """Ask for new tokens from now on, as after a reset."""
        self._tokens.clear()

    def get(self, url: str, *, token: str | None = None, **query: Any) -> httpx.Response:
        """GET a path, or a URL, with the token that it needs."""
        return self._send("GET", url, token=token, params=query or None)

    def post(self, url: str, *, token: str | None = None, json: Any = None, **query: Any) -> httpx.Response:
        """POST a question, with the token that it needs."""
        return self._send("POST", url, token=token, params=query or None, json=json)

    def ask(self, wire: Wire, **query: Any) -> httpx.Response:
        """Ask for a product's list in its method, with these parameters alone."""
        return self.post(wire.path, **query) if wire.method == "POST" else self.get(wire.path, **query)

    def page(self, wire: Wire, **query: Any) -> Any:
        """Return one page of a product's jobs."""
        return self.ask(wire, **wire.required | query).raise_for_status().json()

    def ids(self, wire: Wire, **query: Any) -> list[str]:
        """Return the ids that one page lists."""
        return wire.ids(self.page(wire, **query))

    def give_up(self, url: str) -> None:
        """GET a path, take no answer, and return when the server knows of the request."""
        known = len(self._avepoint.requests(url))
        headers = {"Authorization": f"Bearer {self.token(JOB_SCOPE)}"}
        with pytest.raises(httpx.ReadTimeout):
            self.http.get(url, headers=headers, timeout=httpx.Timeout(PATIENCE, read=0.1))
        wait_until(lambda: len(self._avepoint.requests(url)) > known)

    def _send(self, method: str, url: str, *, token: str | None, **content: Any) -> httpx.Response:
        scope = next((scope for path, scope in SCOPES.items() if path in url), JOB_SCOPE)
        headers = {"Authorization": f"Bearer {token or self.token(scope)}"}
        return self.http.request(method, url, headers=headers, **content)


def wait_until(holds: Callable[[], bool]) -> None:
    """Wait until a condition holds, and fail if it never does."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def _dig(page: Any, keys: tuple[str, ...]) -> Any:
    for key in keys:
        page = page[key]
    return page
