"""What both hooks read beside jobs and licences: schedule, unusual activity, retention, coverage, alerts."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_avepoint.core import errors
from airflow_provider_avepoint.core.products import PRODUCTS
from airflow_provider_avepoint.simulator import Simulator
from tests.hooks.drivers import DRIVERS, Triggerer, Worker, with_one

Driver = Worker | Triggerer
both_drivers = pytest.mark.parametrize("driver", DRIVERS.values(), ids=DRIVERS)

YESTERDAY = datetime.now(UTC).replace(microsecond=0) - timedelta(days=1)
CUSTOMER = "caf9d1c2-2cc6-4f0e-b04b-794c8a3b5ea3"
SCHEDULE, ACTIVITY = "/backup/m365/settings/backup/frequency", "/backup/m365/cloudbackupunusualactivitydata"
RETENTION = "/backup/m365/settings/retention-policy"
#: Each call with the arguments that it needs, the product and the reading of the simulator behind it, and the
#: path that faults name.
CALLS: list[tuple[str, tuple[Any, ...], dict[str, Any], str, str, str]] = [
    ("get_backup_schedule", (), {}, "m365", "schedule", SCHEDULE),
    ("get_retention", (), {}, "m365", "retention", RETENTION),
    ("get_unusual_activity", ("m365",), {}, "m365", "unusual_activity", ACTIVITY),
    (
        "get_unusual_activity",
        ("salesforce",),
        {},
        "salesforce",
        "unusual_activity",
        "/backup/sfbapi/unusual-activities",
    ),
    (
        "get_unusual_activity",
        ("elements",),
        {"organization_id": CUSTOMER},
        "elements",
        "unusual_activity",
        "/partner/external/v3/wm/",
    ),
    ("iter_monitor_alerts", (), {}, "salesforce", "monitor_alerts", "/backup/sfbapi/monitor-alerts"),
    (
        "get_coverage",
        (CUSTOMER,),
        {"parts": "services"},
        "elements",
        "overview",
        f"/partner/external/v3/general/customers/{CUSTOMER}/cloud-backup-m365",
    ),
    (
        "get_coverage",
        (CUSTOMER,),
        {"parts": "users"},
        "elements",
        "users",
        f"/partner/external/v3/general/customers/{CUSTOMER}/tenants/",
    ),
    (
        "get_coverage",
        (CUSTOMER,),
        {"parts": ["changes"]},
        "elements",
        "scan_profiles",
        f"/partner/external/v3/general/customers/{CUSTOMER}/scan-profiles/batch",
    ),
]


@pytest.fixture(autouse=True)
def _quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airflow_provider_avepoint.core.retry.BASE_DELAY", 0.01)


@pytest.fixture(autouse=True)
def _connected(connect: Callable[..., str]) -> None:
    connect()


def refuse_each(
    simulator: Simulator, bad: list[Any], product: str, name: str, call: Callable[[], Any]
) -> None:
    """Check that every value of *bad* is refused as not understood, whatever good stands beside it."""
    for value in bad:
        simulator.set_reading(product, name, value)
        with pytest.raises(errors.AvePointPayloadError) as caught:
            call()
        assert len(str(caught.value)) < 700, value


class TestEveryCall:
    @pytest.mark.no_cover
    @both_drivers
    def test_faults_end_as_they_do_for_jobs(self, simulator: Simulator, driver: Driver) -> None:
        """A throttled, broken or odd answer is tried again or refused, and never read as "nothing there"."""
        for name, arguments, named, _, _, path in CALLS:
            good = driver.call(name, *arguments, **named)
            for fault in (
                {"kind": "status", "status": 503, "count": 2},
                {"kind": "retry_after", "seconds": 0},
                {"kind": "expire_token"},
                {"kind": "drop"},
                {"kind": "html"},
            ):
                simulator.clear_faults()
                simulator.add_fault(path=path, **fault)
                again = driver.call(name, *arguments, **named)
                assert without_times(again) == without_times(good), (name, fault)
            for fault, error in (
                ({"kind": "status", "status": 404}, errors.AvePointRequestError),
                ({"kind": "status", "status": 400}, errors.AvePointRequestError),
                ({"kind": "status", "status": 500, "count": None}, errors.AvePointUnavailable),
                ({"kind": "status", "status": 401, "count": None}, errors.AvePointAuthError),
                ({"kind": "error_body", "form": "success", "count": None}, errors.AvePointError),
                ({"kind": "broken_json"}, errors.AvePointPayloadError),
                ({"kind": "empty_body"}, errors.AvePointPayloadError),
                ({"kind": "missing_rows"}, errors.AvePointPayloadError),
                ({"kind": "missing_rows", "instead": None}, errors.AvePointPayloadError),
                ({"kind": "missing_rows", "instead": "[]"}, errors.AvePointPayloadError),
                ({"kind": "missing_rows", "instead": [7]}, errors.AvePointPayloadError),
                ({"kind": "redirect", "location": "https://elsewhere.example"}, errors.AvePointPayloadError),
            ):
                simulator.clear_faults()
                simulator.add_fault(path=path, **fault)
                with pytest.raises(error):
                    driver.call(name, *arguments, **named)

    @both_drivers
    def test_a_missing_permission_names_itself(self, simulator: Simulator, driver: Driver) -> None:
        for name, arguments, named, _, _, path in CALLS:
            simulator.clear_faults()
            simulator.add_fault("status", path=path, status=403, count=None)
            with pytest.raises(errors.AvePointPermissionError) as caught:
                driver.call(name, *arguments, **named)
            assert isinstance(caught.value, AirflowFailException)
            assert caught.value.permission in str(caught.value)

    @both_drivers
    def test_a_permission_that_the_app_has_is_enough_for_its_part(
        self, simulator: Simulator, driver: Driver
    ) -> None:
        """Each part of a coverage can be asked for by itself."""
        simulator.set_client(simulator.client_id, scopes=["elements.cbprotected.read.all"])
        assert driver.call("get_coverage", CUSTOMER, parts="services").services
        for parts, permission in (
            ("users", "elements.customers.read.all"),
            ("changes", "elements.scanprofiles.read.all"),
            (None, "elements.customers.read.all"),
        ):
            with pytest.raises(errors.AvePointPermissionError, match=permission):
                driver.call("get_coverage", CUSTOMER, parts=parts)

    @both_drivers
    def test_a_product_that_cannot_tell_is_refused_with_those_that_can(
        self, simulator: Simulator, driver: Driver
    ) -> None:
        """Nothing is sent."""
        for name, arguments, named, able in (
            ("get_backup_schedule", (), {}, "m365"),
            ("get_retention", (), {}, "m365"),
            ("get_unusual_activity", (), {}, "m365, salesforce, elements"),
            ("get_coverage", (CUSTOMER,), {}, "elements"),
            ("iter_monitor_alerts", (), {}, "salesforce"),
        ):
            for product in set(PRODUCTS) - set(able.split(", ")):
                with pytest.raises(errors.AvePointConfigError, match=f"{product}.* can: {able}\\."):
                    driver.call(name, *arguments, product=product, **named)
        assert simulator.requests() == []

    @both_drivers
    def test_arguments_that_cannot_be_used(self, simulator: Simulator, driver: Driver) -> None:
        """Nothing is sent, and the message names the argument."""
        bad: list[tuple[str, tuple[Any, ...], dict[str, Any], str]] = [
            ("get_backup_schedule", (5.5,), {}, "location"),
            ("get_backup_schedule", ("",), {}, "location"),
            ("get_retention", (["NAM"],), {}, "location"),
            ("get_unusual_activity", ("m365",), {"organization_id": "x"}, "organization_id"),
            ("get_unusual_activity", ("m365",), {"tenant_id": "x"}, "tenant_id"),
            ("get_unusual_activity", ("salesforce",), {"location": "NAM"}, "location"),
            ("get_unusual_activity", ("salesforce",), {"tenant_id": "x"}, "tenant_id"),
            ("get_unusual_activity", ("elements",), {}, "organization_id"),
            ("get_unusual_activity", ("elements",), {"organization_id": "x", "location": "NAM"}, "location"),
            (
                "get_unusual_activity",
                ("elements",),
                {"organization_id": "x", "detected_after": "2026-11-01T00:00:00Z"},
                "detected_after.*7 days",
            ),
            (
                "get_unusual_activity",
                ("elements",),
                {"organization_id": "x", "detected_before": "2026-11-01T00:00:00Z"},
                "detected_before.*7 days",
            ),
            ("get_unusual_activity", ("m365",), {"detected_after": "yesterday"}, "detected_after"),
            ("get_unusual_activity", ("m365",), {"detected_after": datetime(2026, 1, 1)}, "detected_after"),  # noqa: DTZ001
            (
                "get_unusual_activity",
                ("m365",),
                {"detected_after": "2026-01-02T00:00:00Z", "detected_before": "2026-01-02T00:00:00Z"},
                "detected_after",
            ),
            ("get_coverage", (None,), {}, "organization_id"),
            ("get_coverage", ("",), {}, "organization_id"),
            ("get_coverage", ("x",), {"parts": "sites"}, "parts.*services, users, changes"),
            ("get_coverage", ("x",), {"parts": []}, "parts"),
            ("iter_monitor_alerts", (), {"organization_id": "None"}, "organization_id"),
            ("iter_monitor_alerts", (), {"collected_after": "24h"}, "collected_after"),
            (
                "iter_monitor_alerts",
                (),
                {"collected_after": "2026-01-02T00:00:00Z", "collected_before": "2026-01-01T00:00:00Z"},
                "collected_after",
            ),
        ]
        for name, arguments, named, match in bad:
            with pytest.raises(errors.AvePointConfigError, match=match):
                driver.call(name, *arguments, **named)
        assert simulator.requests() == []

    @both_drivers
    def test_the_location_of_the_connection_holds_where_there_are_locations(
        self, simulator: Simulator, connect: Callable[..., str], driver: Driver
    ) -> None:
        connect(extra={"location": "NAM"})
        simulator.set_reading("m365", "schedule", [], location="NAM")
        for name, arguments, named, product, *_ in CALLS:
            seen = len(simulator.requests())
            answer = driver.call(name, *arguments, **named)
            sent = [each["query"].get("location") for each in simulator.requests(since=seen)]
            assert [None] * (len(sent) - 1) + ["NAM" if product == "m365" else None] == sent, name
            if product == "m365":
                assert answer.location == "NAM"
                assert driver.call(name, *arguments, location="EUR").location == "EUR"
                assert simulator.requests()[-1]["query"]["location"] == "EUR"
        assert driver.call("get_backup_schedule").services == ()
        assert driver.call("get_backup_schedule", "PrimaryGeoLocation").services != ()


class TestSchedule:
    @both_drivers
    def test_the_sample(self, simulator: Simulator, driver: Driver) -> None:
        day = datetime.now(UTC).date()
        schedule = driver.call("get_backup_schedule")

        assert schedule.scheduled == ("exchange_online", "sharepoint_online", "onedrive")
        assert [4, 1, 1] == [each.runs_a_day for each in schedule.services]
        starts = schedule.list_starts("exchange_online")
        assert ["03:54:22", "09:54:22", "15:54:22", "21:54:22"] == [f"{each:%H:%M:%S}" for each in starts]
        assert day - timedelta(days=1) <= starts[0].date() <= day + timedelta(days=1)
        assert schedule.list_starts("teams") == ()
        assert abs(datetime.now(UTC) - schedule.read_at) < timedelta(minutes=10)
        written = json.loads(json.dumps(schedule.as_dict()))
        assert written["services"][1] == {
            "service": "sharepoint_online",
            "runs_a_day": 1,
            "starts": [starts[0].isoformat()],
        }

    @both_drivers
    def test_every_documented_number_is_a_word_of_ours(self, simulator: Simulator, driver: Driver) -> None:
        """The numbers are not those of the jobs' filter; one that is not documented stays what it is."""
        simulator.set_reading(
            "m365", "schedule", [{"serviceType": n, "frequency": 1, "backupStartTime": []} for n in range(16)]
        )
        words = [each.service for each in driver.call("get_backup_schedule").services]

        assert words == [
            *("exchange_online", "sharepoint_online", "onedrive", "microsoft_365_groups", "project_online"),
            *("public_folder", "teams", "public_folder_metadata", "private_channel", "viva_engage"),
            *("teams_chat", "power_bi", "power_automate", "shared_channel", "power_apps", "15"),
        ]

    @both_drivers
    def test_contradictions(self, simulator: Simulator, driver: Driver) -> None:
        """No run a day, more starts than runs, one service twice, starts unsorted and twice, other forms."""
        early, late = "2026-02-27T03:54:22Z", "2026-02-27T21:54:22.1234567+00:00"
        simulator.set_reading(
            "m365",
            "schedule",
            [
                {"serviceType": 0, "frequency": 0, "backupStartTime": []},
                {"serviceType": "1", "frequency": "1", "backupStartTime": [late, early, early]},
                {"serviceType": 1, "frequency": 1, "backupStartTime": ["2026-02-27T05:00:00+02:00"]},
                {"ServiceType": 2, "Frequency": 0, "BackupStartTime": [early]},
            ],
        )
        schedule = driver.call("get_backup_schedule")

        assert schedule.scheduled == ("sharepoint_online", "onedrive")
        assert [3, 3, 21] == [each.hour for each in schedule.list_starts("sharepoint_online")]
        assert schedule.list_starts("exchange_online") == ()

    @both_drivers
    def test_an_empty_list_is_no_service(self, simulator: Simulator, driver: Driver) -> None:
        simulator.set_reading("m365", "schedule", [])
        assert driver.call("get_backup_schedule").scheduled == ()

    @with_one("aiohttp")
    def test_what_is_not_understood(self, simulator: Simulator, driver: Driver) -> None:
        good = {"serviceType": 0, "frequency": 1, "backupStartTime": ["2026-02-27T03:54:22Z"]}
        bad: list[Any] = [
            {**good, "serviceType": None},
            {**good, "serviceType": "Exchange Online"},
            {**good, "serviceType": -1},
            {**good, "serviceType": True},
            {name: value for name, value in good.items() if name != "frequency"},
            {**good, "frequency": None},
            {**good, "frequency": "daily"},
            {**good, "frequency": 0.5},
            {**good, "frequency": -4},
            {**good, "Frequency": 4},
            {**good, "backupStartTime": None},
            {**good, "backupStartTime": [f"2026-02-27T03:54:{n % 60:02}Z" for n in range(1441)]},
            {**good, "backupStartTime": "2026-02-27T03:54:22Z"},
            {**good, "backupStartTime": ["2026-02-27T03:54:22"]},
            {**good, "backupStartTime": ["03:54"]},
            {**good, "backupStartTime": [None]},
            {**good, "backupStartTime": ["0001-01-01T00:00:00Z"]},
            {**good, "backupStartTime": [{"at": "x" * 5000}]},
            {name: value for name, value in good.items() if name != "backupStartTime"},
            "Exchange",
            None,
        ]
        rows: list[Any] = [[good, each] for each in bad]
        refuse_each(
            simulator,
            [*rows, None, {}, good, "none"],
            "m365",
            "schedule",
            lambda: driver.call("get_backup_schedule"),
        )

    @both_drivers
    def test_a_list_that_says_it_goes_on_is_not_the_whole_schedule(
        self, simulator: Simulator, driver: Driver
    ) -> None:
        """The documents know one page only; a service on a second page would look not scheduled."""
        for extra in (
            {"metadata": {"nextLink": f"{simulator.url}{SCHEDULE}?pageIndex=2"}},
            {"nextLink": "token"},
            {"metadata": {"totalCount": 4}},
            {"totalNumber": "9"},
        ):
            simulator.add_fault("fields", path=SCHEDULE, extra=extra)
            with pytest.raises(errors.AvePointPayloadError, match=r"next page|of . rows"):
                driver.call("get_backup_schedule")
        simulator.add_fault("fields", path=SCHEDULE, extra={"Data": []})
        with pytest.raises(errors.AvePointPayloadError, match="data is there twice"):
            driver.call("get_backup_schedule")
        for extra in ({"metadata": {"nextLink": "", "totalCount": 3}}, {"metadata": {"totalCount": "many"}}):
            simulator.add_fault("fields", path=SCHEDULE, extra=extra)
            assert len(driver.call("get_backup_schedule").services) == 3


