"""What is peculiar to one product, through a hook, against the simulator.

Where the driver matters, both are asked: for what is sent, and for how a listing ends.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import product as combinations
from typing import Any

import pytest

from airflow_provider_avepoint.core.auth import TOKENS
from airflow_provider_avepoint.core.errors import AvePointConfigError
from airflow_provider_avepoint.core.model import BackupJob, Counts, JobState
from airflow_provider_avepoint.core.products import PRODUCTS
from airflow_provider_avepoint.core.verdict import Verdict
from airflow_provider_avepoint.simulator import Simulator
from tests.hooks.drivers import DRIVERS, Triggerer, Worker, path_of, required_by

Driver = Worker | Triggerer
DAY = 86400
CUSTOMER = required_by("elements")["organization_id"]


@pytest.fixture(params=DRIVERS)
def driver(request: pytest.FixtureRequest, connect: Callable[..., str]) -> Driver:
    """Return each driver, with a connection to the simulator."""
    connect()
    return DRIVERS[request.param]


by_requests = pytest.mark.parametrize("driver", ["requests"], indirect=True)
by_aiohttp = pytest.mark.parametrize("driver", ["aiohttp"], indirect=True)


def ids(jobs: list[BackupJob]) -> set[str]:
    return {job.job_id for job in jobs}


def asked_of(simulator: Simulator, product: str) -> list[dict[str, Any]]:
    """Return what *product*'s endpoint was asked, oldest first."""
    return simulator.requests(path_of(product))


def reasons_of(verdict: Verdict) -> dict[str, str]:
    return {
        f"{scope.scope.organization_id or '-'}/{scope.scope.workload or '-'}": scope.reason
        for scope in verdict.scopes
    }


class TestWhatIsSent:
    def test_a_token_is_decoded_once_and_sent_under_the_products_own_name(
        self, simulator: Simulator, driver: Driver
    ) -> None:
        """The vendor's samples are percent-encoded already: encoded again they are other tokens."""
        for product, name in (("google_workspace", "NextLink"), ("iaas_paas", "skiptoken")):
            simulator.set_quirks(product, max_page_size=20)
            simulator.generate(product, 45, every_seconds=60)

            assert len(driver.list_jobs(product)) == 45
            first, *others = asked_of(simulator, product)
            assert name not in first["query"]
            assert len(others) == 2
            for request in others:
                assert request["status"] == 200
                # As the simulator makes them: base64 with both characters that a query must encode.
                assert request["query"][name].startswith("+/+/")
                assert "%" not in request["query"][name]

    def test_filters_travel_in_a_body(self, simulator: Simulator, driver: Driver) -> None:
        for number in range(10):
            simulator.add_job("elements", job_id=f"E{number}", workload="exchange_online")
        simulator.add_job("elements", job_id="S", workload="sharepoint_online")

        jobs = driver.list_jobs("elements", object_type="exchange_online")

        assert {f"E{number}" for number in range(10)} == {job.job_id for job in jobs}
        assert {("exchange_online", CUSTOMER)} == {(job.workload, job.organization_id) for job in jobs}
        first, *others = asked_of(simulator, "elements")
        assert others  # ten rows may be a page, which more pages show
        for request in (first, *others):
            assert (request["method"], request["status"], request["body"]) == (
                "POST",
                200,
                {"jobModule": 303},
            )
            assert request["query"].keys() <= {"pageIndex", "pageSize"}
        assert first["query"] == {"pageSize": "100"}


