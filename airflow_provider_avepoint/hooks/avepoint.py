"""The AvePoint Graph API from Airflow: one hook for workers, one for the triggerer, the same calls."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property
from http.cookiejar import DefaultCookiePolicy
from typing import TYPE_CHECKING, Any, Self, TypeVar

from airflow.providers.common.compat.connection import get_async_extra_dejson
from airflow.providers.common.compat.sdk import BaseHook, mask_secret
from airflow.providers.http.hooks.http import HttpHook

from airflow_provider_avepoint.core.activity import get_activity
from airflow_provider_avepoint.core.alerts import list_alerts
from airflow_provider_avepoint.core.arguments import parse_text, require_text
from airflow_provider_avepoint.core.asking import ask
from airflow_provider_avepoint.core.client import Client
from airflow_provider_avepoint.core.coverage import get_coverage
from airflow_provider_avepoint.core.errors import (
    AvePointAuthError,
    AvePointError,
    AvePointPermissionError,
    AvePointUnavailable,
)
from airflow_provider_avepoint.core.flow import Flow
from airflow_provider_avepoint.core.ids import normalize_id
from airflow_provider_avepoint.core.license_calls import get_license, get_licenses
from airflow_provider_avepoint.core.listing import JobListing, JobListings, find_job
from airflow_provider_avepoint.core.look import Look
from airflow_provider_avepoint.core.objects import require_all
from airflow_provider_avepoint.core.products import PRODUCTS, get_product
from airflow_provider_avepoint.core.query import JobQuery, build_job_query, build_queries, choose_location
from airflow_provider_avepoint.core.retention import get_retention
from airflow_provider_avepoint.core.schedule import get_schedule
from airflow_provider_avepoint.core.settings import DEFAULT_CONN_ID, Settings
from airflow_provider_avepoint.credentials import build_credential
from airflow_provider_avepoint.exceptions import for_airflow
from airflow_provider_avepoint.hooks.access import check_features
from airflow_provider_avepoint.hooks.connection import (
    afind_connection,
    find_connection,
    open_client,
    read_settings,
)
from airflow_provider_avepoint.hooks.protection import audit_protection
from airflow_provider_avepoint.metrics import count, count_reading
from airflow_provider_avepoint.transports.aiohttp import AiohttpTransport
from airflow_provider_avepoint.transports.requests import RequestsTransport

if TYPE_CHECKING:
    from requests import PreparedRequest, Session

    from airflow_provider_avepoint.core.activity import UnusualActivity
    from airflow_provider_avepoint.core.alerts import MonitorAlert
    from airflow_provider_avepoint.core.coverage import Coverage
    from airflow_provider_avepoint.core.model import BackupJob, LicenseConsumption
    from airflow_provider_avepoint.core.policy import Policy
    from airflow_provider_avepoint.core.products.vocabulary import Product
    from airflow_provider_avepoint.core.protection import ProtectionAudit
    from airflow_provider_avepoint.core.questions import KeepDays, Question, Reading
    from airflow_provider_avepoint.core.requirements import Required
    from airflow_provider_avepoint.core.retention import RetentionPolicy
    from airflow_provider_avepoint.core.schedule import BackupSchedule
    from airflow_provider_avepoint.core.verdict import Verdict
    from airflow_provider_avepoint.hooks.protection import Proofs


T = TypeVar("T")

# Somebody sits before the button and waits: seconds to connect, and without a byte of an answer.
_TEST_TIMEOUT = 10.0


class AvePointHook(HttpHook):
    """Read jobs, licences and protection from the AvePoint Graph API, blocking.

    Every error is an :class:`~airflow_provider_avepoint.core.errors.AvePointError` and an
    ``AirflowException``: see :mod:`airflow_provider_avepoint.exceptions`.

    :param avepoint_conn_id: the connection, of type ``avepoint``.
    """

    conn_name_attr = "avepoint_conn_id"
    default_conn_name = DEFAULT_CONN_ID
    conn_type = "avepoint"
    hook_name = "AvePoint"

    def __init__(self, avepoint_conn_id: str = DEFAULT_CONN_ID, **kwargs: Any) -> None:
        super().__init__(method="GET", http_conn_id=avepoint_conn_id, **kwargs)
        self.avepoint_conn_id = avepoint_conn_id

    @cached_property
    def settings(self) -> Settings:
        """What the connection says, checked. The connection is looked up once a hook."""
        with for_airflow():
            conn_id = require_text("avepoint_conn_id", self.avepoint_conn_id)
            connection = find_connection(conn_id, self.get_connection)
            return read_settings(connection, connection.extra_dejson)

    @cached_property
    def client(self) -> Client:
        """The calls of the API for this connection."""
        with for_airflow():
            return Client.build(self.settings, build_credential(self.settings))

    @cached_property
    def transport(self) -> RequestsTransport:
        """What runs the calls."""
        return RequestsTransport(self.settings, self.get_conn, _mask, _count)

    def get_conn(
        self,
        headers: dict[Any, Any] | None = None,
        extra_options: dict[str, Any] | None = None,
    ) -> Session:
        """Return a session with the connection's proxies, TLS and keep-alive, and without its credentials.

        ``HttpHook`` would send login and password (or the credentials in .netrc) by Basic authentication,
        and so the client secret to the API host. It would also send each unknown extra as a header.

        :param headers: headers for every request of the session.
        :param extra_options: overrides of ``timeout`` and ``allow_redirects`` for ``HttpHook.run()``.
        """
        from requests import Session

        self.base_url = self.settings.base_url
        self._base_url_initialized = True
        session = Session()
        session.auth = _leave_unsigned
        session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        session.proxies = dict(self.settings.proxies)
        session.verify = self.settings.verify
        session.trust_env = self.settings.trust_env
        session.headers.update(headers or {})
        # What HttpHook.run() reads.
        self.merged_extra = {"timeout": self.settings.timeout, "allow_redirects": False}
        self.merged_extra.update(extra_options or {})
        return self._configure_session_from_mount_adapters(session)

    def iter_jobs(
        self,
        product: str,
        *,
        started_after: datetime | str | None = None,
        started_before: datetime | str | None = None,
        job_type: str | list[str] = "backup",
        state: str | list[str] | None = None,
        object_type: str | list[str] | None = None,
        organization_id: str | None = None,
        location: str | None = None,
        with_changes: bool = False,
    ) -> Iterator[BackupJob]:
        """Yield every matching job exactly once, as pages come in.

        The window is ``[started_after, started_before)`` on the job's start; a job that does not say when it
        started is in every window. For Microsoft 365 several *object_type* ask several times, and a job
        that two of them claim comes once for each.

        :param product: such as ``m365``, ``m365_legacy`` or ``dynamics365``.
        :param started_after: an aware datetime, or an ISO 8601 string with an offset.
        :param started_before: likewise; exclusive.
        :param job_type: a word such as ``backup`` or ``restore``, a list of them, or ``"all"``.
        :param state: a ``JobState`` word, or several.
        :param object_type: the workload: a Microsoft 365 object type or Dynamics module, or several.
        :param organization_id: the organisation, for products whose jobs name it.
        :param location: the Multi-Geo location; the connection's own unless given.
        :param with_changes: a job that the server lists again, and otherwise, comes again.
        :raises AvePointConfigError: an argument cannot be used; nothing was sent.
        :raises AvePointPayloadError: the listing does not add up; it is never cut short silently.
        """
        with for_airflow():
            queries = build_queries(
                product,
                started_after=started_after,
                started_before=started_before,
                job_type=job_type,
                state=state,
                object_type=object_type,
                organization_id=organization_id,
                location=location,
                default_location=self.settings.location,
            )
        return self.query(queries, with_changes=with_changes)

    def query(self, queries: list[JobQuery], *, with_changes: bool = False) -> Iterator[BackupJob]:
        """Yield the jobs that answer *queries*, which are asked side by side.

        :param queries: the queries, such as ``Policy.queries`` makes them.
        :param with_changes: a job that is listed again, and otherwise, comes again.
        :raises AvePointConfigError: an organisation's id is a name.
        """
        with for_airflow():
            listings = JobListings(
                self.client,
                queries,
                self.client.clock.now(),
                with_changes=with_changes,
                note_answered=self.note_answered,
            )
            yield from self.transport.draw(listings)

    def perform(self, flow: Flow[T]) -> T:
        """Run a call of the API; see the flows of :mod:`airflow_provider_avepoint.core.restore`.

        :param flow: the call, made with :attr:`client`.
        """
        with for_airflow():
            return self.transport.run(flow)

    def note_answered(self, query: JobQuery) -> None:
        """Note that all jobs have come that answer *query*; nothing here, for those who show progress.

        :param query: the query.
        """

    def judge(self, policy: Policy, *, keep_days: KeepDays | None = None) -> Verdict:
        """Ask for the jobs that *policy* is about, and judge them by the API's time of the answer.

        :param policy: what a good backup is.
        :param keep_days: keeps the schedules that *policy* asks for, and recalls those of past days, such as
            :func:`airflow_provider_avepoint.ledger.schedules.keep_schedules` for a ledger; None judges the
            due runs of the current UTC day only.
        :raises AvePointConfigError: an argument cannot be used.
        """
        look = Look(policy, self.client)
        while (queries := look.next_queries()) is not None:
            look.take(list(self.query(queries, with_changes=True)))
        for question in look.questions:
            look.hear(question, self._read(question.topic, question.product, ask(self.client, question)))
        look.remember(keep_days)
        with for_airflow():
            verdict = look.conclude()
        for warning in verdict.warnings:
            self.log.warning("%s", warning)
        return verdict

    def get_job(
        self,
        product: str,
        job_id: str,
        *,
        location: str | None = None,
        organization_id: str | None = None,
        started_after: datetime | str | None = None,
    ) -> BackupJob:
        """Return one job of any job type.

        If a product has no endpoint for one job, its listing is searched. The listing of Microsoft 365 is
        searched too, if the endpoint, which covers the central location only, does not know the job.

        :param product: such as ``m365`` or ``dynamics365``.
        :param job_id: the vendor's id of the job.
        :param location: the Multi-Geo location; by default the location of the connection.
        :param organization_id: the organisation, for products whose jobs name it.
        :param started_after: the earliest start to search, an aware datetime or an ISO 8601 string with an
            offset; by default 30 days ago.
        :raises AvePointJobNotFound: no job has this id.
        """
        with for_airflow():
            query = build_job_query(
                product,
                location=location,
                default_location=self.settings.location,
                organization_id=organization_id,
                started_after=started_after,
            )
            wanted = require_text("job_id", job_id)
            return self.transport.run(find_job(self.client, query, wanted, self.client.clock.now()))

    def get_license_consumption(
        self, product: str = "m365", *, location: str | None = None
    ) -> LicenseConsumption:
        """Return what is bought and what is used: seats, and storage in GB.

        :param product: ``m365`` or ``m365_legacy``.
        :param location: the Multi-Geo location; the connection's own unless given.
        """
        with for_airflow():
            known = get_product(product)
            place = choose_location(known, location, self.settings.location)
            return self.transport.run(get_license(self.client, known, place, datetime.now(UTC)))

    def get_license_consumptions(
        self,
        product: str = "m365",
        *,
        organization_id: str | None = None,
        location: str | None = None,
    ) -> list[LicenseConsumption]:
        """Return what is bought and what is used: one for Microsoft 365, for Elements one a subscription.

        :param product: ``m365``, ``m365_legacy`` or ``elements``.
        :param organization_id: the one customer of Elements; all of them unless given.
        :param location: the Multi-Geo location; the connection's own unless given.
        :raises AvePointRequestError: Elements lists no subscription.
        """
        with for_airflow():
            known = get_product(product)
            customer = normalize_id(parse_text("organization_id", organization_id))
            place = choose_location(known, location, self.settings.location)
            return self.transport.run(get_licenses(self.client, known, customer, place, datetime.now(UTC)))

    def get_backup_schedule(self, location: str | None = None, *, product: str = "m365") -> BackupSchedule:
        """Return which services are backed up, how often a day, and when on the current UTC day.

        The vendor tells no other day. A service that is not listed is not scheduled.

        :param location: the Multi-Geo location; the connection's own, or else the central one, unless given.
        :param product: ``m365``, the only product that tells its schedule.
        :raises AvePointConfigError: the product has no schedule.
        :raises AvePointPayloadError: the answer is not understood.
        """
        return self._read("schedule", product, require_all(get_schedule(self.client, product, location)))

    def get_unusual_activity(
        self,
        product: str = "m365",
        *,
        detected_after: datetime | str | None = None,
        detected_before: datetime | str | None = None,
        organization_id: str | None = None,
        tenant_id: str | None = None,
        location: str | None = None,
    ) -> UnusualActivity:
        """Return how many objects look attacked, by service, tenant or organisation.

        :param product: ``m365``, ``salesforce`` or ``elements``.
        :param detected_after: the begin of the window, 7 days ago unless given; Elements has no other window.
        :param detected_before: the end of the window, now unless given.
        :param organization_id: the organisation of Salesforce; the customer of Elements, which is required.
        :param tenant_id: one tenant of the customer, for Elements; each of the tenants unless given.
        :param location: the Multi-Geo location; the connection's own, or else all, unless given.
        :raises AvePointConfigError: the product knows no unusual activity, or an argument cannot be used.
        :raises AvePointRequestError: the customer is not known, or has no tenant.
        :raises AvePointPayloadError: the answer, or one of its rows, is not understood. Gates and audits
            judge the other rows all the same.
        """
        return self._read(
            "activity",
            product,
            require_all(
                get_activity(
                    self.client,
                    product,
                    detected_after=detected_after,
                    detected_before=detected_before,
                    organization_id=organization_id,
                    tenant_id=tenant_id,
                    location=location,
                )
            ),
        )

    def get_retention(self, location: str | None = None, *, product: str = "m365") -> RetentionPolicy:
        """Return how long backups are kept, by service and container.

        :param location: the Multi-Geo location; the connection's own, or else the central one, unless given.
        :param product: ``m365``, the only product that tells its retention.
        :raises AvePointConfigError: the product does not tell its retention.
        :raises AvePointPayloadError: the answer is not understood.
        """
        return self._read("retention", product, get_retention(self.client, product, location))

    def get_coverage(
        self, organization_id: str, *, product: str = "elements", parts: str | list[str] | None = None
    ) -> Coverage:
        """Return what of a customer is protected: services, users, and objects that fell out of backup.

        :param organization_id: the customer's id.
        :param product: ``elements``, the only product that tells its coverage.
        :param parts: ``services``, ``users`` or ``changes``, or several of them; all unless given. Each part
            needs a permission of its own, and users need two.
        :raises AvePointConfigError: the product does not tell its coverage, or an argument cannot be used.
        :raises AvePointRequestError: the customer is not known, or has no tenant.
        :raises AvePointPayloadError: an answer is not understood.
        """
        return self._read(
            "coverage", product, require_all(get_coverage(self.client, product, organization_id, parts))
        )

    def iter_monitor_alerts(
        self,
        product: str = "salesforce",
        *,
        collected_after: datetime | str | None = None,
        collected_before: datetime | str | None = None,
        organization_id: str | None = None,
        alert_type: str | None = None,
    ) -> Iterator[MonitorAlert]:
        """Yield how many records of which objects were added, modified or removed, each alert once.

        :param product: ``salesforce``, the only product with such alerts.
        :param collected_after: the begin of the window, inclusive; 7 days ago unless given.
        :param collected_before: the end of the window, exclusive; none unless given.
        :param organization_id: the organisation; all unless given.
        :param alert_type: sent as it is: the documents do not list the values.
        :raises AvePointConfigError: the product has no alerts, or an argument cannot be used.
        :raises AvePointPayloadError: the answer, or one of its rows, is not understood. An audit judges the
            other rows all the same.
        """
        alerts = self._read(
            "alerts",
            product,
            require_all(
                list_alerts(
                    self.client,
                    product,
                    collected_after=collected_after,
                    collected_before=collected_before,
                    organization_id=organization_id,
                    alert_type=alert_type,
                )
            ),
        )
        return iter(alerts)

    def _read(self, topic: str, product: str, flow: Flow[T]) -> T:
        """Run a reading beside the jobs, and count what comes of it."""
        with for_airflow(), count_reading(topic, product):
            return self.transport.run(flow)

    def audit_protection(
        self,
        required: Mapping[str, Any] | Required,
        *,
        product: str = "m365",
        organization_id: str | None = None,
        location: str | None = None,
        proofs: Proofs | None = None,
    ) -> ProtectionAudit:
        """Judge a tenant against what it must have; see ``AvePointProtectionAuditOperator`` for the rules.

        A part that cannot be read, such as for a missing permission, is a finding; the others are judged.

        :param required: service → rule → value.
        :param product: the product that is asked.
        :param organization_id: the customer of Elements, which is required there; the organisation of
            Salesforce.
        :param location: the Multi-Geo location; the connection's own unless given.
        :param proofs: returns when restores were last proven, by service, for the rule ``drilled_within``.
        :raises AvePointConfigError: an argument cannot be used, or the product cannot tell what is required.
        :raises AvePointError: nothing could be read: the error of the first part.
        """
        with for_airflow():
            return audit_protection(
                self,
                required,
                product=product,
                organization_id=organization_id,
                location=location,
                proofs=proofs,
            )

    def test_connection(self) -> tuple[bool, str]:
        """Get a token and make one small call for each product, then for each permission beside the jobs.

        A connection is good without the permissions of features that nobody uses. Nothing is changed.

        :return: whether at least one product can be read or used, and what can be, and what is missing for
            the rest.
        """
        readable: list[Product] = []
        missing: list[str] = []
        transport: RequestsTransport | None = None
        try:
            client = self.client
            hasty = replace(self.settings, timeout=min(self.settings.timeout, _TEST_TIMEOUT))
            transport = RequestsTransport(hasty, self.get_conn, _mask, _count)
            for product in PRODUCTS.values():
                try:
                    transport.run(client.check_access(product, datetime.now(UTC)))
                except AvePointPermissionError as e:
                    missing.append(f"{product.name} lacks {e.permission}")
                except AvePointAuthError:  # the same for every product
                    raise
                except AvePointError as e:
                    if isinstance(e, AvePointUnavailable) and e.status is None:
                        raise  # nobody answers: neither for another product
                    missing.append(f"{product.name}: {str(e).rstrip('.')}")
                else:
                    readable.append(product)
            proven = {each.permission for each in readable}
            access = check_features(client, readable or PRODUCTS.values(), proven, transport.run)
        except AvePointError as e:
            return False, str(e)
        finally:
            if transport is not None:
                transport.close()
        sentences = (_describe_access([each.name for each in readable], missing), access.describe())
        return bool(readable or access.usable), " ".join(filter(None, sentences))

    def close(self) -> None:
        """Close the hook's connections to the API."""
        if "transport" in self.__dict__:
            self.transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


