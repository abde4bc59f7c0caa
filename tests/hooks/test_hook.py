"""What both hooks promise beside listings: tokens, single jobs, licences, errors, and what never leaves."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException
from airflow.providers.http.hooks.http import HttpHook

from airflow_provider_avepoint import __version__, exceptions
from airflow_provider_avepoint.core import errors
from airflow_provider_avepoint.core.auth import TOKENS
from airflow_provider_avepoint.core.features import list_features
from airflow_provider_avepoint.core.products import PRODUCTS
from airflow_provider_avepoint.hooks import connection
from airflow_provider_avepoint.hooks.avepoint import AvePointAsyncHook, AvePointHook
from airflow_provider_avepoint.simulator import Simulator
from airflow_provider_avepoint.simulator.products import PRODUCTS as SIMULATED
from tests.hooks.drivers import DRIVERS, IN_TURN, Triggerer, Worker, one_of_each_paging

Driver = Worker | Triggerer
both_drivers = pytest.mark.parametrize("driver", DRIVERS.values(), ids=DRIVERS)
each_product = pytest.mark.parametrize(
    ("product", "driver"), [(product, DRIVERS[name]) for product, name in IN_TURN.items()], ids=PRODUCTS
)

DYNAMICS = PRODUCTS["dynamics365"].permission
GUID = "69cb1ecc-f8e8-4c0b-9a57-1f2e3d4c5b6a"


@pytest.fixture(autouse=True)
def _quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airflow_provider_avepoint.core.retry.BASE_DELAY", 0.01)


class TestTokens:
    def test_threads_and_a_loop_share_one_request_a_scope(
        self, simulator: Simulator, connect: Callable[..., str]
    ) -> None:
        """Two hooks in two threads and one on an event loop start at once and fetch one token."""
        connect()
        simulator.set_quirks("all", latency_ms=100)
        barrier = threading.Barrier(3)

        def list_in_a_thread() -> None:
            barrier.wait(300)
            DRIVERS["requests"].list_jobs("dynamics365")

        threads = [threading.Thread(target=list_in_a_thread) for _ in range(2)]
        for thread in threads:
            thread.start()
        barrier.wait(300)
        DRIVERS["aiohttp"].list_jobs("dynamics365")
        for thread in threads:
            thread.join(300)

        assert simulator.stats()["tokens"] == {DYNAMICS: 1}

    @both_drivers
    def test_a_token_that_expires_while_listing_costs_one_refresh_and_no_row(
        self, simulator: Simulator, connect: Callable[..., str], driver: Driver
    ) -> None:
        connect()
        simulator.generate("dynamics365", 200, every_seconds=60)
        simulator.set_quirks("dynamics365", max_page_size=20)
        simulator.add_fault("expire_token", path=PRODUCTS["dynamics365"].path, skip=4)

        jobs = driver.list_jobs("dynamics365")

        assert len({job.job_id for job in jobs}) == len(jobs) == 200
        assert simulator.stats()["tokens"] == {DYNAMICS: 2}

    @both_drivers
    def test_another_scope_is_another_token(
        self, simulator: Simulator, connect: Callable[..., str], driver: Driver
    ) -> None:
        connect()
        driver.list_jobs("dynamics365")
        driver.list_jobs("m365")
        driver.get_license("m365")
        driver.list_jobs("m365_legacy")

        assert simulator.stats()["tokens"] == {
            DYNAMICS: 1,
            PRODUCTS["m365"].permission: 1,
            PRODUCTS["m365"].license.permission: 1,
        }

    @both_drivers
    def test_a_changed_secret_is_not_served_by_the_old_ones_token(
        self, simulator: Simulator, connect: Callable[..., str], driver: Driver
    ) -> None:
        connect()
        driver.list_jobs("dynamics365")
        connect(password="wrong")

        with pytest.raises(errors.AvePointAuthError):
            driver.list_jobs("dynamics365")

    @both_drivers
    def test_tokens_and_secrets_stand_in_no_log(
        self,
        simulator: Simulator,
        connect: Callable[..., str],
        driver: Driver,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """Even at level DEBUG, even when a request fails."""
        caplog.set_level(logging.DEBUG)
        connect()
        simulator.add_fault("status", path="/dynamicsbackup", status=503)
        driver.list_jobs("dynamics365")
        (token,) = (token.value for token in TOKENS._tokens.values())

        assert token not in caplog.text
        assert simulator.client_secret not in caplog.text
        assert "answered 503" in caplog.text


class TestWhatLeaves:
    def test_it_is_the_http_providers_hook(self) -> None:
        assert issubclass(AvePointHook, HttpHook)

    @both_drivers
    def test_the_api_sees_no_extra_and_no_password(
        self,
        simulator: Simulator,
        connect: Callable[..., str],
        driver: Driver,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """HttpHook would send extras as headers and sign with Basic; requests would ask .netrc."""
        netrc = tmp_path / "netrc"
        netrc.write_text("machine localhost login stray password x\ndefault login stray password x\n")
        netrc.chmod(0o600)
        monkeypatch.setenv("NETRC", str(netrc))
        url = simulator.url.replace("127.0.0.1", "localhost")
        identity = f"{url}/connect/token"
        connect(host=url, extra={"identity_endpoint": identity, "location": "NAM", "page_size": 7})
        usual = {"host", "user-agent", "accept", "accept-encoding", "connection", "authorization"}

        for product in one_of_each_paging():
            driver.list_jobs(product)
            requests = simulator.requests()
            tokens = [each for each in requests if each["path"] == "/connect/token"]
            assert [200] * len(requests) == [each["status"] for each in requests]  # signed with the token
            assert "authorization" not in {name.lower() for each in tokens for name in each["header_names"]}
            names = {name.lower() for each in requests for name in each["header_names"]}
            assert names <= usual | {"content-length", "content-type"}
            library = "python-requests/" if isinstance(driver, Worker) else "aiohttp/"
            for agent in {each["user_agent"] for each in requests}:
                assert agent.startswith(f"airflow-provider-avepoint/{__version__} ")
                assert library in agent

    def test_run_sends_no_credentials_either(self, simulator: Simulator, connect: Callable[..., str]) -> None:
        """The inherited ``run`` goes through the same session."""
        hook = AvePointHook(connect())

        with pytest.raises(AirflowException, match="401"):
            hook.run("/dynamicsbackup/jobs", {"type": "1"})

        (request,) = simulator.requests()
        assert "authorization" not in {name.lower() for name in request["header_names"]}
        assert request["user_agent"].startswith("airflow-provider-avepoint/")

    def test_a_session_has_the_connections_proxies_and_tls(self, connect: Callable[..., str]) -> None:
        hook = AvePointHook(
            connect(
                extra={"proxies": {"https": "http://proxy.example:3128"}, "verify": False, "trust_env": False}
            )
        )
        session = hook.get_conn()

        assert session.proxies == {"https": "http://proxy.example:3128"}
        assert session.verify is False
        assert session.trust_env is False
        assert session.adapters["https://"] is hook.keep_alive_adapter


BAD_ARGUMENTS: list[tuple[dict[str, Any], str]] = [
    ({"product": "m356"}, "m365_legacy"),
    ({"started_after": datetime(2026, 1, 1)}, "started_after"),  # noqa: DTZ001  # naive on purpose
    ({"started_before": "yesterday"}, "started_before"),
    ({"started_after": "2026-01-02T00:00:00Z", "started_before": "2026-01-01T00:00:00Z"}, "later"),
    ({"job_type": "bakcup"}, "audit_backup"),
    ({"job_type": []}, "job_type"),
    ({"state": "finished"}, "partial"),
    ({"object_type": "exchange_online"}, "customer_engagement"),
    ({"location": "NAM"}, "location"),
    ({"product": "m365", "organization_id": "x"}, "organization_id"),
    ({"product": "m365", "object_type": "exchange"}, "exchange_online"),
    ({"organization_id": ""}, "organization_id"),
]


class TestErrors:
    @both_drivers
    def test_refused_credentials(
        self, simulator: Simulator, connect: Callable[..., str], driver: Driver
    ) -> None:
        connect(password="wrong-secret-value")

        with pytest.raises(errors.AvePointAuthError, match="demo-client") as caught:
            driver.list_jobs("dynamics365")

        assert isinstance(caught.value, AirflowFailException)
        assert "wrong-secret-value" not in str(caught.value)

    @both_drivers
    def test_a_missing_permission_is_named(
        self, simulator: Simulator, connect: Callable[..., str], driver: Driver
    ) -> None:
        simulator.set_client("limited", secret="limited-secret", scopes=[PRODUCTS["m365"].permission])
        connect(login="limited", password="limited-secret")

        with pytest.raises(errors.AvePointPermissionError, match=DYNAMICS) as caught:
            driver.list_jobs("dynamics365")

        assert caught.value.permission == DYNAMICS
        assert isinstance(caught.value, AirflowFailException)

    @both_drivers
    def test_a_forbidden_call_names_the_permission(
        self, simulator: Simulator, connect: Callable[..., str], driver: Driver
    ) -> None:
        connect()
        simulator.add_fault("status", path="/dynamicsbackup", status=403)

        with pytest.raises(errors.AvePointPermissionError, match=DYNAMICS):
            driver.list_jobs("dynamics365")

    @both_drivers
    def test_a_token_refused_again_is_said(
        self, simulator: Simulator, connect: Callable[..., str], driver: Driver
    ) -> None:
        connect()
        simulator.add_fault("expire_token", path="/dynamicsbackup", count=None)

        with pytest.raises(errors.AvePointAuthError, match="fresh token"):
            driver.list_jobs("dynamics365")

        assert len(simulator.requests("/connect/token")) == 2

    @both_drivers
    def test_a_refused_parameter_carries_its_facts(
        self, simulator: Simulator, connect: Callable[..., str], driver: Driver
    ) -> None:
        connect()
        body = {
            "statusCode": 400,
            "message": "Bad request",
            "errors": [{"code": "InvalidParameter", "field": "organizationId", "message": "No such one."}],
            "requestId": "0HNEV:01",
        }
        simulator.add_fault("status", path="/dynamicsbackup", status=400, body=body)

        with pytest.raises(errors.AvePointRequestError, match="No such one") as caught:
            driver.list_jobs("dynamics365", organization_id="x")

        error = caught.value
        assert isinstance(error, AirflowFailException)
        assert (error.status, error.code, error.field, error.request_id) == (
            400,
            "InvalidParameter",
            "organizationId",
            "0HNEV:01",
        )
        assert len(simulator.requests("/dynamicsbackup")) == 1

    @both_drivers
    def test_the_api_away_may_be_retried(
        self, simulator: Simulator, connect: Callable[..., str], driver: Driver
    ) -> None:
        connect(host="http://127.0.0.1:9")

        with pytest.raises(errors.AvePointUnavailable, match="no answer") as caught:
            driver.list_jobs("dynamics365")

        assert isinstance(caught.value, AirflowException)
        assert not isinstance(caught.value, AirflowFailException)

    @both_drivers
    def test_a_missing_connection_is_named(self, driver: Driver) -> None:
        with pytest.raises(errors.AvePointConfigError, match="nowhere"):
            driver.list_jobs("dynamics365", "nowhere")

    def test_each_error_has_its_airflow_form(self) -> None:
        """What the core raises, a task raises as Airflow's too; a new error must be given its form."""
        leaves = [
            cls for name in errors.__all__ if (cls := getattr(errors, name)) is not errors.AvePointError
        ]
        retryable = (errors.AvePointUnavailable, errors.AvePointPayloadError, errors.AvePointLedgerError)
        for leaf in leaves:
            converted = exceptions.to_airflow(leaf("what happened"))
            assert isinstance(converted, leaf)
            assert isinstance(converted, AirflowException)
            assert str(converted) == "what happened"
            may_retry = issubclass(leaf, retryable)
            assert isinstance(converted, AirflowFailException) is not may_retry

    @both_drivers
    def test_a_bad_argument_is_named_before_anything_is_sent(
        self, simulator: Simulator, connect: Callable[..., str], driver: Driver
    ) -> None:
        connect()
        for arguments, named in BAD_ARGUMENTS:
            asked = {"product": "dynamics365", **arguments}
            with pytest.raises(errors.AvePointConfigError, match=named) as caught:
                driver.list_jobs(asked.pop("product"), **asked)
            assert isinstance(caught.value, AirflowFailException), arguments
        assert simulator.requests() == []

    def test_a_bad_argument_is_refused_by_the_call_itself(self, connect: Callable[..., str]) -> None:
        """Not only when somebody takes the first job."""
        hook = AvePointHook(connect())

        with pytest.raises(errors.AvePointConfigError):
            hook.iter_jobs("dynamics365", job_type="bakcup")