class TestUnusualActivity:
    ROW: ClassVar[dict[str, Any]] = {
        "tenantOwner": "owner@example.com",
        "tenantId": "t1",
        "serviceType": 1,
        "potentialRansomwareAttackCount": 5,
        "unusualActivitiesCount": 10,
    }
    SALESFORCE_ROW: ClassVar[dict[str, Any]] = {
        "organizationId": "00Dam00000kxWaGEAU",
        "organizationName": "Acme",
        "latestDetectedDate": f"{YESTERDAY:%Y-%m-%dT%H:%M:%SZ}",
        "suspiciousFiles": 0,
        "addedFiles": 2,
        "modifiedFiles": 3,
        "deletedFiles": 900,
    }

    @both_drivers
    def test_microsoft_365_has_two_counts_and_either_is_an_alarm(
        self, simulator: Simulator, driver: Driver
    ) -> None:
        """Table and sample swap their descriptions, so none of the two may be overlooked."""
        for form in ("nested", "flat"):
            simulator.set_quirks("m365", activity_form=form)
            for ransomware, unusual in ((5, 10), (10, 5), (0, 7), (7, 0), (0, 0)):
                row = {
                    **self.ROW,
                    "potentialRansomwareAttackCount": ransomware,
                    "unusualActivitiesCount": unusual,
                }
                simulator.set_reading("m365", "unusual_activity", [{**row, "serviceType": 2}, row])
                activity = driver.call("get_unusual_activity", "m365")
                onedrive, sharepoint = activity.counts

                assert ("onedrive", "sharepoint_online") == (onedrive.service, sharepoint.service)
                assert (ransomware, unusual) == (sharepoint.ransomware, sharepoint.unusual)
                assert activity.alarm == sharepoint.alarm == max(ransomware, unusual)
        assert json.loads(json.dumps(activity.as_dict()))["alarm"] == 0
        assert str(sharepoint) == ("owner@example.com / t1 / sharepoint_online: 0 ransomware, 0 unusual")

    @both_drivers
    def test_nothing_detected(self, simulator: Simulator, driver: Driver) -> None:
        for product, named in (("m365", {}), ("salesforce", {}), ("elements", {"organization_id": CUSTOMER})):
            assert driver.call("get_unusual_activity", product, **named).alarm == 0

    @both_drivers
    def test_the_window_is_sent_in_full_times_and_a_little_wider(
        self, simulator: Simulator, driver: Driver
    ) -> None:
        after, before = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 2, tzinfo=UTC)
        for product in ("m365", "salesforce"):
            activity = driver.call(
                "get_unusual_activity", product, detected_after=after, detected_before=before
            )
            sent = simulator.requests()[-1]["query"]
            assert sent == {"startTime": "2026-10-31T23:59:59Z", "finishTime": "2026-11-02T00:00:01Z"}
            assert (after, before) == (activity.detected_after, activity.detected_before)

            activity = driver.call("get_unusual_activity", product)
            sent = simulator.requests()[-1]["query"]
            now = datetime.now(UTC)
            assert timedelta(days=7) == activity.detected_before - activity.detected_after
            assert datetime.fromisoformat(sent["finishTime"]) > now
            assert datetime.fromisoformat(sent["startTime"]) <= activity.detected_after

    @both_drivers
    def test_a_worker_whose_clock_is_wrong_asks_again(self, simulator: Simulator, driver: Driver) -> None:
        """The window of a wrong clock would be empty, and so look good."""
        for ahead in (90, -90):
            simulator.set_clock(ahead_seconds=ahead * 86400)
            there = datetime.now(UTC) + timedelta(days=ahead) - timedelta(hours=1)
            row = {**self.SALESFORCE_ROW, "latestDetectedDate": there.isoformat(), "suspiciousFiles": 2}
            simulator.set_reading("salesforce", "unusual_activity", [row])
            activity = driver.call("get_unusual_activity", "salesforce")
            assert activity.alarm == 2
            assert activity.detected_after < there < activity.detected_before
            alert = {**TestMonitorAlerts.ALERT, "collectTime": there.isoformat()}
            simulator.set_reading("salesforce", "monitor_alerts", [alert])
            assert len(driver.call("iter_monitor_alerts")) == 1

    @both_drivers
    def test_all_locations_unless_one_is_asked_for(self, simulator: Simulator, driver: Driver) -> None:
        simulator.set_reading("m365", "unusual_activity", [self.ROW])
        simulator.set_reading("m365", "unusual_activity", [{**self.ROW, "serviceType": 2}], location="EUR")

        assert ["sharepoint_online", "onedrive"] == [
            each.service for each in driver.call("get_unusual_activity", "m365").counts
        ]
        (found,) = driver.call("get_unusual_activity", "m365", location="EUR").counts
        assert found.service == "onedrive"

    @both_drivers
    def test_only_suspicious_files_of_salesforce_are_an_alarm(
        self, simulator: Simulator, driver: Driver
    ) -> None:
        simulator.set_reading("salesforce", "unusual_activity", [self.SALESFORCE_ROW])
        activity = driver.call("get_unusual_activity", "salesforce")
        (counts,) = activity.counts

        assert activity.alarm == 0
        assert (0, 2, 3, 900) == (counts.suspicious, counts.added, counts.modified, counts.deleted)
        assert counts.detected_at == YESTERDAY
        row = {**self.SALESFORCE_ROW, "suspiciousFiles": "4", "latestDetectedDate": None, "addedFiles": 0}
        simulator.set_reading("salesforce", "unusual_activity", [row])
        assert driver.call("get_unusual_activity", "salesforce").alarm == 4
        # What is no alarm may be anything.
        odd = {"latestDetectedDate": "soon", "addedFiles": None, "modifiedFiles": "many", "deletedFiles": -1}
        simulator.set_reading("salesforce", "unusual_activity", [{**row, **odd}])
        (counts,) = driver.call("get_unusual_activity", "salesforce").counts
        assert (counts.alarm, counts.added, counts.deleted, counts.detected_at) == (4, None, None, None)

    @both_drivers
    def test_one_organisation_of_salesforce(self, simulator: Simulator, driver: Driver) -> None:
        """The short form of an id is the same organisation; counts of others only are no clean bill."""
        other = {**self.SALESFORCE_ROW, "organizationId": "00Dam00000kxWaXEAU", "suspiciousFiles": 3}
        simulator.set_reading("salesforce", "unusual_activity", [self.SALESFORCE_ROW, other])
        for ignored in ((), ("organizationId",)):
            simulator.set_quirks("salesforce", ignored_parameters=ignored)
            activity = driver.call("get_unusual_activity", "salesforce", organization_id="00Dam00000kxWaXEAU")
            assert ["00Dam00000kxWaXEAU"] == [each.organization_id for each in activity.counts]
        assert (
            len(driver.call("get_unusual_activity", "salesforce", organization_id="00Dam00000kxWaX").counts)
            == 1
        )
        for wrong in ("00Dam00000kxWaxEAU", "Acme"):
            with pytest.raises(errors.AvePointPayloadError, match=f"{wrong}.*00Dam00000kxWaGEAU"):
                driver.call("get_unusual_activity", "salesforce", organization_id=wrong)

    @both_drivers
    def test_elements_counts_each_service_of_each_tenant(self, simulator: Simulator, driver: Driver) -> None:
        """The page's sample: objects under attack, and none of them among the unusual ones."""
        quiet = {
            f"{service}{count}": 0
            for service in ("teams", "sharePointSites", "oneDrives", "groups")
            for count in ("UnderPotentialRansomwareAttack", "WithUnusualActivities", "WithSuspiciousObjects")
        }
        tenants = [
            {"id": "T-1", "name": "One"},
            {"id": "t 2/", "name": "Two"},
            {"id": "T-1", "name": "Twice"},
        ]
        simulator.set_reading(
            "elements", "customers", [{"id": "x", "tenants": []}, {"id": CUSTOMER, "tenants": tenants}]
        )
        loud = {**quiet, "teamsUnderPotentialRansomwareAttack": 10, "groupsWithSuspiciousObjects": "16"}
        simulator.set_reading("elements", "unusual_activity", quiet, tenant_id="T-1")
        with pytest.raises(errors.AvePointRequestError):
            driver.call(
                "get_unusual_activity", "elements", organization_id=CUSTOMER
            )  # the second tenant: 404
        simulator.set_reading("elements", "customers", [{"id": CUSTOMER, "tenants": tenants[:1]}])
        assert driver.call("get_unusual_activity", "elements", organization_id=CUSTOMER).alarm == 0
        simulator.set_reading("elements", "unusual_activity", loud, tenant_id="T-1")
        activity = driver.call("get_unusual_activity", "elements", organization_id=f"{{{CUSTOMER.upper()}}}")

        assert {
            "microsoft_teams": (10, 0, 0),
            "sharepoint_online": (0, 0, 0),
            "onedrive": (0, 0, 0),
            "microsoft_365_groups": (0, 0, 16),
        } == {each.service: (each.ransomware, each.unusual, each.suspicious) for each in activity.counts}
        assert {("T-1", CUSTOMER)} == {(each.tenant_id, each.organization_id) for each in activity.counts}
        assert activity.alarm == 16
        seen = len(simulator.requests())
        named = driver.call("get_unusual_activity", "elements", organization_id=CUSTOMER, tenant_id="T-1")
        assert named.counts == activity.counts
        assert ["GET"] == [each["method"] for each in simulator.requests("/partner", since=seen)]

    @both_drivers
    def test_a_customer_of_whom_nothing_is_known(self, simulator: Simulator, driver: Driver) -> None:
        """No tenant, no such customer, or a server that lists other customers: never a clean bill."""
        for rows, ignored in (
            ([{"id": CUSTOMER, "tenants": []}], ()),
            ([], ()),
            ([{"id": "other", "tenants": [{"id": "t"}]}], ("customerIds",)),
        ):
            simulator.set_quirks("elements", ignored_parameters=ignored)
            simulator.set_reading("elements", "customers", rows)
            with pytest.raises(errors.AvePointRequestError, match=f"lists no (customer|tenant).*{CUSTOMER}"):
                driver.call("get_unusual_activity", "elements", organization_id=CUSTOMER)
            with pytest.raises(errors.AvePointRequestError, match=f"lists no (customer|tenant).*{CUSTOMER}"):
                driver.call("get_coverage", CUSTOMER)
        simulator.set_quirks("elements", ignored_parameters=())
        for tenants in (None, "t1", [None], [{}], [{"id": ""}], [{"id": 1.5}]):
            simulator.set_reading("elements", "customers", [{"id": CUSTOMER, "tenants": tenants}])
            with pytest.raises(errors.AvePointPayloadError, match="customer"):
                driver.call("get_unusual_activity", "elements", organization_id=CUSTOMER)

    @with_one("requests")
    def test_what_is_not_understood(self, simulator: Simulator, driver: Driver) -> None:
        """A count that cannot be read is not 0."""

        def lacking(row: dict[str, Any], name: str) -> dict[str, Any]:
            return {key: value for key, value in row.items() if key != name}

        odd: list[Any] = [None, "", "N/A", "few", -1, 1.5, True, [], {}]
        ours: list[Any] = [
            [self.ROW, {**self.ROW, name: value}]
            for name in ("potentialRansomwareAttackCount", "unusualActivitiesCount", "serviceType")
            for value in odd
        ]
        ours += [[{**self.ROW, "UnusualActivitiesCount": 0}]]  # beside the 10 of the other spelling
        ours += [[lacking(self.ROW, "unusualActivitiesCount")], None, {}, "none", [None], [[]]]
        refuse_each(
            simulator, ours, "m365", "unusual_activity", lambda: driver.call("get_unusual_activity", "m365")
        )
        theirs: list[Any] = [[{**self.SALESFORCE_ROW, "suspiciousFiles": value}] for value in odd]
        theirs += [
            [{**self.SALESFORCE_ROW, "organizationId": None}],
            [lacking(self.SALESFORCE_ROW, "suspiciousFiles")],
            None,
            {"data": []},
        ]
        refuse_each(
            simulator,
            theirs,
            "salesforce",
            "unusual_activity",
            lambda: driver.call("get_unusual_activity", "salesforce"),
        )
        refuse_each(
            simulator,
            [None, [], {}, {"teamsUnderPotentialRansomwareAttack": 0}, {"data": {}}],
            "elements",
            "unusual_activity",
            lambda: driver.call("get_unusual_activity", "elements", organization_id=CUSTOMER),
        )


