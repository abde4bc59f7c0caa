"""A plain HTTP caller of the simulator, which knows of each product only what the vendor's pages print."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx

from airflow_provider_avepoint.simulator import Simulator

M365_LIST = "/backup/m365/cloudbackupjobs"
M365_LICENSE = "/backup/m365/cloudbackuplicenseconsumption"
LEGACY_LIST = "/cloudbackup/jobs"
LEGACY_LICENSE = "/cloudbackup/licenseconsumption"
D365_LIST = "/dynamicsbackup/jobs"
JOB_SCOPE = "microsoft365backup.jobInfo.read.all"
LICENSE_SCOPE = "microsoft365backup.subscriptionInfo.read.all"
D365_SCOPE = "Dynamics.ReadWrite.All"
SCOPES = {
    M365_LIST: JOB_SCOPE,
    LEGACY_LIST: JOB_SCOPE,
    M365_LICENSE: LICENSE_SCOPE,
    LEGACY_LICENSE: LICENSE_SCOPE,
    D365_LIST: D365_SCOPE,
}
PATIENCE = 5.0
"""The longest that a test waits for anything, in seconds."""


@dataclass(frozen=True)
class Wire:
    """Where a product's page holds what, in the vendor's words."""

    product: str
    path: str
    required: dict[str, str]
    rows: str
    row_id: str
    state: str
    start: str
    finish: str
    link: tuple[str, ...]
    total: tuple[str, ...]

    def ids(self, page: Any) -> list[str]:
        """Return the ids of a page's rows, in their order."""
        return [row[self.row_id] for row in page[self.rows]]

    def link_of(self, page: Any) -> Any:
        """Return what stands in the page's link field."""
        return _dig(page, self.link)

    def total_of(self, page: Any) -> Any:
        """Return the page's total."""
        return _dig(page, self.total)


WIRES = (
    Wire(
        product="m365",
        path=M365_LIST,
        required={},
        rows="data",
        row_id="id",
        state="state",
        start="startTime",
        finish="finishTime",
        link=("metadata", "nextLink"),
        total=("metadata", "totalCount"),
    ),
    Wire(
        product="m365_legacy",
        path=LEGACY_LIST,
        required={},
        rows="Jobs",
        row_id="Id",
        state="State",
        start="StartTime",
        finish="FinishTime",
        link=("NextLink",),
        total=("TotalCount",),
    ),
    Wire(
        product="dynamics365",
        path=D365_LIST,
        required={"type": "0", "startTime": "2000-01-01", "finishTime": "2100-01-01"},
        rows="jobs",
        row_id="jobId",
        state="status",
        start="startTime",
        finish="finishTime",
        link=("nextLink",),
        total=("totalCount",),
    ),
)


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
        scope = next((scope for path, scope in SCOPES.items() if path in url), JOB_SCOPE)
        headers = {"Authorization": f"Bearer {token or self.token(scope)}"}
        return self.http.get(url, params=query or None, headers=headers)

    def page(self, wire: Wire, **query: Any) -> Any:
        """Return one page of a product's jobs."""
        return self.get(wire.path, **wire.required | query).raise_for_status().json()

    def ids(self, wire: Wire, **query: Any) -> list[str]:
        """Return the ids that one page lists."""
        return wire.ids(self.page(wire, **query))


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