@by_requests
class TestGoogleWorkspace:
    def test_zero_is_a_state(self, simulator: Simulator, driver: Driver) -> None:
        """In progress; neither none nor all, in rows and in the filter."""
        simulator.add_job("google_workspace", job_id="R", state="running")
        simulator.add_job("google_workspace", job_id="S")

        (running,) = driver.list_jobs("google_workspace", state="running")

        assert (running.job_id, running.state, running.raw_state) == ("R", JobState.RUNNING, 0)
        assert asked_of(simulator, "google_workspace")[0]["query"]["jobStatus"] == "0"

    def test_jobs_of_the_other_data_source_are_not_listed(self, simulator: Simulator, driver: Driver) -> None:
        """The API shows one data source at a time, and no value asks for both."""
        simulator.add_job("google_workspace", job_id="A")
        simulator.add_job("google_workspace", job_id="R", data_source="recenter")

        assert ids(driver.list_jobs("google_workspace")) == {"A"}
        assert "dataSource" not in asked_of(simulator, "google_workspace")[0]["query"]

    def test_apps_are_judged_by_themselves(self, simulator: Simulator, driver: Driver) -> None:
        simulator.add_job("google_workspace", workload="gmail")
        simulator.add_job("google_workspace", workload="chat", state="failed")
        simulator.add_job("google_workspace", workload="drive", job_type="retention")

        verdict = driver.judge(
            product="google_workspace", max_age=DAY, object_types=["gmail", "chat", "drive"]
        )

        assert reasons_of(verdict) == {"-/gmail": "passed", "-/chat": "failed", "-/drive": "missed"}

    def test_one_tenants_success_hides_no_failure(self, simulator: Simulator, driver: Driver) -> None:
        simulator.add_job("google_workspace", state="failed", started_ago=7200)
        simulator.add_job("google_workspace", started_ago=3600)

        assert driver.judge(product="google_workspace", max_age=DAY).reason == "failed"
        assert driver.judge(product="google_workspace", max_age=DAY, decide_by="newest").passed


@by_aiohttp
class TestSalesforce:
    @pytest.mark.parametrize("state_key", ["status", "state"])
    def test_the_state_stands_under_either_name(
        self, simulator: Simulator, driver: Driver, state_key: str
    ) -> None:
        simulator.set_quirks("salesforce", state_key=state_key)
        for word in ("success", "partial", "failed", "waiting", "stopped", "skipped", "running"):
            simulator.add_job("salesforce", job_id=word, state=word)

        jobs = driver.list_jobs("salesforce")

        assert {job.job_id: job.state.value for job in jobs} == {job.job_id: job.job_id for job in jobs}
        assert len(jobs) == 7
        assert all(state_key in job.raw for job in jobs)

    def test_a_size_is_in_kilobytes_and_counts_have_three_levels(
        self, simulator: Simulator, driver: Driver
    ) -> None:
        simulator.add_job(
            "salesforce",
            size_bytes=12 * 1024,
            counts={"successful": 9, "skipped": 8, "failed": 7},
            record_counts={"successful": 5, "skipped": 4, "failed": 3},
            metadata_counts={"successful": 2, "failed": 1},
        )

        (job,) = driver.list_jobs("salesforce")

        assert job.raw["dataSize"] == 12
        assert job.size_bytes == 12 * 1024
        assert job.counts == Counts(total=24, successful=9, failed=7, skipped=8)
        assert job.record_counts == Counts(total=12, successful=5, failed=3, skipped=4)
        assert job.metadata_counts == Counts(total=3, successful=2, failed=1)

    def test_a_window_is_always_asked_for(self, simulator: Simulator, driver: Driver) -> None:
        """The API insists on one."""
        simulator.add_job("salesforce", job_id="old", started_at="2001-05-01T00:00:00Z")

        assert ids(driver.list_jobs("salesforce")) == {"old"}
        assert {"startTime", "finishTime"} <= asked_of(simulator, "salesforce")[0]["query"].keys()

    @pytest.mark.parametrize("shows_organization", [True, False])
    def test_each_organisation_named_is_asked_for_by_itself(
        self, simulator: Simulator, driver: Driver, *, shows_organization: bool
    ) -> None:
        """The table's rows have the organisation, the sample's do not: then it is the one asked for."""
        simulator.set_quirks("salesforce", shows_organization=shows_organization)
        simulator.add_job("salesforce", organization_id="00A")
        simulator.add_job("salesforce", organization_id="00B", state="failed")
        simulator.add_job("salesforce", organization_id="00C", state="failed")

        verdict = driver.judge(product="salesforce", max_age=DAY, organization_ids=["00A", "00B", "00D"])

        assert reasons_of(verdict) == {"00A/-": "passed", "00B/-": "failed", "00D/-": "missed"}
        asked = [request["query"].get("organizationId") for request in asked_of(simulator, "salesforce")]
        # Nothing came for one of them: all are listed once, before that one is missed.
        assert set(asked) == {"00A", "00B", "00D", None}

    @pytest.mark.parametrize("shows_organization", [True, False])
    def test_without_a_name_one_organisations_success_hides_no_failure(
        self, simulator: Simulator, driver: Driver, *, shows_organization: bool
    ) -> None:
        simulator.set_quirks("salesforce", shows_organization=shows_organization)
        simulator.add_job("salesforce", organization_id="00A", state="failed", started_ago=7200)
        simulator.add_job("salesforce", organization_id="00B", started_ago=3600)

        verdict = driver.judge(product="salesforce", max_age=DAY)

        expected = {"00A/-": "failed", "00B/-": "passed"} if shows_organization else {"-/-": "failed"}
        assert reasons_of(verdict) == expected

    def test_failed_metadata_alone_makes_a_success_partial(
        self, simulator: Simulator, driver: Driver
    ) -> None:
        simulator.add_job(
            "salesforce",
            counts={"successful": 9},
            record_counts={"successful": 99},
            metadata_counts={"successful": 3, "failed": 1},
        )

        for policy, reason in (
            ({}, "partial"),
            ({"max_failed": 1}, "passed"),
            ({"max_failed": 0}, "partial"),
        ):
            assert driver.judge(product="salesforce", max_age=DAY, **policy).reason == reason, policy

    def test_other_backups_count_for_who_names_them(self, simulator: Simulator, driver: Driver) -> None:
        simulator.add_job("salesforce", state="failed", started_ago=7200)
        simulator.add_job("salesforce", job_type="on_demand_backup", started_ago=3600)

        assert driver.judge(product="salesforce", max_age=DAY).reason == "failed"
        assert driver.judge(product="salesforce", max_age=DAY, job_type=["backup", "on_demand_backup"]).passed