class TestRetention:
    @both_drivers
    def test_the_sample(self, simulator: Simulator, driver: Driver) -> None:
        """A container comes before its service, and a service before the default."""
        policy = driver.call("get_retention")

        assert (False, True) == (policy.is_daily, policy.is_customized)
        assert {
            "exchange_online": ["service 2 years", "objects in no container 2 years"],
            "microsoft_365_groups": [
                "container Default Group Container 3 years",
                "service 1 years",
                "objects in no container 1 years",
            ],
            "teams": [
                "container Default Team Container 1 years",
                "service 1 years",
                "objects in no container Unlimited",
            ],
            "onedrive": ["service Unlimited", "objects in no container Unlimited"],
            "power_bi": ["default 1 years"],
        } == {
            service: [f"{what} {period}" for what, period in policy.list_periods(service)]
            for service in ("exchange_online", "microsoft_365_groups", "teams", "onedrive", "power_bi")
        }
        assert {"exchange_online": 730, "teams": 365, "onedrive": None} == {
            service: policy.find_shortest(service)[1].least_days
            for service in ("exchange_online", "teams", "onedrive")
        }
        assert policy.find_shortest("onedrive")[1].is_unlimited
        # One container, under two services and two names.
        ids = [each.container_id for service in policy.services for each in service.containers]
        assert len(ids) == 2
        assert len(set(ids)) == 1
        written = json.loads(json.dumps(policy.as_dict()))
        assert written["period"] == {
            "text": "1 years",
            "number": 1,
            "unit": "year",
            "is_unlimited": False,
            "is_understood": True,
            "least_days": 365,
        }

    @both_drivers
    def test_without_periods_of_services_the_default_holds(
        self, simulator: Simulator, driver: Driver
    ) -> None:
        """Also where the answer lists such periods all the same."""
        policy = {
            "enableDailyRetentionPolicy": True,
            "enableCustomizedRetentionPolicy": False,
            "retentionPeriod": "Unlimited",
        }
        stale = {"serviceType": 0, "retentionPeriod": "2 days"}
        for extra in ({}, {"servicePolicies": None}, {"servicePolicies": []}, {"servicePolicies": [stale]}):
            simulator.set_reading("m365", "retention", {**policy, **extra})
            found = driver.call("get_retention")
            assert found.is_daily
            assert [("default", True)] == [
                (what, period.is_unlimited) for what, period in found.list_periods("exchange_online")
            ]

    @both_drivers
    def test_a_service_without_any_period(self, simulator: Simulator, driver: Driver) -> None:
        """The default is then not needed, and where it is missing nothing stands for it."""
        simulator.set_reading(
            "m365",
            "retention",
            {
                "enableDailyRetentionPolicy": False,
                "enableCustomizedRetentionPolicy": True,
                "retentionPeriod": None,
                "servicePolicies": [{"serviceType": 0, "containerPolicies": []}],
            },
        )
        policy = driver.call("get_retention")
        assert policy.find_shortest("exchange_online") is None
        assert policy.find_shortest("teams") is None

    @with_one("aiohttp")
    def test_what_is_not_understood(self, simulator: Simulator, driver: Driver) -> None:
        service = {"serviceType": 0, "containerPolicies": [], "retentionPeriod": "1 years"}
        container = {"containerId": "c", "containerName": "C", "retentionPeriod": "1 years"}
        good = {
            "enableDailyRetentionPolicy": False,
            "enableCustomizedRetentionPolicy": True,
            "retentionPeriod": "1 years",
            "servicePolicies": [service],
        }
        bad_services: list[Any] = [
            None,
            "all",
            {"retentionPeriod": "1 years", "containerPolicies": []},
            {**service, "serviceType": "teams"},
            {**service, "retentionPeriod": 2},
            {**service, "retentionPeriod": ["1 years"]},
            {**service, "unassignedObjectRetentionPeriod": False},
            {**service, "containerPolicies": {}},
            {**service, "containerPolicies": [{**container, "containerId": None}]},
            {**service, "containerPolicies": [{**container, "retentionPeriod": None}]},
            {**service, "containerPolicies": ["c"]},
        ]
        bad: list[Any] = [
            None,
            [],
            "1 years",
            {},
            {**good, "enableCustomizedRetentionPolicy": None},
            {**good, "enableCustomizedRetentionPolicy": "true"},
            {**good, "servicePolicies": None},
            {name: value for name, value in good.items() if name != "servicePolicies"},
            {**good, "retentionPeriod": 1},
            {**good, "retentionPeriod": None, "servicePolicies": []},
            {**good, "retentionPeriod": None, "enableCustomizedRetentionPolicy": False},
            *({**good, "servicePolicies": [service, each]} for each in bad_services),
        ]
        refuse_each(simulator, bad, "m365", "retention", lambda: driver.call("get_retention"))


