"""The simulator's whole memory, and every operation of the control API on it.

Every public method holds the one lock, so any thread may call it while the server answers.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from email.utils import formatdate
from typing import Any

from . import times
from .control_schema import (
    ClientSpec,
    ClockSettings,
    GenerateSpec,
    GlobalQuirks,
    JobFields,
    JobSpec,
    LicenseChange,
    Organization,
    ReadingChange,
    Refused,
    RestoreSettings,
    TokenSettings,
    known,
)
from .encoding import encode
from .faults import AnyFault, FaultQueue
from .identity import Grant, Identity
from .job_builder import as_json, build_job, changed_fields, history_facts
from .jobs import Facts, Job
from .product_store import Asked, ProductStore, Served
from .products import PRODUCTS, SCOPES
from .products.base import Details, LicenseEndpoint, Reading, RestoreEndpoint, SubscriptionEndpoint
from .request_log import Entry, RequestLog

ALL_PRODUCTS = "all"
_GENERATED_RUN = times.ticks_in(300)


class State:
    """The simulator's memory; at the start it holds one client with all scopes.

    :param client_id: the id of this client.
    :param client_secret: the secret of this client.
    """

    def __init__(self, *, client_id: str, client_secret: str) -> None:
        self._lock = threading.RLock()
        self._client_id = client_id
        self._client_secret = client_secret
        self.reset()

    def reset(self) -> None:
        """Return to the start: one client, no jobs, no faults, default settings, an empty request log."""
        with self._lock:
            self._clock = times.Clock()
            self._date_header: float | str | None = 0.0
            self._identity = Identity(
                SCOPES, client_id=self._client_id, client_secret=self._client_secret, clock=self._clock
            )
            self._stores = {name: ProductStore(product, self._clock) for name, product in PRODUCTS.items()}
            self._faults = FaultQueue()
            self._request_log = RequestLog()
            self._latency_ms = 0.0
            self._restore_settings = RestoreSettings()
            self._restores: list[dict[str, Any]] = []
            self._numbers = itertools.count(1)

    # Jobs

    def add_jobs(self, specs: Iterable[JobSpec]) -> list[dict[str, Any]]:
        """Add jobs, all or none; return them with their ids, as they are now.

        :param specs: the jobs.
        :raises Refused: a product cannot have such a job, or has one of the same id, type, workload,
            organisation and location.
        """
        with self._lock:
            now = self._clock.now()
            added: list[tuple[ProductStore, Job]] = []
            try:
                for spec in specs:
                    store = self._store(spec.product)
                    job = self._build(store, spec, spec.job_id, now)
                    store.add(job)
                    added.append((store, job))
            except Refused:
                for store, job in added:
                    store.remove(job)
                raise
            return [as_json(store.product.name, job, now) for store, job in added]

    def generate(self, spec: GenerateSpec) -> dict[str, Any]:
        """Add jobs of history.

        :param spec: the number of jobs, their times and facts.
        :returns: ``{"product", "generated", "newest_at", "oldest_at"}``.
        :raises Refused: the product is unknown or cannot have such jobs, or the oldest job would start before
            the year 1.
        """
        with self._lock:
            store = self._store(spec.product)
            kinds = _generated_facts(store, spec)
            step = times.ticks_in(spec.every_seconds)
            newest = self._clock.now() - _GENERATED_RUN if spec.newest_at is None else spec.newest_at
            oldest = newest - (spec.count - 1) * step
            if oldest < 0:
                raise Refused("the oldest job would start before the year 1")
            starts = range(oldest, newest + 1, step)
            jobs = (
                Job(store.job_id(start, number), start, start + _GENERATED_RUN, facts)
                for start, number, facts in zip(starts, self._numbers, itertools.cycle(kinds), strict=False)
            )
            store.add_history(jobs, kinds)
            return {
                "product": spec.product,
                "generated": spec.count,
                "newest_at": times.to_iso_full(newest),
                "oldest_at": times.to_iso_full(oldest),
            }

    def patch_job(self, product: str, job_id: str, changes: JobFields) -> dict[str, Any]:
        """Change fields of one job; return the job as it is now.

        :param product: the product's name.
        :param job_id: the job's id.
        :param changes: the fields to change.
        :raises Refused: there is not exactly one such job, or the product cannot have the changed job.
        """
        with self._lock:
            now = self._clock.now()
            store = self._store(product)
            old = store.one_job(job_id)
            new = self._build(store, changed_fields(old, changes, now), job_id, now)
            store.remove(old)
            store.add(new)
            return as_json(product, new, now)

    def delete_job(self, product: str, job_id: str) -> dict[str, Any]:
        """Remove one job, as retention does; return it as it was.

        :param product: the product's name.
        :param job_id: the job's id.
        :raises Refused: there is not exactly one such job.
        """
        with self._lock:
            store = self._store(product)
            job = store.one_job(job_id)
            store.remove(job)
            return as_json(product, job, self._clock.now())

    def jobs(self, product: str, *, limit: int) -> dict[str, Any]:
        """Return ``{"total": int, "jobs": [...]}``, newest job first.

        :param product: the product's name.
        :param limit: the most jobs to return.
        :raises Refused: the product is unknown (404).
        """
        with self._lock:
            store = self._store(product)
            now = self._clock.now()
            newest = [as_json(product, job, now) for job in itertools.islice(store.jobs, limit)]
            return {"total": len(store.jobs), "jobs": newest}

    # Settings

    def set_license(self, product: str, change: LicenseChange) -> dict[str, Any]:
        """Set licence figures; return the figures that are served now, by the vendor's names.

        :param product: the product's name.
        :param change: the figures to set.
        :raises Refused: the product is unknown or has no licence endpoint (404), or has no such figure.
        """
        with self._lock:
            return self._store(product).set_license(change)

    def set_reading(self, product: str, name: str, change: ReadingChange) -> dict[str, Any]:
        """Set what an endpoint beside jobs and licences answers; return ``{"name", "value"}``.

        :param product: the product's name.
        :param name: the endpoint's name.
        :param change: the value, and what it belongs to.
        :raises Refused: the product or the endpoint is unknown (404), or there is no such location or id.
        """
        with self._lock:
            return self._store(product).set_reading(name, change)

    def set_quirks(self, product: str, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Set quirks; return all quirks.

        :param product: the product's name, or "all" for the whole server.
        :param changes: the quirks to set, by name.
        :raises Refused: the product is unknown (404), or has no such quirk.
        """
        with self._lock:
            if product == ALL_PRODUCTS:
                self._latency_ms = GlobalQuirks.model_validate(dict(changes)).latency_ms
                return {"latency_ms": self._latency_ms}
            return self._store(product).change_quirks(changes)

    def set_restores(self, settings: RestoreSettings) -> dict[str, Any]:
        """Set what becomes of restores that are asked for from now on; return all settings.

        :param settings: the settings.
        """
        with self._lock:
            self._restore_settings = settings
            return settings.model_dump()

    def restores(self) -> list[dict[str, Any]]:
        """Return the restores that were started by a request, oldest first."""
        with self._lock:
            return list(self._restores)

    def set_clock(self, settings: ClockSettings) -> dict[str, Any]:
        """Set the clock; return all settings.

        :param settings: the settings; those that are not named stay.
        """
        with self._lock:
            if "ahead_seconds" in settings.model_fields_set:
                self._clock.ahead = settings.ahead_seconds
            if "date_header" in settings.model_fields_set:
                self._date_header = settings.date_header
            return {"ahead_seconds": self._clock.ahead, "date_header": self._date_header}

    def unix_time(self) -> float:
        """Return the server's time in seconds since 1970."""
        with self._lock:
            return self._clock.unix_time()

    def date_header(self) -> str | None:
        """Return the ``Date`` header of an answer at this moment; None for no header."""
        with self._lock:
            if isinstance(self._date_header, float):
                return formatdate(self._clock.unix_time() + self._date_header, usegmt=True)
            return self._date_header

    def latency_seconds(self, product: str | None) -> float:
        """Return the seconds that an answer takes longer.

        :param product: the product of the endpoint; None for the other endpoints.
        """
        with self._lock:
            own = self._store(product).quirks.latency_ms if product else 0.0
            return (own + self._latency_ms) / 1000

    # Clients and tokens

    def set_client(self, client_id: str, spec: ClientSpec) -> dict[str, Any]:
        """Register a client, or change the named fields of one; return the client without its secret.

        :param client_id: the client's id.
        :param spec: the fields; those that are not named stay.
        :raises Refused: a scope is unknown, or the certificate cannot be used.
        """
        with self._lock:
            return self._identity.set_client(client_id, spec)

    def set_tokens(self, settings: TokenSettings) -> dict[str, Any]:
        """Set the lifetime of tokens that are issued from now on.

        :param settings: the lifetime.
        """
        with self._lock:
            self._identity.lifetime = settings.expires_in
            return {"expires_in": settings.expires_in}

    def expire_tokens(self) -> dict[str, Any]:
        """Make every issued token invalid now."""
        with self._lock:
            return {"expired": self._identity.expire_all()}

    def expire_token(self, token: str) -> None:
        """Make one token invalid now.

        :param token: the token.
        """
        with self._lock:
            self._identity.expire(token)

    def issue_token(self, form: Mapping[str, str], *, token_url: str) -> dict[str, Any]:
        """Return the answer to a token request.

        :param form: the fields of the request.
        :param token_url: the URL of the request.
        :raises TokenRefused: with the error code that OAuth2 has for the reason.
        """
        with self._lock:
            token, grant = self._identity.issue(form, token_url=token_url)
            self._request_log.count_token(grant.scope)
            seconds = int(self._identity.lifetime)
            return {
                "access_token": token,
                "token_type": "Bearer",
                "expires_in": seconds,
                "ext_expires_in": seconds,
            }

    def find_grant(self, token: str) -> Grant | None:
        """Return the rights of a token; None if the token is unknown or has expired.

        :param token: the token.
        """
        with self._lock:
            return self._identity.find(token)

    # Faults and request log

    def add_fault(self, fault: AnyFault) -> list[dict[str, Any]]:
        """Arm a fault; return all armed faults.

        :param fault: the fault.
        """
        with self._lock:
            self._faults.arm(fault)
            return self._faults.as_json()

    def faults(self) -> list[dict[str, Any]]:
        """Return the armed faults, with the remaining skip and count."""
        with self._lock:
            return self._faults.as_json()

    def clear_faults(self) -> None:
        """Disarm all faults."""
        with self._lock:
            self._faults.clear()

    def take_fault(self, path: str, query: Mapping[str, str]) -> AnyFault | None:
        """Return the fault that hits a request; None if the request passes.

        :param path: the request's path.
        :param query: the request's query parameters.
        """
        with self._lock:
            return self._faults.take(path, query)

    def open_entry(self, **request: Any) -> Entry:
        """Record a request in the request log.

        :param request: the fields of the entry, see :meth:`RequestLog.open`.
        """
        with self._lock:
            return self._request_log.open(at=times.to_iso_full(self._clock.now()), **request)

    def close_entry(self, entry: Entry, status: int | None) -> None:
        """Record the answer to a request in the request log.

        :param entry: the request.
        :param status: the HTTP status; None for a dropped connection.
        """
        with self._lock:
            self._request_log.close(entry, status)

    def requests(self, *, path: str | None = None, since: int = 0) -> list[dict[str, Any]]:
        """Return requests from the request log, oldest first.

        :param path: the beginning of their path; None for every path.
        :param since: the index of the first request.
        """
        with self._lock:
            return self._request_log.requests(path=path, since=since)

    def stats(self) -> dict[str, Any]:
        """Return ``{"requests": {path: {status: count}}, "tokens": {scope: count}}``."""
        with self._lock:
            return self._request_log.stats()

    # The vendor's pages

    def read_listing(
        self, product: str, asked: Asked, *, base_url: str, path: str, quirks: Mapping[str, Any]
    ) -> Served:
        """Return one page of a product's jobs.

        :param product: the product's name.
        :param asked: the request's parameters.
        :param base_url: the server's base URL, for links.
        :param path: the request's path, for links.
        :param quirks: quirks of this page only, over the product's.
        :raises VendorError: a parameter is missing or wrong, or the customer in the path is unknown (404).
        """
        with self._lock:
            store = self._store(product)
            with store.other_quirks(quirks) if quirks else nullcontext():
                return store.read_listing(asked, base_url=base_url, path=path, numbers=self._numbers)

    def read_details(self, product: str, endpoint: Details, job_id: str, query: Mapping[str, str]) -> Served:
        """Return one job.

        :param product: the product's name.
        :param endpoint: the endpoint.
        :param job_id: the job's id.
        :param query: the query parameters.
        :raises VendorError: a parameter is wrong, or there is no such job (404).
        """
        with self._lock:
            return self._store(product).read_details(endpoint, job_id, query)

    def read_license(self, product: str, endpoint: LicenseEndpoint, query: Mapping[str, str]) -> Served:
        """Return a product's licence figures.

        :param product: the product's name.
        :param endpoint: the endpoint.
        :param query: the query parameters.
        :raises VendorError: a parameter is wrong.
        """
        with self._lock:
            return self._store(product).read_license(endpoint, query)

    def read_subscriptions(
        self, product: str, endpoint: SubscriptionEndpoint, asked: Asked, *, base_url: str, path: str
    ) -> Served:
        """Return one page of a partner's customers with their subscriptions.

        :param product: the product's name.
        :param endpoint: the endpoint.
        :param asked: the request's parameters.
        :param base_url: the server's base URL, for links.
        :param path: the request's path, for links.
        :raises VendorError: a parameter is wrong.
        """
        with self._lock:
            return self._store(product).read_subscriptions(endpoint, asked, base_url=base_url, path=path)

    def read_reading(
        self, product: str, reading: Reading, asked: Asked, *, base_url: str, path: str
    ) -> Served:
        """Return what an endpoint beside jobs and licences answers.

        :param product: the product's name.
        :param reading: the endpoint.
        :param asked: the request's parameters.
        :param base_url: the server's base URL, for links.
        :param path: the request's path, for links.
        :raises VendorError: a parameter is missing or wrong, or an id in the path is unknown (404).
        """
        with self._lock:
            return self._store(product).read_reading(reading, asked, base_url=base_url, path=path)

    def start_restore(self, product: str, endpoint: RestoreEndpoint, asked: Asked) -> Served:
        """Start a restore.

        :param product: the product's name.
        :param endpoint: the endpoint.
        :param asked: the request's parameters.
        :raises VendorError: a parameter is wrong, or three jobs are running.
        """
        with self._lock:
            started, data = self._store(product).start_restore(
                endpoint, asked, self._restore_settings, self._numbers
            )
            self._restores.append(started)
            return Served(encode(endpoint.envelope(data)).encode(), endpoint.payload_key)

    def _store(self, product: str) -> ProductStore:
        return self._stores[known(product, self._stores, "product", status=404)]

    def _build(self, store: ProductStore, fields: JobFields, job_id: str | None, now: int) -> Job:
        job = build_job(store.product, fields, job_id or "", now)
        return job if job_id else store.named(job, next(self._numbers))


def _generated_facts(store: ProductStore, spec: GenerateSpec) -> list[Facts]:
    """Return the facts of every combination; organisations change fastest, states slowest."""
    organizations: tuple[Organization | str | None, ...] = spec.organizations or (None,)
    workloads: tuple[str | None, ...] = spec.workloads or (None,)
    return [
        history_facts(
            store.product, JobFields.model_validate(_generated_fields(organization, workload, state))
        )
        for state, workload, organization in itertools.product(spec.states, workloads, organizations)
    ]


def _generated_fields(
    organization: Organization | str | None, workload: str | None, state: str
) -> dict[str, Any]:
    fields: dict[str, Any] = {"state": state}
    if workload is not None:
        fields["workload"] = workload
    if organization is not None:
        known_as = Organization(id=organization) if isinstance(organization, str) else organization
        fields |= {"organization_id": known_as.id, "organization_name": known_as.name}
    return fields