@by_requests
class TestIaasAndPaas:
    def test_backups_are_picked_out_without_a_filter(self, simulator: Simulator, driver: Driver) -> None:
        """Eighteen numbers mean a backup and the parameter takes one."""
        simulator.add_job("iaas_paas", job_id="VM", workload="virtual_machine")
        simulator.add_job("iaas_paas", job_id="EC2", workload="ec2")
        simulator.add_job("iaas_paas", job_id="restored", job_type="ec2_restore")
        simulator.add_job("iaas_paas", job_id="new", job_type=99999)

        assert ids(driver.list_jobs("iaas_paas")) == {"VM", "EC2"}
        assert "jobType" not in asked_of(simulator, "iaas_paas")[0]["query"]

    def test_one_number_is_asked_for(self, simulator: Simulator, driver: Driver) -> None:
        simulator.add_job("iaas_paas", job_id="VM")
        simulator.add_job("iaas_paas", job_id="deletion", job_type="data_deletion")

        (job,) = driver.list_jobs("iaas_paas", job_type="data_deletion")

        assert (job.job_id, job.job_type) == ("deletion", "data_deletion")
        assert asked_of(simulator, "iaas_paas")[0]["query"]["jobType"] == "30003"

    def test_rows_get_the_service_that_was_asked_for(self, simulator: Simulator, driver: Driver) -> None:
        simulator.add_job("iaas_paas", job_id="VM")
        simulator.add_job("iaas_paas", job_id="C", workload="cosmos")

        (cosmos,) = driver.list_jobs("iaas_paas", object_type="cosmos")
        every = driver.list_jobs("iaas_paas")

        assert (cosmos.job_id, cosmos.workload) == ("C", "cosmos")
        assert asked_of(simulator, "iaas_paas")[0]["query"]["serviceType"] == "24000"
        assert {job.job_id: job.workload for job in every} == {"VM": None, "C": None}

    def test_a_row_that_hides_its_type_is_not_understood(self, simulator: Simulator, driver: Driver) -> None:
        """It may be a backup that failed, or a restore that did not: nobody can tell."""
        simulator.add_job("iaas_paas", job_id="VM")
        simulator.add_job("iaas_paas", job_id="odd", state="failed", omit=["jobType"])

        problems = {job.job_id: job.problems for job in driver.list_jobs("iaas_paas")}
        assert problems == {"VM": (), "odd": ("jobType is missing",)}
        assert driver.judge(product="iaas_paas", max_age=DAY).reason == "unreadable"
        jobs = driver.list_jobs("iaas_paas", job_type="all")
        assert {job.job_id: job.job_type for job in jobs} == {"VM": "backup", "odd": None}

    @pytest.mark.parametrize("state_key", ["status", "state"])
    def test_states(self, simulator: Simulator, driver: Driver, state_key: str) -> None:
        """Under either name; a number that is not listed is unknown."""
        simulator.set_quirks("iaas_paas", state_key=state_key)
        words = {0: "waiting", 1: "running", 2: "success", 3: "unknown", 4: "skipped", 8: "partial"}
        words |= {16: "failed", 32: "waiting", 64: "stopped"}
        for raw in words:
            simulator.add_job("iaas_paas", raw_state=raw)

        jobs = driver.list_jobs("iaas_paas")

        assert {job.raw_state: job.state for job in jobs} == words
        assert all(state_key in job.raw for job in jobs)

    @pytest.mark.parametrize("link_key", ["nextLink", "nextlink"])
    def test_the_link_stands_under_either_name(
        self, simulator: Simulator, driver: Driver, link_key: str
    ) -> None:
        simulator.set_quirks("iaas_paas", link_key=link_key, max_page_size=20)
        simulator.generate("iaas_paas", 45, every_seconds=60)

        assert len(driver.list_jobs("iaas_paas")) == 45

    def test_counts_as_the_vendors_report_of_a_job_names_them(
        self, simulator: Simulator, driver: Driver
    ) -> None:
        simulator.add_job(
            "iaas_paas",
            counts={"failed": 1, "skipped": 2, "successful": 0, "total": 14},
            extra={"successCount": 11},
            omit=["successfulCount"],
        )

        (job,) = driver.list_jobs("iaas_paas")

        assert job.counts == Counts(total=14, successful=11, failed=1, skipped=2)

    def test_the_vendors_duration_counts_where_a_time_is_missing(
        self, simulator: Simulator, driver: Driver
    ) -> None:
        simulator.add_job("iaas_paas", extra={"finishTime": None}, duration="1.16:00:44")

        (job,) = driver.list_jobs("iaas_paas")

        assert job.duration == timedelta(days=1, hours=16, seconds=44)

    def test_services_are_judged_by_themselves_and_every_machine_counts(
        self, simulator: Simulator, driver: Driver
    ) -> None:
        """A machine's success hides no other's failure; what no service claims is a scope too."""
        simulator.add_job("iaas_paas", workload="virtual_machine", state="failed", started_ago=7200)
        simulator.add_job("iaas_paas", workload="virtual_machine", started_ago=3600)
        simulator.add_job("iaas_paas", workload="cosmos")
        simulator.add_job("iaas_paas", workload=31000, job_type="s3_backup")

        verdict = driver.judge(product="iaas_paas", max_age=DAY)

        assert reasons_of(verdict) == {
            "-/virtual_machine": "failed",
            "-/cosmos": "passed",
            "-/other": "passed",
        }
        services = {request["query"].get("serviceType") for request in asked_of(simulator, "iaas_paas")}
        assert services == {None, *map(str, PRODUCTS["iaas_paas"].object_types.values())}