class TestSingleJob:
    @each_product
    def test_it_comes_with_all_its_fields(
        self, simulator: Simulator, connect: Callable[..., str], driver: Driver, product: str
    ) -> None:
        """As the listing shows it, but that nobody asked for a type; another id is not found."""
        connect()
        known = SIMULATED[product].carries
        fields = {
            "counts": {"total": 10, "successful": 7, "failed": 2, "skipped": 1},
            "errors": [{"is_code": True, "message": "Throttled", "url": "https://e.example/1", "count": 2}],
            "size_bytes": 2048,
        }
        simulator.add_job(
            product,
            job_id="FB1",
            state="partial",
            **{name: value for name, value in fields.items() if name in known},
        )
        simulator.generate(product, 40, every_seconds=60)
        (listed,) = (job for job in driver.list_jobs(product, job_type="all") if job.job_id == "FB1")

        job = driver.get_job(product, "FB1")

        expected, found = listed.as_dict(), job.as_dict()
        if product == "m365":  # its list and its details spell the counts differently
            assert expected.pop("raw") != found.pop("raw")
        assert found == expected
        with pytest.raises(errors.AvePointJobNotFound, match="FB404"):
            driver.get_job(product, "FB404")

    @both_drivers
    def test_a_job_of_another_location_is_found(
        self, simulator: Simulator, connect: Callable[..., str], driver: Driver
    ) -> None:
        """The list shows all locations, the details the central one only."""
        connect()
        simulator.add_job("m365", job_id="FB2", location="EUR")

        assert driver.get_job("m365", "FB2").job_id == "FB2"
        assert driver.get_job("m365", "FB2", location="EUR").location == "EUR"
        with pytest.raises(errors.AvePointJobNotFound):
            driver.get_job("m365", "FB2", location="NAM")

    @both_drivers
    def test_the_search_goes_as_far_back_as_told(
        self, simulator: Simulator, connect: Callable[..., str], driver: Driver
    ) -> None:
        connect()
        simulator.add_job("dynamics365", job_id="OLD", started_ago=40 * 86400)

        with pytest.raises(errors.AvePointJobNotFound):
            driver.get_job("dynamics365", "OLD")
        since = datetime.now(UTC) - timedelta(days=50)
        assert driver.get_job("dynamics365", "OLD", started_after=since).job_id == "OLD"

    @both_drivers
    def test_an_id_cannot_change_the_path(
        self, simulator: Simulator, connect: Callable[..., str], driver: Driver
    ) -> None:
        connect()
        simulator.add_job("m365", job_id="other")
        path = PRODUCTS["m365"].path

        for job_id in ("a/b", "../x", "a?b=c", "ä ö"):
            with pytest.raises(errors.AvePointJobNotFound):
                driver.get_job("m365", job_id, location="NAM")
        assert all(each["path"].startswith(f"{path}/") for each in simulator.requests("/backup"))

    @both_drivers
    def test_what_a_product_cannot_tell_is_refused(
        self, simulator: Simulator, connect: Callable[..., str], driver: Driver
    ) -> None:
        connect()
        for product, job_id, arguments, named in (
            ("dynamics365", "FB1", {"location": "EUR"}, "location"),
            ("m365", "FB1", {"organization_id": "nobody"}, "organization_id"),
            ("m365", " ", {}, "job_id"),
        ):
            with pytest.raises(errors.AvePointConfigError, match=named):
                driver.get_job(product, job_id, **arguments)
        assert simulator.requests() == []