class TestCoverage:
    @both_drivers
    def test_the_samples(self, simulator: Simulator, driver: Driver) -> None:
        coverage = driver.call("get_coverage", CUSTOMER)

        assert {"exchange_online": (25, 25, 1.0), "microsoft_365_groups": (7, 7, 1.0)} == {
            each.service: (each.scanned, each.protected, each.ratio) for each in coverage.services
        }
        (user,) = coverage.users
        assert {"mailbox": False, "onedrive": True} == {
            each.module: each.is_protected for each in user.modules
        }
        assert ("user@domain.onmicrosoft.example", False) == (user.email, user.is_protected)
        (changes,) = coverage.changes
        assert (0, ()) == (changes.removed_count, changes.removed)
        written = json.loads(json.dumps(coverage.as_dict()))
        assert [1.0, 1.0] == [each["ratio"] for each in written["services"]]
        assert [False] == [each["is_protected"] for each in written["users"]]

    @both_drivers
    def test_parts_that_were_not_asked_for_are_none(self, simulator: Simulator, driver: Driver) -> None:
        for part in ("services", "users", "changes"):
            coverage = driver.call("get_coverage", CUSTOMER, parts=part)
            known = {name for name in ("services", "users", "changes") if getattr(coverage, name) is not None}
            assert known == {part}

    @both_drivers
    def test_services_that_contradict(self, simulator: Simulator, driver: Driver) -> None:
        """Nothing scanned, more protected than scanned, a label nobody knows, one service twice."""
        rows = [
            {"serviceModule": "OneDrive", "totalScannedObjects": 0, "totalProtectedObjects": 0},
            {"serviceModule": "SharePoint Online", "totalScannedObjects": "4", "totalProtectedObjects": "5"},
            {"serviceModule": "Planner / neu", "totalScannedObjects": 1, "totalProtectedObjects": 0},
            {
                "customerId": CUSTOMER.upper(),
                "tenantId": "t1",
                "serviceModule": "OneDrive",
                "lastRunTime": "09/20/2026T13:00:00Z",
                "totalScannedObjects": 9,
                "totalProtectedObjects": 3,
            },
        ]
        simulator.set_reading("elements", "overview", rows)
        services = driver.call("get_coverage", CUSTOMER, parts="services").services

        assert [
            ("onedrive", None),
            ("sharepoint_online", 1.25),
            ("planner_neu", 0.0),
            ("onedrive", 3 / 9),
        ] == [(each.service, each.ratio) for each in services]
        assert ("t1", datetime(2026, 9, 20, 13, tzinfo=UTC)) == (
            services[3].tenant_id,
            services[3].last_run_at,
        )

    @both_drivers
    def test_every_page_is_read(self, simulator: Simulator, driver: Driver) -> None:
        """A user that comes again, and otherwise, comes again: the good row hides nothing."""
        users: list[dict[str, Any]] = [
            {"id": f"u{n}", "moduleStatus": [{"Module": 0, "IsProtected": True}]} for n in range(230)
        ]
        users.append({**users[0], "moduleStatus": [{"Module": 0, "IsProtected": False}]})
        simulator.set_reading("elements", "users", users)
        found = driver.call("get_coverage", CUSTOMER, parts="users").users

        assert {f"u{n}" for n in range(230)} == {each.user_id for each in found}
        assert ["u0"] == [each.user_id for each in found if not each.is_protected]
        assert len(found) == 231

    @both_drivers
    def test_users_of_whom_nothing_is_told_are_not_protected(
        self, simulator: Simulator, driver: Driver
    ) -> None:
        rows: list[dict[str, Any]] = [
            {"userId": "a", "moduleStatus": []},
            {"userId": "b", "moduleStatus": None},
            {"userId": "c", "moduleStatus": [{"module": 9, "isProtected": True}]},
        ]
        simulator.set_reading("elements", "users", rows)
        users = driver.call("get_coverage", CUSTOMER, parts="users").users

        assert {"a": False, "b": False, "c": True} == {each.user_id: each.is_protected for each in users}
        assert users[2].modules[0].module == "9"

    @both_drivers
    def test_objects_that_fell_out_of_backup(self, simulator: Simulator, driver: Driver) -> None:
        """Where count and list differ, the larger number holds."""
        profiles = [{"profileId": "p1"}, {"profileId": "p/2"}, {"profileId": "p1", "scanMode": 1}]
        simulator.set_reading("elements", "scan_profiles", profiles[:1])
        for count, objects, expected in (
            (0, ["a@example.com", 7], 2),
            (3, ["a@example.com"], 3),
            ("4", None, 4),
        ):
            simulator.set_reading(
                "elements",
                "scan_changes",
                {
                    "profileId": "p1",
                    "profileName": "Default",
                    "lastUpdateTime": None,
                    "removedFromMicrosoft365OrOutOfPolicy": count,
                    "removedFromMicrosoft365OrOutOfPolicyObjects": objects,
                },
                profile_id="p1",
            )
            (changes,) = driver.call("get_coverage", CUSTOMER, parts="changes").changes
            assert (expected, None) == (changes.removed_count, changes.reported_at)
        simulator.set_reading("elements", "scan_profiles", profiles[::2])
        assert len(driver.call("get_coverage", CUSTOMER, parts="changes").changes) == 1
        simulator.set_reading("elements", "scan_profiles", [])
        assert driver.call("get_coverage", CUSTOMER, parts="changes").changes == ()

    @with_one("requests")
    def test_what_is_not_understood(self, simulator: Simulator, driver: Driver) -> None:
        service = {"serviceModule": "OneDrive", "totalScannedObjects": 4, "totalProtectedObjects": 4}
        user = {"userId": "a", "moduleStatus": [{"module": 0, "isProtected": True}]}
        profile = {"profileId": "47db2f10-1004-4a3e-b2ce-8f5e1b2c842d"}
        changes = {
            **profile,
            "removedFromMicrosoft365OrOutofPolicy": 0,
            "removedFromMicrosoft365OrOutOfPolicyObjects": [],
        }
        cases: list[tuple[str, str, list[Any]]] = [
            (
                "services",
                "overview",
                [
                    [service, {**service, "customerId": "another"}],
                    [{**service, "serviceModule": None}],
                    [{**service, "serviceModule": 303}],
                    [{**service, "serviceModule": " "}],
                    [{**service, "totalScannedObjects": None}],
                    [{**service, "totalScannedObjects": "N/A"}],
                    [{**service, "totalProtectedObjects": "all"}],
                    [{**service, "lastRunTime": "recently"}],
                    [7],
                    None,
                    {},
                ],
            ),
            (
                "users",
                "users",
                [
                    [{**user, "userId": None}],
                    [{"userId": "a"}],
                    [{**user, "moduleStatus": {}}],
                    [{**user, "moduleStatus": [None]}],
                    [{**user, "moduleStatus": [{"module": 0}]}],
                    [{**user, "moduleStatus": [{"module": 0, "isProtected": "true"}]}],
                    [{**user, "moduleStatus": [{"module": 0, "isProtected": None}]}],
                    [{**user, "moduleStatus": [{"module": "mailbox", "isProtected": True}]}],
                    [{**user, "moduleStatus": [{"isProtected": True}]}],
                    None,
                ],
            ),
            ("changes", "scan_profiles", [[{}], [{"profileId": ""}], None, [None]]),
            (
                "changes",
                "scan_changes",
                [
                    {**changes, "profileId": "another"},
                    {**changes, "profileId": None},
                    {**changes, "removedFromMicrosoft365OrOutofPolicy": None},
                    {**changes, "removedFromMicrosoft365OrOutofPolicy": "some"},
                    {**changes, "removedFromMicrosoft365OrOutOfPolicyObjects": "none"},
                    {**changes, "lastUpdateTime": "today"},
                    profile,
                    [],
                    None,
                ],
            ),
        ]
        for part, name, bad in cases:
            simulator.reset()
            refuse_each(
                simulator,
                bad,
                "elements",
                name,
                lambda part=part: driver.call("get_coverage", CUSTOMER, parts=part),  # type: ignore[misc]
            )