class TestScans:
    def list_last_day(self, simulator: Simulator, driver: Driver) -> tuple[list[BackupJob], int]:
        """Return the jobs of the last day, and how many requests they took."""
        since = datetime.now(UTC) - timedelta(days=1)
        jobs = driver.list_jobs("aos_scan", started_after=since)
        return jobs, len(asked_of(simulator, "aos_scan"))

    def test_the_newest_are_asked_for_first(self, simulator: Simulator, driver: Driver) -> None:
        driver.list_jobs("aos_scan")

        (request,) = asked_of(simulator, "aos_scan")
        assert request["query"] == {"orderby": "StartTime", "sortorder": "1", "top": "1000"}

    def test_what_began_before_the_window_is_not_read(self, simulator: Simulator, driver: Driver) -> None:
        """A day of a history of many years is one page."""
        simulator.generate("aos_scan", 25_000, every_seconds=3600)

        jobs, requests = self.list_last_day(simulator, driver)

        assert (len(jobs), requests) == (24, 1)

    def test_few_pages_are_read_ahead_of_the_window(self, simulator: Simulator, driver: Driver) -> None:
        """Those that are on their way or wait to be drawn, and the first one again."""
        simulator.set_quirks("aos_scan", max_page_size=20, oversize="clamp")
        simulator.generate("aos_scan", 2000, every_seconds=600)

        jobs, requests = self.list_last_day(simulator, driver)

        assert len(jobs) == 144
        assert 8 <= requests <= 8 + 2 * 8 + 1

    def test_without_a_window_all_are_read(self, simulator: Simulator, driver: Driver) -> None:
        simulator.set_quirks("aos_scan", max_page_size=20, oversize="clamp")
        simulator.generate("aos_scan", 200, every_seconds=DAY)

        assert len(driver.list_jobs("aos_scan")) == 200

    def test_a_page_out_of_order_ends_nothing(self, simulator: Simulator, driver: Driver) -> None:
        """A server that does not keep the order that was asked for may have more to show."""
        simulator.set_quirks("aos_scan", max_page_size=10, oversize="clamp")
        now = datetime.now(UTC)
        for n in range(30):
            shown = now - timedelta(days=9) if n in (4, 9) else now - timedelta(hours=1, minutes=n)
            simulator.add_job(
                "aos_scan",
                job_id=str(n),
                started_ago=3600 + 60 * n,
                extra={"startTime": shown.isoformat()},
            )

        jobs, _ = self.list_last_day(simulator, driver)

        assert ids(jobs) == {str(n) for n in range(30)} - {"4", "9"}

    @pytest.mark.no_cover
    def test_a_link_that_asks_for_rows_again_costs_none(self, simulator: Simulator, driver: Driver) -> None:
        """The vendor's sample link skips one row too few, and its total counts the page."""
        for total, overlap, arrivals in combinations(("match", "page", "absent"), (1, 3, 9), (0, 3)):
            simulator.reset()
            TOKENS.clear()  # the server knows them no more
            simulator.set_quirks("aos_scan", max_page_size=10, oversize="clamp")
            simulator.generate("aos_scan", 45, every_seconds=60)
            before = ids(driver.list_jobs("aos_scan"))
            simulator.set_quirks("aos_scan", link_overlap=overlap, arrivals_per_page=arrivals, total=total)

            found = Counter(job.job_id for job in driver.list_jobs("aos_scan"))

            assert len(before) == 45
            assert before <= found.keys(), (total, overlap, arrivals)
            assert max(found.values()) == 1, (total, overlap, arrivals)

    def test_jobs_that_arrive_meanwhile_are_no_reason_to_stop(
        self, simulator: Simulator, driver: Driver
    ) -> None:
        simulator.generate("aos_scan", 300, every_seconds=600)
        before = {
            job["job_id"]
            for job in simulator.jobs("aos_scan")
            if datetime.fromisoformat(job["started_at"]) > datetime.now(UTC) - timedelta(hours=23)
        }
        simulator.set_quirks("aos_scan", arrivals_per_page=3, max_page_size=20, oversize="clamp")

        jobs, _ = self.list_last_day(simulator, driver)

        assert before <= ids(jobs)
        assert len(ids(jobs)) == len(jobs)

    def test_categories_are_judged_by_themselves_and_every_scan_counts(
        self, simulator: Simulator, driver: Driver
    ) -> None:
        simulator.add_job("aos_scan", workload="m365", state="failed", started_ago=7200)
        simulator.add_job("aos_scan", workload="m365", started_ago=3600)
        simulator.add_job("aos_scan", workload="google")
        simulator.add_job("aos_scan", workload="power_platform", job_type="batch_import")

        verdict = driver.judge(product="aos_scan", max_age=DAY)

        assert reasons_of(verdict) == {"-/m365": "failed", "-/google": "passed"}