class TestFilters:
    @both_drivers
    def test_object_types_and_locations_are_asked_for_and_kept(
        self, simulator: Simulator, connect: Callable[..., str], driver: Driver
    ) -> None:
        connect()
        simulator.add_job("m365", job_id="E", workload="exchange_online", location="NAM")
        simulator.add_job("m365", job_id="T", workload="teams", location="EUR")

        (teams,) = driver.list_jobs("m365", object_type="teams", location="EUR")
        both = driver.list_jobs("m365", object_type=["exchange_online", "teams"])

        assert (teams.job_id, teams.workload, teams.location) == ("T", "teams", "EUR")
        assert {(job.job_id, job.workload, job.location) for job in both} == {
            ("E", "exchange_online", None),
            ("T", "teams", None),
        }

    @both_drivers
    def test_the_connections_location_is_the_default(
        self, simulator: Simulator, connect: Callable[..., str], driver: Driver
    ) -> None:
        connect(extra={"location": "EUR"})
        simulator.add_job("m365", job_id="N", location="NAM")
        simulator.add_job("m365", job_id="E", location="EUR")

        assert [job.job_id for job in driver.list_jobs("m365")] == ["E"]
        assert [job.job_id for job in driver.list_jobs("m365", location="NAM")] == ["N"]

    @both_drivers
    def test_an_organisation_is_asked_for_as_the_vendor_writes_it(
        self, simulator: Simulator, connect: Callable[..., str], driver: Driver
    ) -> None:
        connect()
        simulator.add_job("dynamics365", job_id="A", organization_id=GUID.upper())
        simulator.add_job("dynamics365", job_id="B", organization_id="other")

        for written in (GUID, f" {{{GUID.upper()}}}\r\n", GUID.replace("-", "")):
            jobs = driver.list_jobs("dynamics365", organization_id=written)
            assert [job.job_id for job in jobs] == ["A"], written
        asked = {each["query"]["organizationId"] for each in simulator.requests("/dynamicsbackup")}
        assert asked == {GUID}

    @both_drivers
    def test_numbers_are_ids(self, simulator: Simulator, connect: Callable[..., str], driver: Driver) -> None:
        connect()
        simulator.add_job("dynamics365", job_id="7", organization_id="123")
        simulator.add_job("dynamics365", job_id="8", organization_id="other")

        assert [job.job_id for job in driver.list_jobs("dynamics365", organization_id=123)] == ["7"]
        assert driver.get_job("dynamics365", 7, organization_id=123.0).job_id == "7"
        assert driver.get_job("dynamics365", " 8\r\n").job_id == "8"

    @both_drivers
    def test_a_module_is_filtered(
        self, simulator: Simulator, connect: Callable[..., str], driver: Driver
    ) -> None:
        connect()
        simulator.add_job("dynamics365", job_id="C", workload="Customer Engagement")
        simulator.add_job("dynamics365", job_id="U", workload="Unified Operations")

        (job,) = driver.list_jobs("dynamics365", object_type="unified_operations")

        assert (job.job_id, job.workload) == ("U", "unified_operations")