class TestMonitorAlerts:
    ALERT: ClassVar[dict[str, Any]] = {
        "organizationId": "00Dam00000kxWaGEAU",
        "objectType": "content Versions",
        "operation": 2,
        "recordNumber": 6276,
        "collectTime": "2026-11-20T08:30:00Z",
    }
    AFTER = "2026-11-01T00:00:00Z"

    @both_drivers
    def test_the_sample(self, simulator: Simulator, driver: Driver) -> None:
        """An object type is a text in the sample and a number in the table."""
        rows = [
            self.ALERT,
            {**self.ALERT, "objectType": 4, "operation": 0},
            {**self.ALERT, "operation": "Modified", "recordNumber": "12"},
            self.ALERT,
        ]
        simulator.set_reading("salesforce", "monitor_alerts", rows)
        alerts = driver.call("iter_monitor_alerts", collected_after=self.AFTER)

        assert [
            ("content Versions", "removed", 6276),
            ("4", "added", 6276),
            ("content Versions", "modified", 12),
        ] == [(each.object_type, each.operation, each.records) for each in alerts]
        assert json.loads(json.dumps(alerts[0].as_dict())) == {
            "product": "salesforce",
            "organization_id": "00Dam00000kxWaGEAU",
            "object_type": "content Versions",
            "operation": "removed",
            "records": 6276,
            "collected_at": "2026-11-20T08:30:00+00:00",
        }

    @both_drivers
    def test_the_window_is_asked_wider_and_kept_here(self, simulator: Simulator, driver: Driver) -> None:
        """Whether the server heeds it or not: the begin is inclusive, the end is not."""
        times = [f"2026-11-20T08:{minute}:00Z" for minute in (29, 30, 31, 32)]
        rows = [{**self.ALERT, "collectTime": each} for each in times]
        simulator.set_reading("salesforce", "monitor_alerts", rows)
        for ignored in ((), ("startTime", "finishTime")):
            simulator.set_quirks("salesforce", ignored_parameters=ignored)
            alerts = driver.call(
                "iter_monitor_alerts", collected_after=times[1], collected_before=times[3], alert_type="Data"
            )
            assert [30, 31] == [each.collected_at.minute for each in alerts]
            assert simulator.requests()[-1]["query"] == {
                "startTime": "2026-11-19T08:30:00Z",
                "finishTime": "2026-11-21T08:32:00Z",
                "alertType": "Data",
            }
        soon = datetime.now(UTC) + timedelta(minutes=3)  # a clock that is ahead
        simulator.set_reading(
            "salesforce", "monitor_alerts", [{**self.ALERT, "collectTime": soon.isoformat()}]
        )
        assert len(driver.call("iter_monitor_alerts")) == 1

    @both_drivers
    def test_one_organisation(self, simulator: Simulator, driver: Driver) -> None:
        other = {**self.ALERT, "organizationId": "other"}
        simulator.set_reading("salesforce", "monitor_alerts", [self.ALERT, other])
        for ignored in ((), ("organizationId",)):
            simulator.set_quirks("salesforce", ignored_parameters=ignored)
            (found,) = driver.call("iter_monitor_alerts", collected_after=self.AFTER, organization_id="other")
            assert found.organization_id == "other"
        with pytest.raises(errors.AvePointPayloadError, match=r"nobody.*00Dam00000kxWaGEAU, other"):
            driver.call("iter_monitor_alerts", collected_after=self.AFTER, organization_id="nobody")

    @with_one("aiohttp")
    def test_what_is_not_understood(self, simulator: Simulator, driver: Driver) -> None:
        """An operation that nobody documents may be a deletion."""
        simulator.set_quirks("salesforce", ignored_parameters=("startTime",))
        bad: list[Any] = [
            [self.ALERT, {**self.ALERT, name: value}]
            for name, values in {
                "operation": [3, None, "Undeleted", -1, True, {}],
                "recordNumber": [None, "many", -5, True],
                "collectTime": [None, "", "2026-11-20T08:30:00", "0001-01-01T00:00:00Z"],
                "objectType": [None, {}, ""],
                "organizationId": [None, [], "N/A"],
            }.items()
            for value in values
        ]
        refuse_each(
            simulator,
            [*bad, None, {}, [None]],
            "salesforce",
            "monitor_alerts",
            lambda: driver.call("iter_monitor_alerts", collected_after=self.AFTER),
        )