@by_aiohttp
class TestElements:
    def test_without_a_customer_nothing_is_sent(self, simulator: Simulator, driver: Driver) -> None:
        with pytest.raises(
            AvePointConfigError, match="organization_id: AvePoint Elements lists one customer"
        ):
            driver.list_jobs("elements", organization_id=None)
        with pytest.raises(
            AvePointConfigError, match="organization_id: AvePoint Elements lists one customer"
        ):
            driver.get_job("elements", "FB1", organization_id=None)
        with pytest.raises(
            AvePointConfigError, match="organization_ids: AvePoint Elements lists one customer"
        ):
            driver.judge(product="elements", max_age=DAY)
        assert simulator.requests() == []

    def test_a_customer_sees_its_own_jobs(self, simulator: Simulator, driver: Driver) -> None:
        """Rows do not say whose they are: they are of whom was asked for."""
        simulator.add_job("elements", job_id="A", organization_id="customer-a")
        simulator.add_job("elements", job_id="B", organization_id="customer-b")

        (job,) = driver.list_jobs("elements", organization_id="customer-a")

        assert (job.job_id, job.organization_id) == ("A", "customer-a")
        assert driver.get_job("elements", "B", organization_id="customer-b").organization_id == "customer-b"

    def test_figures_are_texts(self, simulator: Simulator, driver: Driver) -> None:
        counts = {"successful": 2300, "failed": 3, "skipped": 20, "warning": 4}
        simulator.add_job(
            "elements",
            started_at="2025-09-11T03:21:16Z",
            finished_at="2025-09-11T03:38:56Z",
            counts=counts,
            size_bytes=5 * 1024**3,
        )

        (job,) = driver.list_jobs("elements")

        assert (job.raw["totalCount"], job.raw["backupSize"]) == ("2323", "5 GB")
        assert job.counts == Counts(total=2323, **counts)
        assert job.size_bytes == 5 * 1024**3
        assert job.finished_at == datetime(2025, 9, 11, 3, 38, 56, tzinfo=UTC)
        assert job.duration == timedelta(minutes=17, seconds=40)

    def test_what_a_row_does_not_say_is_written_out(self, simulator: Simulator, driver: Driver) -> None:
        """``"N/A"`` stands for a time, a duration, a figure."""
        states: dict[str, dict[str, Any]] = {
            "pending": {"state": "waiting"},
            "not started": {"raw_state": 13},
            "running": {"state": "running"},
        }
        silent = {"totalCount": "N/A", "backupSize": "N/A", "startTime": "N/A"}
        for name, state in states.items():
            simulator.add_job("elements", job_id=name, **state, finished_at=None, extra=silent)

        jobs = driver.list_jobs("elements")

        found = {job.job_id: job.state.value for job in jobs}
        assert found == {"pending": "waiting", "not started": "waiting", "running": "running"}
        for job in jobs:
            assert (job.raw["endTime"], job.raw["jobDuration"]) == ("N/A", "N/A")
            assert (job.started_at, job.finished_at, job.duration) == (None, None, None)
            assert (job.counts.total, job.size_bytes) == (None, None)

    def test_housekeeping_is_never_a_backup(self, simulator: Simulator, driver: Driver) -> None:
        """Its rows have the job type of the service; only the module tells."""
        words = PRODUCTS["elements"].housekeeping
        simulator.add_job("elements", job_id="B", state="failed", started_ago=7200)
        for word in words:
            simulator.add_job("elements", job_id=word, workload=word, started_ago=3600)

        assert ids(driver.list_jobs("elements")) == {"B"}
        jobs = driver.list_jobs("elements", job_type="all")
        assert {job.job_id: job.job_type for job in jobs} == {"B": "backup"} | {word: word for word in words}
        verdict = driver.judge(product="elements", max_age=DAY, organization_ids=CUSTOMER)
        assert reasons_of(verdict) == {f"{CUSTOMER}/exchange_online": "failed"}
        for word in words:
            assert ids(driver.list_jobs("elements", job_type=word)) == {word}
            with pytest.raises(AvePointConfigError, match=f"object_types: '{word}' is not known"):
                driver.judge(product="elements", max_age=DAY, organization_ids=CUSTOMER, object_types=word)

    def test_failed_is_failed_though_no_object_did(self, simulator: Simulator, driver: Driver) -> None:
        """The vendor's own sample, which an earlier edition called Successful."""
        simulator.add_job("elements", state="failed", counts={"successful": 2323})

        verdict = driver.judge(
            product="elements", max_age=DAY, organization_ids=CUSTOMER, accept_partial=True
        )

        assert verdict.reason == "failed"

    def test_customers_and_modules_are_judged_by_themselves(
        self, simulator: Simulator, driver: Driver
    ) -> None:
        """Each customer has a list of its own, which is asked for by itself."""
        simulator.add_job("elements", organization_id="c1")
        simulator.add_job("elements", organization_id="c1", workload="onedrive", state="failed")
        simulator.add_job("elements", organization_id="c2")
        simulator.add_job("elements", organization_id="c3", workload="retention")

        verdict = driver.judge(product="elements", max_age=DAY, organization_ids=["c1", "c2", "c3"])

        assert reasons_of(verdict) == {
            "c1/exchange_online": "passed",
            "c1/onedrive": "failed",
            "c2/exchange_online": "passed",
            "c3/-": "missed",
        }

    def test_a_later_success_does_not_hide_a_failure(self, simulator: Simulator, driver: Driver) -> None:
        """Rows name neither tenant nor machine: unless told otherwise, every backup must be good."""
        modules = ("exchange_online", "amazon_ec2", "none", 999)
        for module in modules:
            simulator.add_job("elements", workload=module, state="failed", started_ago=7200)
            simulator.add_job("elements", workload=module, started_ago=3600)
        policy = {"product": "elements", "max_age": DAY, "organization_ids": CUSTOMER}

        found = driver.judge(**policy)
        assert [False] * len(modules) == [scope.passed for scope in found.scopes]
        assert driver.judge(**policy, decide_by="newest").passed