class TestLicense:
    @both_drivers
    def test_figures_and_ratios(
        self, simulator: Simulator, connect: Callable[..., str], driver: Driver
    ) -> None:
        connect()
        for product in [name for name, each in PRODUCTS.items() if each.license]:
            simulator.set_license(
                product,
                purchased_user_seats=100,
                assigned_user_seats=124,
                purchased_storage_size=0,
                protected_size=12,
                out_of_policy_time=638_645_575_921_780_695,
            )

            figures = driver.get_license(product).as_dict()

            assert figures == {
                "product": product,
                "out_of_policy_at": "2024-10-15T02:53:12.178069+00:00",
                "purchased_user_seats": 100,
                "assigned_user_seats": 124,
                "purchased_storage_gb": 0,
                "protected_gb": 12,
                "is_out_of_policy": True,
                "seat_ratio": 1.24,
                "storage_ratio": None,
                "service": None,
                "organization_id": None,
                "organization_name": None,
                "location": None,
                "expires_at": None,
            }
            assert driver.get_licenses(product) == [driver.get_license(product)]

    @both_drivers
    def test_subscriptions_of_a_partners_customers(
        self, simulator: Simulator, connect: Callable[..., str], driver: Driver
    ) -> None:
        """Of all, over several pages, or of one."""
        connect()
        simulator.set_quirks("elements", oversize="clamp", max_page_size=2)
        for name in ("a", "b", "c", "d", "e"):
            for service in ("Backup", "Fly"):
                simulator.set_license("elements", organization_id=name, service=service)
        simulator.set_license(
            "elements",
            organization_id="c",
            organization_name="Contoso",
            service="Backup",
            purchased_user_seats=100,
            assigned_user_seats=124,
            purchased_storage_size=None,
            protected_size=12,
            expiration_date="03-14-2026T12:00:00Z",
        )

        everything = driver.get_licenses("elements")
        backup, fly = driver.get_licenses("elements", organization_id=" c\n")

        assert [(each.organization_id, each.service) for each in everything] == [
            (name, service) for name in "abcde" for service in ("Backup", "Fly")
        ]
        assert [backup, fly] == [each for each in everything if each.organization_id == "c"]
        assert backup.as_dict() == {
            "product": "elements",
            "service": "Backup",
            "organization_id": "c",
            "organization_name": "Contoso",
            "location": None,
            "out_of_policy_at": None,
            "is_out_of_policy": False,
            "purchased_user_seats": 100,
            "assigned_user_seats": 124,
            "purchased_storage_gb": None,
            "protected_gb": 12,
            "expires_at": "2026-03-14T12:00:00+00:00",
            "seat_ratio": 1.24,
            "storage_ratio": None,
        }

    @both_drivers
    def test_a_customer_that_nobody_knows(
        self, simulator: Simulator, connect: Callable[..., str], driver: Driver
    ) -> None:
        connect()
        simulator.set_license("elements", organization_id="a")

        with pytest.raises(errors.AvePointRequestError, match="no subscription of any customer nobody"):
            driver.get_licenses("elements", organization_id="nobody")

    @both_drivers
    def test_a_location_of_the_connection_is_asked_for_where_there_are_any(
        self, simulator: Simulator, connect: Callable[..., str], driver: Driver
    ) -> None:
        connect(extra={"location": "EUR"})
        simulator.set_license("m365", location="EUR", assigned_user_seats=5)
        simulator.set_license("elements", organization_id="a")

        (central,), (european,) = driver.get_licenses("m365", location="NAM"), driver.get_licenses("m365")

        assert (central.location, central.assigned_user_seats) == ("NAM", 47)
        assert (european.location, european.assigned_user_seats) == ("EUR", 5)
        assert len(driver.get_licenses("elements")) == 1

    @both_drivers
    def test_a_product_without_licences_is_said(
        self, simulator: Simulator, connect: Callable[..., str], driver: Driver
    ) -> None:
        connect()

        with pytest.raises(errors.AvePointConfigError, match="Dynamics 365"):
            driver.get_license("dynamics365")
        assert simulator.requests() == []