def without_times(answer: Any) -> Any:
    """Return an answer for a comparison, without the moments of asking."""
    if isinstance(answer, list):
        return [each.as_dict() for each in answer]
    moments = ("read_at", "detected_after", "detected_before")
    return {name: value for name, value in answer.as_dict().items() if name not in moments}


class TestGate:
    """The verdict of a hook asks for what its policy needs, and for nothing else."""

    GOOD: ClassVar[dict[str, Any]] = {"product": "m365", "max_age": 86400, "object_types": ["teams"]}

    @both_drivers
    def test_what_is_asked(self, simulator: Simulator, driver: Driver) -> None:
        simulator.add_job("m365", workload="teams", state="success")
        for asked, expected in (
            ({}, set()),
            ({"expect_scheduled": True}, {SCHEDULE}),
            ({"max_unusual": 0}, {ACTIVITY}),
            ({"max_unusual": 0, "expect_scheduled": True}, {ACTIVITY, SCHEDULE}),
        ):
            seen = len(simulator.requests())
            assert driver.judge(**self.GOOD, **asked).passed
            paths = {each["path"] for each in simulator.requests("/backup", since=seen)}
            assert paths - {PRODUCTS["m365"].path} == expected

    @both_drivers
    def test_what_cannot_be_asked_is_no_verdict(self, simulator: Simulator, driver: Driver) -> None:
        simulator.add_job("m365", workload="teams", state="success")
        for path, asked in ((SCHEDULE, {"expect_scheduled": True}), (ACTIVITY, {"max_unusual": 9})):
            for fault, error in (
                ({"kind": "status", "status": 403}, errors.AvePointPermissionError),
                ({"kind": "status", "status": 500, "count": 5}, errors.AvePointUnavailable),
                ({"kind": "missing_rows", "instead": None}, errors.AvePointPayloadError),
            ):
                simulator.clear_faults()
                simulator.add_fault(path=path, **fault)
                with pytest.raises(error):
                    driver.judge(**self.GOOD, **asked)

    @both_drivers
    def test_the_window_of_unusual_activity(self, simulator: Simulator, driver: Driver) -> None:
        driver.judge(**self.GOOD, max_unusual=0, unusual_within="36h")
        sent = simulator.requests(ACTIVITY)[-1]["query"]
        since = datetime.now(UTC) - datetime.fromisoformat(sent["startTime"])
        assert timedelta(hours=36) <= since < timedelta(hours=37)

    @both_drivers
    def test_a_worker_whose_clock_is_wrong_asks_by_the_clock_of_the_api(
        self, simulator: Simulator, driver: Driver
    ) -> None:
        simulator.set_clock(ahead_seconds=90 * 86400)
        simulator.add_job("m365", workload="teams", state="success")
        assert driver.judge(**self.GOOD, max_unusual=0).passed
        sent = simulator.requests(ACTIVITY)[-1]["query"]
        assert datetime.fromisoformat(sent["finishTime"]) > datetime.now(UTC) + timedelta(days=89)

    @both_drivers
    def test_customers_and_organisations(self, simulator: Simulator, driver: Driver) -> None:
        """Elements by customer, Salesforce by each organisation that is named."""
        simulator.add_job("elements", organization_id=CUSTOMER, state="success")
        verdict = driver.judge(product="elements", max_age=86400, organization_ids=CUSTOMER, max_unusual=0)
        assert verdict.passed
        assert [CUSTOMER] == [each.organization_id for each in verdict.circumstances.activities]

        for name in ("a", "b"):
            simulator.add_job("salesforce", organization_id=name, state="success")
        row = {**TestUnusualActivity.SALESFORCE_ROW, "organizationId": "a", "suspiciousFiles": 3}
        simulator.set_reading("salesforce", "unusual_activity", [row])
        verdict = driver.judge(
            product="salesforce", max_age=86400, organization_ids=["a", "b"], max_unusual=0
        )
        assert {"a": "unusual_activity", "b": "passed"} == {
            each.scope.organization_id: each.reason.value for each in verdict.scopes
        }

    @both_drivers
    def test_a_row_of_unusual_activity_that_is_not_understood(
        self, simulator: Simulator, driver: Driver
    ) -> None:
        """It shuts what it may be about, it hides no alarm of another row, and it is told."""
        simulator.add_job("m365", workload="teams", state="success")
        row = TestUnusualActivity.ROW | {"potentialRansomwareAttackCount": 0, "unusualActivitiesCount": 0}
        odd = {**row, "unusualActivitiesCount": "few"}
        for rows, limit, reason, said in (
            ([row, odd], 3, "unreadable", "row 2 of 2: unusualActivitiesCount: 'few' is not"),
            ([row, None], 3, "unreadable", "row 2 of 2: None stands where an object was expected"),
            ([odd, {**row, "unusualActivitiesCount": 4}], 3, "unusual_activity", "4 unusual"),
            ([{**odd, "potentialRansomwareAttackCount": 4}], 3, "unusual_activity", "4 ransomware, not und"),
            ([{**row, "tenantId": {}, "tenantOwner": 5}], 0, "passed", "teams: passed"),
        ):
            simulator.set_reading("m365", "unusual_activity", rows)
            verdict = driver.judge(**self.GOOD, max_unusual=limit)
            assert (verdict.reason.value, said in verdict.describe()) == (reason, True), verdict.describe()
            assert verdict.passed is (reason == "passed")
            written = json.loads(json.dumps(verdict.as_dict()))["unusual_activity"][0]["counts"]
            assert [("problem" in each) for each in written] == [
                each is None or "few" in each.values() for each in rows
            ]

    @with_one("requests")
    def test_an_odd_row_shuts_the_organisation_that_it_names(
        self, simulator: Simulator, driver: Driver
    ) -> None:
        for name in ("a", "b"):
            simulator.add_job("salesforce", organization_id=name, state="success")
        simulator.set_quirks("salesforce", ignored_parameters=("organizationId",))
        row = TestUnusualActivity.SALESFORCE_ROW | {"suspiciousFiles": 0}
        odd = row | {"suspiciousFiles": None}
        for named, expected in (
            ("a", {"a": "unreadable", "b": "passed"}),
            ({}, dict.fromkeys("ab", "unreadable")),
        ):
            rows = [{**row, "organizationId": "b"}, {**odd, "organizationId": named}]
            simulator.set_reading("salesforce", "unusual_activity", rows)
            for asked in ({}, {"organization_ids": ["a", "b"]}):
                verdict = driver.judge(product="salesforce", max_age=86400, max_unusual=0, **asked)
                assert expected == {each.scope.organization_id: each.reason.value for each in verdict.scopes}
                assert all(len(each.unusual) <= 1 for each in verdict.scopes)

    @with_one("aiohttp")
    def test_an_odd_count_of_one_tenant_hides_no_other(self, simulator: Simulator, driver: Driver) -> None:
        counts = ("UnderPotentialRansomwareAttack", "WithUnusualActivities", "WithSuspiciousObjects")
        quiet = {
            f"{name}{count}": 0
            for name in ("teams", "sharePointSites", "oneDrives", "groups")
            for count in counts
        }
        simulator.add_job("elements", organization_id=CUSTOMER, state="success")
        asked = {"product": "elements", "max_age": 86400, "organization_ids": CUSTOMER, "max_unusual": 0}
        for changed, reason in (
            ({"teamsWithUnusualActivities": None}, "unreadable"),
            ({"teamsWithUnusualActivities": None, "groupsWithUnusualActivities": 1}, "unusual_activity"),
        ):
            simulator.set_reading("elements", "unusual_activity", quiet | changed)
            verdict = driver.judge(**asked)
            assert reason == verdict.reason
            assert "teamsWithUnusualActivities is missing" in verdict.describe()

    @both_drivers
    def test_a_row_of_the_schedule_that_is_not_understood(self, simulator: Simulator, driver: Driver) -> None:
        """It shuts the scope of its service, or each where it names none, and no other."""
        now = datetime.now(UTC)
        teams = {"serviceType": 6, "frequency": 0, "backupStartTime": []}
        odd = {"serviceType": 1, "frequency": None, "backupStartTime": [now.isoformat()]}
        told = (
            "sharepoint_online: unreadable, its schedule is not understood: row 2 of 2: frequency is missing"
        )
        asked = {"product": "m365", "max_age": 86400, "expect_scheduled": True}
        simulator.add_job("m365", workload="teams", state="success")
        simulator.set_reading("m365", "schedule", [teams, odd])

        assert driver.judge(**asked, object_types=["teams"]).passed
        # Not seen, and maybe not scheduled: nobody knows whether it has to be there.
        assert told in driver.judge(**asked).describe()
        named = driver.judge(**asked, object_types=["teams", "sharepoint_online"])
        assert "sharepoint_online: missed" in named.describe()
        assert not named.is_settled
        simulator.add_job("m365", workload="sharepoint_online", state="success")
        for types in ({}, {"object_types": ["teams", "sharepoint_online"]}):
            verdict = driver.judge(**asked, **types)
            assert {"teams": "passed", "sharepoint_online": "unreadable"} == {
                each.scope.workload: each.reason.value for each in verdict.scopes
            }
            assert told in verdict.describe()
            written = json.loads(json.dumps(verdict.as_dict()))
            assert written["schedules"][0]["odd"][0]["service"] == "sharepoint_online"
        simulator.set_reading("m365", "schedule", [teams, None])
        verdict = driver.judge(**asked)
        assert ["unreadable", "unreadable"] == [each.reason.value for each in verdict.scopes]