class AvePointAsyncHook(BaseHook):
    """Read jobs, licences and protection from the AvePoint Graph API on an event loop; a context manager.

    :param avepoint_conn_id: the connection, of type ``avepoint``.
    """

    conn_name_attr = "avepoint_conn_id"
    default_conn_name = DEFAULT_CONN_ID
    conn_type = "avepoint"
    hook_name = "AvePoint"

    def __init__(self, avepoint_conn_id: str = DEFAULT_CONN_ID) -> None:
        super().__init__()
        self.avepoint_conn_id = avepoint_conn_id
        self._client: Client | None = None
        self._transport: AiohttpTransport | None = None

    async def aget_client(self) -> Client:
        """Return the calls of the API for this connection, which is looked up once a hook."""
        if self._client is None:
            with for_airflow():
                connection = await afind_connection(require_text("avepoint_conn_id", self.avepoint_conn_id))
                extra = await get_async_extra_dejson(connection)
                # In a thread: files are read and keys are derived, which would hold up every other trigger.
                self._client = await asyncio.to_thread(open_client, connection, extra)
                self._transport = AiohttpTransport(self._client.settings, _amask, _count)
        return self._client

    async def aiter_jobs(
        self,
        product: str,
        *,
        started_after: datetime | str | None = None,
        started_before: datetime | str | None = None,
        job_type: str | list[str] = "backup",
        state: str | list[str] | None = None,
        object_type: str | list[str] | None = None,
        organization_id: str | None = None,
        location: str | None = None,
    ) -> AsyncGenerator[BackupJob]:
        """Yield every matching job exactly once; see :meth:`AvePointHook.iter_jobs`.

        :param product: such as ``m365``, ``m365_legacy`` or ``dynamics365``.
        :param started_after: an aware datetime, or an ISO 8601 string with an offset.
        :param started_before: likewise; exclusive.
        :param job_type: a word such as ``backup`` or ``restore``, a list of them, or ``"all"``.
        :param state: a ``JobState`` word, or several.
        :param object_type: the workload: a Microsoft 365 object type or Dynamics module, or several.
        :param organization_id: the organisation, for products whose jobs name it.
        :param location: the Multi-Geo location; by default the location of the connection.
        """
        client = await self.aget_client()
        with for_airflow():
            queries = build_queries(
                product,
                started_after=started_after,
                started_before=started_before,
                job_type=job_type,
                state=state,
                object_type=object_type,
                organization_id=organization_id,
                location=location,
                default_location=client.settings.location,
            )
        async with aclosing(self.aquery(queries)) as jobs:  # leaving early ends what is under way
            async for job in jobs:
                yield job

    async def aquery(
        self, queries: list[JobQuery], *, with_changes: bool = False
    ) -> AsyncGenerator[BackupJob]:
        """Yield the jobs that answer *queries*; see :meth:`AvePointHook.query`.

        :param queries: the queries.
        :param with_changes: a job that is listed again, and otherwise, comes again.
        """
        client = await self.aget_client()
        with for_airflow():
            listings = JobListings(client, queries, client.clock.now(), with_changes=with_changes)
            async with aclosing(self._run.draw(listings)) as pages:
                async for page in pages:
                    for job in page:
                        yield job

    async def alist_query(
        self, query: JobQuery, now: datetime, *, with_changes: bool = False
    ) -> AsyncGenerator[BackupJob]:
        """Yield the jobs that answer one query as it stands, where :meth:`aquery` would look further.

        :param query: the query.
        :param with_changes: a job that is listed again, and otherwise, comes again.
        :param now: fixes the window's end.
        """
        client = await self.aget_client()
        with for_airflow():
            listing = JobListing(client, query, now, with_changes=with_changes)
            async with aclosing(self._run.draw(listing)) as pages:
                async for page in pages:
                    for job in page:
                        yield job

    async def aperform(self, flow: Flow[T]) -> T:
        """Run a call of the API; see :meth:`AvePointHook.perform`.

        :param flow: the call, made with the client of :meth:`aget_client`.
        """
        with for_airflow():
            return await self._run.run(flow)

    async def ajudge(self, policy: Policy) -> Verdict:
        """Ask for the jobs that *policy* is about, and judge them; see :meth:`AvePointHook.judge`.

        :param policy: what a good backup is.
        """
        look = Look(policy, await self.aget_client())
        while (queries := look.next_queries()) is not None:
            look.take([job async for job in self.aquery(queries, with_changes=True)])
        for question in look.questions:
            look.hear(question, await self.aanswer(question))
        with for_airflow():
            verdict = look.conclude()
        for warning in verdict.warnings:
            self.log.warning("%s", warning)
        return verdict

    async def aanswer(self, question: Question) -> Reading:
        """Return the answer to a question beside the jobs.

        :param question: the question, as ``Policy.questions`` makes it.
        """
        client = await self.aget_client()
        return await self._read(question.topic, question.product, ask(client, question))

    async def aget_job(
        self,
        product: str,
        job_id: str,
        *,
        location: str | None = None,
        organization_id: str | None = None,
        started_after: datetime | str | None = None,
    ) -> BackupJob:
        """Return one job of any job type; see :meth:`AvePointHook.get_job`.

        :param product: such as ``m365`` or ``dynamics365``.
        :param job_id: the vendor's id of the job.
        :param location: the Multi-Geo location; by default the location of the connection.
        :param organization_id: the organisation, for products whose jobs name it.
        :param started_after: the earliest start to search, an aware datetime or an ISO 8601 string with an
            offset; by default 30 days ago.
        """
        client = await self.aget_client()
        with for_airflow():
            query = build_job_query(
                product,
                location=location,
                default_location=client.settings.location,
                organization_id=organization_id,
                started_after=started_after,
            )
            wanted = require_text("job_id", job_id)
            return await self._run.run(find_job(client, query, wanted, client.clock.now()))

    async def aget_license_consumption(
        self, product: str = "m365", *, location: str | None = None
    ) -> LicenseConsumption:
        """Return what is bought and what is used; see :meth:`AvePointHook.get_license_consumption`.

        :param product: ``m365`` or ``m365_legacy``.
        :param location: the Multi-Geo location; by default the location of the connection.
        """
        client = await self.aget_client()
        with for_airflow():
            known = get_product(product)
            place = choose_location(known, location, client.settings.location)
            return await self._run.run(get_license(client, known, place, datetime.now(UTC)))

    async def aget_license_consumptions(
        self,
        product: str = "m365",
        *,
        organization_id: str | None = None,
        location: str | None = None,
    ) -> list[LicenseConsumption]:
        """Return what is bought and what is used; see :meth:`AvePointHook.get_license_consumptions`.

        :param product: ``m365``, ``m365_legacy`` or ``elements``.
        :param organization_id: one customer of Elements; by default all customers.
        :param location: the Multi-Geo location; by default the location of the connection.
        """
        client = await self.aget_client()
        with for_airflow():
            known = get_product(product)
            customer = normalize_id(parse_text("organization_id", organization_id))
            place = choose_location(known, location, client.settings.location)
            return await self._run.run(get_licenses(client, known, customer, place, datetime.now(UTC)))

    async def aget_backup_schedule(
        self, location: str | None = None, *, product: str = "m365"
    ) -> BackupSchedule:
        """Return the backups of the current UTC day; see :meth:`AvePointHook.get_backup_schedule`.

        :param location: the Multi-Geo location; by default that of the connection, or else the central one.
        :param product: ``m365``, the only product that tells its schedule.
        """
        client = await self.aget_client()
        return await self._read("schedule", product, require_all(get_schedule(client, product, location)))

    async def aget_unusual_activity(
        self,
        product: str = "m365",
        *,
        detected_after: datetime | str | None = None,
        detected_before: datetime | str | None = None,
        organization_id: str | None = None,
        tenant_id: str | None = None,
        location: str | None = None,
    ) -> UnusualActivity:
        """Return how many objects look attacked; see :meth:`AvePointHook.get_unusual_activity`.

        :param product: ``m365``, ``salesforce`` or ``elements``.
        :param detected_after: the begin of the window; by default 7 days ago.
        :param detected_before: the end of the window; by default now.
        :param organization_id: the organisation of Salesforce; the customer of Elements, which is required.
        :param tenant_id: one tenant of the customer, for Elements; by default each of the tenants.
        :param location: the Multi-Geo location; by default that of the connection, or else all.
        """
        client = await self.aget_client()
        return await self._read(
            "activity",
            product,
            require_all(
                get_activity(
                    client,
                    product,
                    detected_after=detected_after,
                    detected_before=detected_before,
                    organization_id=organization_id,
                    tenant_id=tenant_id,
                    location=location,
                )
            ),
        )

    async def aget_retention(self, location: str | None = None, *, product: str = "m365") -> RetentionPolicy:
        """Return how long backups are kept; see :meth:`AvePointHook.get_retention`.

        :param location: the Multi-Geo location; by default that of the connection, or else the central one.
        :param product: ``m365``, the only product that tells its retention.
        """
        client = await self.aget_client()
        return await self._read("retention", product, get_retention(client, product, location))

    async def aget_coverage(
        self, organization_id: str, *, product: str = "elements", parts: str | list[str] | None = None
    ) -> Coverage:
        """Return what of a customer is protected; see :meth:`AvePointHook.get_coverage`.

        :param organization_id: the customer's id.
        :param product: ``elements``, the only product that tells its coverage.
        :param parts: ``services``, ``users`` or ``changes``, or several of them; by default all.
        """
        client = await self.aget_client()
        return await self._read(
            "coverage", product, require_all(get_coverage(client, product, organization_id, parts))
        )

    async def aiter_monitor_alerts(
        self,
        product: str = "salesforce",
        *,
        collected_after: datetime | str | None = None,
        collected_before: datetime | str | None = None,
        organization_id: str | None = None,
        alert_type: str | None = None,
    ) -> AsyncGenerator[MonitorAlert]:
        """Yield the alerts of a window; see :meth:`AvePointHook.iter_monitor_alerts`.

        :param product: ``salesforce``, the only product with such alerts.
        :param collected_after: the begin of the window, inclusive; by default 7 days ago.
        :param collected_before: the end of the window, exclusive; by default none.
        :param organization_id: the organisation; by default all.
        :param alert_type: sent as it is: the documents do not list the values.
        """
        client = await self.aget_client()
        alerts = await self._read(
            "alerts",
            product,
            require_all(
                list_alerts(
                    client,
                    product,
                    collected_after=collected_after,
                    collected_before=collected_before,
                    organization_id=organization_id,
                    alert_type=alert_type,
                )
            ),
        )
        for alert in alerts:
            yield alert

    async def close(self) -> None:
        """Close the hook's connections to the API."""
        if self._transport is not None:
            await self._transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    async def _read(self, topic: str, product: str, flow: Flow[T]) -> T:
        with for_airflow(), count_reading(topic, product):
            return await self._run.run(flow)

    @property
    def _run(self) -> AiohttpTransport:
        assert self._transport is not None  # noqa: S101  # aget_client() has been awaited
        return self._transport


def _count(name: str, product: str) -> None:
    count(name, product=product)


def _mask(token: str) -> None:
    if _is_to_be_masked():
        mask_secret(token)


async def _amask(token: str) -> None:
    if not _is_to_be_masked():
        return
    try:
        from airflow.sdk.log import amask_secret
    except ImportError:  # before Airflow 3.3.2: the blocking call, off the loop
        from asgiref.sync import sync_to_async

        await sync_to_async(mask_secret)(token)
    else:
        await amask_secret(token)


# Airflow's masker never forgets, and looks for each secret in each line that is logged. A triggerer lives for
# weeks and gets a token an hour for each tenant and permission: beyond this many it would slow down for a
# second line of defence. The first is that no token stands in anything that is logged.
_MOST_MASKED = 500
_masked = itertools.count()


def _is_to_be_masked() -> bool:
    return next(_masked) < _MOST_MASKED


def _leave_unsigned(request: PreparedRequest) -> PreparedRequest:
    """Sign nothing: an auth of its own keeps requests from reading .netrc."""
    return request


def _describe_access(readable: list[str], missing: list[str]) -> str:
    can = f"This app registration may read {', '.join(readable) or 'no product'}"
    return f"{can}; {'; '.join(missing)}." if missing else f"{can}."