class TestTestConnection:
    def test_it_says_what_can_be_read(self, connect: Callable[..., str]) -> None:
        assert AvePointHook(connect()).test_connection() == (
            True,
            (
                f"This app registration may read {', '.join(PRODUCTS)}. Beside jobs it may use m365 licence, "
                "schedule, retention, unusual activity and restore; m365_legacy licence; salesforce unusual "
                "activity and monitor alerts; elements licence, unusual activity, tenants, coverage of "
                "services, coverage of users and coverage changes; the connection does not allow the restore "
                "(allow_restore)."
            ),
        )

    def test_it_names_what_is_missing(self, simulator: Simulator, connect: Callable[..., str]) -> None:
        simulator.set_client("limited", secret="limited-secret", scopes=[PRODUCTS["m365"].permission])
        lacks = "; ".join(
            f"{name} lacks {product.permission}"
            for name, product in PRODUCTS.items()
            if product.permission != PRODUCTS["m365"].permission
        )

        assert AvePointHook(connect(login="limited", password="limited-secret")).test_connection() == (
            True,
            (
                f"This app registration may read m365, m365_legacy; {lacks}. Beside jobs it may use nothing; "
                "m365 licence, m365_legacy licence lacks microsoft365backup.subscriptionInfo.read.all; m365 "
                "schedule and retention lacks microsoft365backup.settings.read.all; m365 unusual activity "
                "lacks microsoft365backup.unusualActivity.read.all; m365 restore lacks "
                "microsoft365backup.restore.readwrite.all."
            ),
        )

    def test_it_names_each_permission_beside_jobs_that_the_app_has(
        self, simulator: Simulator, connect: Callable[..., str]
    ) -> None:
        """Each by itself, with and without the permission for jobs; no restore is asked for."""
        jobs = PRODUCTS["m365"].permission
        for permission, told in (
            ("microsoft365backup.settings.read.all", "m365 schedule and retention;"),
            ("microsoft365backup.unusualActivity.read.all", "m365 unusual activity;"),
            ("microsoft365backup.restore.readwrite.all", "m365 restore;"),
            ("elements.wm.read.all", "elements unusual activity;"),
        ):
            for scopes in ([permission], [permission, jobs]):
                simulator.set_client("limited", secret="limited-secret", scopes=scopes)
                limited = connect(login="limited", password="limited-secret", extra={"allow_restore": True})
                is_good, message = AvePointHook(limited).test_connection()
                assert is_good
                is_tried = jobs not in scopes or told.startswith("m365")
                assert is_tried == (f"Beside jobs it may use {told}" in message), message
                assert "allow_restore" not in message
                TOKENS.clear()
        assert {r["path"] for r in simulator.requests() if r["method"] == "POST"} == {"/connect/token"}

    def test_what_fails_beside_jobs_fails_no_connection(
        self, simulator: Simulator, connect: Callable[..., str]
    ) -> None:
        """An answer that is not understood, a 503, a 403 in spite of the token: each is told, once."""
        simulator.set_reading("m365", "schedule", {"not": "a list"})
        simulator.add_fault("status", path="/backup/m365/cloudbackupunusual", status=503, count=None)
        simulator.add_fault("status", path="/backup/m365/cloudbackuplicense", status=403, count=1)

        is_good, message = AvePointHook(connect()).test_connection()

        assert is_good
        assert "m365 schedule and retention: Cloud Backup for Microsoft 365, backup schedule: " in message
        assert "m365 unusual activity: GET " in message
        assert "m365_legacy licence lacks microsoft365backup.subscriptionInfo.read.all" in message
        assert "Beside jobs it may use m365 restore; salesforce unusual activity" in message

    def test_a_feature_without_any_answer_ends_the_look(
        self, simulator: Simulator, connect: Callable[..., str]
    ) -> None:
        """Somebody waits for the button: the rest would take its time-outs too."""
        simulator.add_fault("drop", path="/backup/m365/settings", count=None)

        is_good, message = AvePointHook(connect()).test_connection()

        assert is_good
        assert "m365 schedule and retention: GET " in message
        assert "unusual" not in message

    def test_a_token_that_may_write_is_not_kept(
        self, simulator: Simulator, connect: Callable[..., str]
    ) -> None:
        conn_id = connect(extra={"allow_restore": True})
        for _ in range(2):
            AvePointHook(conn_id).test_connection()

        tokens = simulator.stats()["tokens"]
        assert (tokens["microsoft365backup.restore.readwrite.all"], tokens[PRODUCTS["m365"].permission]) == (
            2,
            1,
        )

    def test_a_product_with_nothing_beside_jobs_has_one_sentence(
        self, simulator: Simulator, connect: Callable[..., str]
    ) -> None:
        scopes = [PRODUCTS["dynamics365"].permission]
        simulator.set_client("limited", secret="limited-secret", scopes=scopes)

        is_good, message = AvePointHook(connect(login="limited", password="limited-secret")).test_connection()

        assert is_good
        assert "Beside jobs" not in message

    def test_wrong_credentials_are_told_without_the_secret(self, connect: Callable[..., str]) -> None:
        is_good, message = AvePointHook(connect(password="wrong-secret-value")).test_connection()

        assert not is_good
        assert message.count("refused the credentials of client demo-client") == 1
        assert "wrong-secret-value" not in message

    def test_an_api_that_does_not_answer_is_said_once(self, connect: Callable[..., str]) -> None:
        is_good, message = AvePointHook(connect(host="http://127.0.0.1:9")).test_connection()

        assert not is_good
        assert message.count("no answer") == 1

    def test_one_product_that_is_away_hides_no_other(
        self, simulator: Simulator, connect: Callable[..., str]
    ) -> None:
        simulator.add_fault("status", path="/dynamicsbackup", status=503, count=None)

        is_good, message = AvePointHook(connect()).test_connection()

        others = ", ".join(name for name in PRODUCTS if name != "dynamics365")
        assert is_good
        assert message.startswith(f"This app registration may read {others}; dynamics365: GET ")
        assert "503" in message

    def test_a_bad_field_is_named(self, connect: Callable[..., str]) -> None:
        is_good, message = AvePointHook(connect(host="graph-us.example")).test_connection()

        assert not is_good
        assert "host" in message

    def test_it_asks_for_little(self, simulator: Simulator, connect: Callable[..., str]) -> None:
        """One call a product, of one row, read only; where a list is of a customer, only for a token.

        Then one a permission beside jobs, with no window or page that is large.
        """
        AvePointHook(connect()).test_connection()

        calls = [request for request in simulator.requests() if request["path"] != "/connect/token"]
        calls, beside = calls[:-3], calls[-3:]
        assert [call["path"].rpartition("/")[2] for call in beside] == [
            "cloudbackuplicenseconsumption",
            "frequency",
            "cloudbackupunusualactivitydata",
        ]
        asked = [product for product in PRODUCTS.values() if not product.needs_organization]
        assert [(product.method, product.path) for product in asked] == [
            (call["method"], call["path"]) for call in calls
        ]
        for product, call in zip(asked, calls, strict=True):
            assert call["query"][product.paging.size] == "1"
        features = {feature.permission for product in PRODUCTS.values() for feature in list_features(product)}
        permissions = {product.permission for product in PRODUCTS.values()} | features
        assert simulator.stats()["tokens"].keys() == permissions


