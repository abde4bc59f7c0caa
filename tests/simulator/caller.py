"""A plain HTTP caller of the simulator, which knows of each product only what the vendor's pages print."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from airflow_provider_avepoint.simulator import Simulator

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
    M365_LIST: JOB_SCOPE,
    LEGACY_LIST: JOB_SCOPE,
    M365_LICENSE: LICENSE_SCOPE,
    LEGACY_LICENSE: LICENSE_SCOPE,
    D365_LIST: D365_SCOPE,
    GOOGLE_LIST: "gsuite.graph.read.all",
    SALESFORCE_LIST: "salesforce.public.read.all",
    IAAS_LIST: "PlatformBackup.ReadWrite.All",
    AOS_LIST: "autodiscovery.readwrite.all",
    CUSTOMERS: "elements.jobs.read.all",
}
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
    *no_finish* and *year_1* are what stands for a finish that is not there.
    """

    product: str
    path: str
    method: str = "GET"
    required: dict[str, str] = field(default_factory=dict)
    has_window: bool = True
    index: str = "pageIndex"
    first_index: int | None = 0
    size: str = "pageSize"
    default_size: int = 10
    rows: tuple[str, ...]
    row_id: str = "jobId"
    state: str = "status"
    start: str = "startTime"
    finish: str = "finishTime"
    link: tuple[str, ...] = ("nextLink",)
    total: tuple[str, ...] = ("totalCount",)
    states: dict[str, Any]
    lists_waiting: bool = False
    has_counts: bool = True
    has_duration: bool = True
    no_finish: str | None = None
    year_1: Any = "0001-01-01T00:00:00Z"

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
        return _dig(page, self.total)

    def nth(self, page: int, size: int, *, first_index: int | None = None) -> dict[str, str]:
        """Return the parameters for a page, counted from 0 here, in the server's base."""
        if self.first_index is None:
            return {self.index: str(page * size), self.size: str(size)}
        base = self.first_index if first_index is None else first_index
        return {self.index: str(base + page), self.size: str(size)}


M365_STATES = {
    "running": "In Progress",
    "success": "Finished",
    "failed": "Failed",
    "partial": "Finished with Exception",
}
M365 = Wire(
    product="m365",
    path=M365_LIST,
    rows=("data",),
    row_id="id",
    state="state",
    link=("metadata", "nextLink"),
    total=("metadata", "totalCount"),
    states=M365_STATES,
)
LEGACY = Wire(
    product="m365_legacy",
    path=LEGACY_LIST,
    rows=("Jobs",),
    row_id="Id",
    state="State",
    start="StartTime",
    finish="FinishTime",
    link=("NextLink",),
    total=("TotalCount",),
    states=M365_STATES,
    year_1=0,
)
D365 = Wire(
    product="dynamics365",
    path=D365_LIST,
    required={"type": "0", "startTime": "2000-01-01", "finishTime": "2100-01-01"},
    first_index=1,
    rows=("jobs",),
    states={"running": 2, "success": 3, "failed": 4, "partial": 7},
    year_1="0001-01-01T00:00:00.00Z",
)
GOOGLE = Wire(
    product="google_workspace",
    path=GOOGLE_LIST,
    default_size=100,
    rows=("jobs",),
    states={"running": 0, "success": 2, "failed": 3, "partial": 7},
    has_counts=False,
    has_duration=False,
    year_1="0001-01-01T00:00:00+00:00",
)
SALESFORCE = Wire(
    product="salesforce",
    path=SALESFORCE_LIST,
    required={"startTime": "2000-01-01", "finishTime": "2100-01-01"},
    rows=("data", "jobs"),
    link=("data", "nextLink"),
    total=("data", "totalCount"),
    states={"running": 1, "success": 2, "failed": 4, "partial": 3},
    has_duration=False,
)
IAAS = Wire(
    product="iaas_paas",
    path=IAAS_LIST,
    index="pageNumber",
    rows=("jobs",),
    states={"running": 1, "success": 2, "failed": 16, "partial": 8},
    lists_waiting=True,
)
AOS = Wire(
    product="aos_scan",
    path=AOS_LIST,
    required={"sortorder": "1"},
    has_window=False,
    index="skip",
    first_index=None,
    size="top",
    default_size=100,
    rows=("jobs",),
    row_id="id",
    state="state",
    states={"running": 1, "success": 2, "failed": 3, "partial": 4},
    has_counts=False,
    has_duration=False,
    year_1="0001-01-01T00:00:00.0000000+00:00",
)
ELEMENTS = Wire(
    product="elements",
    path=jobs_of_customer(CUSTOMER),
    method="POST",
    has_window=False,
    first_index=1,
    default_size=50,
    rows=("data",),
    finish="endTime",
    link=("metadata", "nextLink"),
    total=("metadata", "totalCount"),
    states={"running": 1, "success": 2, "failed": 3, "partial": 4},
    lists_waiting=True,
    no_finish="N/A",
)
WIRES = (M365, LEGACY, D365, GOOGLE, SALESFORCE, IAAS, AOS, ELEMENTS)


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