BAD_FIELDS: list[tuple[dict[str, Any], str]] = [
    ({"host": "graph-us.avepointonlineservices.com"}, "host"),
    ({"host": "http://graph.example.com"}, "insecure_http"),
    ({"host": ""}, "region"),
    ({"login": ""}, "login"),
    ({"password": ""}, "password"),
    ({"extra": {"region": "usa"}}, "region"),
    ({"extra": {"environment": "moon"}}, "environment"),
    ({"extra": {"verify": "/nowhere/bundle.pem"}}, "verify"),
    ({"extra": {"timeout": 0}}, "timeout"),
    ({"extra": {"certificate": "x"}}, "private_key"),
]


class TestConnections:
    @both_drivers
    def test_a_bad_field_is_named_before_anything_is_sent(
        self, simulator: Simulator, connect: Callable[..., str], driver: Driver
    ) -> None:
        for fields, named in BAD_FIELDS:
            connect(**fields)
            with pytest.raises(errors.AvePointConfigError, match=named):
                driver.list_jobs("dynamics365")
        assert simulator.requests() == []

    def test_an_unknown_extra_is_warned_about(
        self, connect: Callable[..., str], caplog: pytest.LogCaptureFixture
    ) -> None:
        connect(extra={"regoin": "us"})

        AvePointHook().settings  # noqa: B018  # read for its warning

        assert "regoin" in caplog.text

    async def test_a_database_connection_that_only_the_blocking_call_finds(
        self, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """In ``dag.test()`` the asynchronous look-up finds connections of the environment only."""
        from airflow.providers.common.compat.sdk import AirflowNotFoundException, BaseHook, Connection

        async def find_nothing(conn_id: str) -> Connection:
            raise AirflowNotFoundException(conn_id)

        stored = Connection(
            conn_id="stored",
            conn_type="avepoint",
            host=simulator.url,
            login=simulator.client_id,
            password=simulator.client_secret,
            extra=json.dumps({"identity_endpoint": simulator.token_url}),
        )
        monkeypatch.setattr(connection, "get_async_connection", find_nothing)
        monkeypatch.setattr(BaseHook, "get_connection", lambda conn_id: stored)

        async with AvePointAsyncHook("stored") as hook:
            assert [job async for job in hook.aiter_jobs("dynamics365")] == []

    def test_constructing_a_hook_looks_nothing_up(self) -> None:
        AvePointHook("nowhere")
        AvePointAsyncHook("nowhere")

    def test_leaving_a_listing_early_waits_for_nobody(
        self, simulator: Simulator, connect: Callable[..., str]
    ) -> None:
        """A caller who has seen enough gets away, though pages are on their way."""
        connect()
        simulator.generate("dynamics365", 500, every_seconds=60)
        simulator.set_quirks("dynamics365", max_page_size=20)

        async def take_one() -> str:
            async with AvePointAsyncHook() as hook:
                async for job in hook.aiter_jobs("dynamics365"):
                    return job.job_id
            return "none"

        with AvePointHook() as hook:
            first = next(iter(hook.iter_jobs("dynamics365"))).job_id

        assert asyncio.run(take_one()) == first


def test_a_variable_that_airflow_cannot_read_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """To ask for a variable that is set already would help nobody; what it holds may be a secret."""
    for held in ('{"conn_type": "avepoint", "password": "hunter22",}', "{hunter22"):
        monkeypatch.setenv("AIRFLOW_CONN_AVEPOINT_DEFAULT", held)

        passed, message = AvePointHook().test_connection()

        assert not passed
        assert "cannot read the environment variable AIRFLOW_CONN_AVEPOINT_DEFAULT" in message
        assert "hunter22" not in message
