"""All that the simulator remembers, and all that the control API does to it.

Every public method holds the one lock, so that any thread may call it while the server answers.
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
    Refused,
    TokenSettings,
    known,
)
from .faults import AnyFault, FaultQueue
from .identity import Grant, Identity
from .job_builder import as_json, build_job, changed_fields, history_facts
from .jobs import Facts, Job
from .product_store import Asked, ProductStore, Served
from .products import PRODUCTS, SCOPES
from .products.base import Details, LicenseEndpoint, SubscriptionEndpoint
from .request_log import Entry, RequestLog

ALL_PRODUCTS = "all"
_GENERATED_RUN = times.ticks_in(300)


class State:
    """The simulator's memory; it starts with one client, which may have all scopes, and nothing else."""

    def __init__(self, *, client_id: str, client_secret: str) -> None:
        self._lock = threading.RLock()
        self._client_id = client_id
        self._client_secret = client_secret
        self.reset()

    def reset(self) -> None:
        """Return to the start: the one client, no jobs, no faults, default settings, an empty request log."""
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
            self._numbers = itertools.count(1)

    # Jobs

    def add_jobs(self, specs: Iterable[JobSpec]) -> list[dict[str, Any]]:
        """Add jobs, all or none; return them with their ids, as they are now.

        :raises Refused: a product does not know such a job, or has one of the same id, type, workload,
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
        """Add jobs of history; return ``{"product", "generated", "newest_at", "oldest_at"}``."""
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
        """Change the given fields of one job; return it as it is now.

        :raises Refused: there is no one such job, or it cannot be so.
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

        :raises Refused: there is no one such job.
        """
        with self._lock:
            store = self._store(product)
            job = store.one_job(job_id)
            store.remove(job)
            return as_json(product, job, self._clock.now())

    def jobs(self, product: str, *, limit: int) -> dict[str, Any]:
        """Return ``{"total": int, "jobs": [...]}``: up to *limit* jobs, newest first."""
        with self._lock:
            store = self._store(product)
            now = self._clock.now()
            newest = [as_json(product, job, now) for job in itertools.islice(store.jobs, limit)]
            return {"total": len(store.jobs), "jobs": newest}

    # Settings

    def set_license(self, product: str, change: LicenseChange) -> dict[str, Any]:
        """Set licence figures; return those that are served now, by the vendor's names."""
        with self._lock:
            return self._store(product).set_license(change)

    def set_quirks(self, product: str, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Set quirks of one product, or of the whole server for product "all"; return all that hold now."""
        with self._lock:
            if product == ALL_PRODUCTS:
                self._latency_ms = GlobalQuirks.model_validate(dict(changes)).latency_ms
                return {"latency_ms": self._latency_ms}
            return self._store(product).change_quirks(changes)

    def set_clock(self, settings: ClockSettings) -> dict[str, Any]:
        """Set what *settings* name of the clock; return all."""
        with self._lock:
            if "ahead_seconds" in settings.model_fields_set:
                self._clock.ahead = settings.ahead_seconds
            if "date_header" in settings.model_fields_set:
                self._date_header = settings.date_header
            return {"ahead_seconds": self._clock.ahead, "date_header": self._date_header}

    def unix_time(self) -> float:
        """Return the server's time, in seconds since 1970."""
        with self._lock:
            return self._clock.unix_time()

    def date_header(self) -> str | None:
        """Return the ``Date`` header of an answer that is given now, None for no header."""
        with self._lock:
            if isinstance(self._date_header, float):
                return formatdate(self._clock.unix_time() + self._date_header, usegmt=True)
            return self._date_header

    def latency_seconds(self, product: str | None) -> float:
        """Return how much longer an answer takes, for a product's endpoint or another."""
        with self._lock:
            own = self._store(product).quirks.latency_ms if product else 0.0
            return (own + self._latency_ms) / 1000

    # Clients and tokens

    def set_client(self, client_id: str, spec: ClientSpec) -> dict[str, Any]:
        """Register or change a client; return it without its secret."""
        with self._lock:
            return self._identity.set_client(client_id, spec)

    def set_tokens(self, settings: TokenSettings) -> dict[str, Any]:
        """Set the lifetime of tokens to come."""
        with self._lock:
            self._identity.lifetime = settings.expires_in
            return {"expires_in": settings.expires_in}

    def expire_tokens(self) -> dict[str, Any]:
        """Make every issued token invalid now."""
        with self._lock:
            return {"expired": self._identity.expire_all()}

    def expire_token(self, token: str) -> None:
        """Make one token invalid now."""
        with self._lock:
            self._identity.expire(token)

    def issue_token(self, form: Mapping[str, str], *, token_url: str) -> dict[str, Any]:
        """Return the answer to a token request.

        :raises TokenRefused: as OAuth2 has it.
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
        """Return what a token stands for, None if it is unknown or has expired."""
        with self._lock:
            return self._identity.find(token)

    # Faults and request log

    def add_fault(self, fault: AnyFault) -> list[dict[str, Any]]:
        """Arm a fault; return all that are armed."""
        with self._lock:
            self._faults.arm(fault)
            return self._faults.as_json()

    def faults(self) -> list[dict[str, Any]]:
        """Return the armed faults, with what is left of them."""
        with self._lock:
            return self._faults.as_json()

    def clear_faults(self) -> None:
        """Disarm all faults."""
        with self._lock:
            self._faults.clear()

    def take_fault(self, path: str, query: Mapping[str, str]) -> AnyFault | None:
        """Return the fault that a request meets, None if it passes."""
        with self._lock:
            return self._faults.take(path, query)

    def open_entry(self, **request: Any) -> Entry:
        """Write a request into the request log."""
        with self._lock:
            return self._request_log.open(at=times.to_iso_full(self._clock.now()), **request)

    def close_entry(self, entry: Entry, status: int | None) -> None:
        """Write its answer into the request log."""
        with self._lock:
            self._request_log.close(entry, status)

    def requests(self, *, path: str | None = None, since: int = 0) -> list[dict[str, Any]]:
        """Return the request log from index *since* on, of paths that begin with *path*."""
        with self._lock:
            return self._request_log.requests(path=path, since=since)

    def stats(self) -> dict[str, Any]:
        """Return how often each path was answered how, and how many tokens each scope got."""
        with self._lock:
            return self._request_log.stats()

    # The vendor's pages

    def read_listing(
        self, product: str, asked: Asked, *, base_url: str, path: str, quirks: Mapping[str, Any]
    ) -> Served:
        """Return one page of a product's jobs.

        *base_url* and *path* are the request's, for links; *quirks* are the page's own, over the product's.

        :raises VendorError: a parameter is missing or wrong, or the customer in the path is unknown (404).
        """
        with self._lock:
            store = self._store(product)
            with store.other_quirks(quirks) if quirks else nullcontext():
                return store.read_listing(asked, base_url=base_url, path=path, numbers=self._numbers)

    def read_details(self, product: str, endpoint: Details, job_id: str, query: Mapping[str, str]) -> Served:
        """Return one job.

        :raises VendorError: a parameter is wrong, or there is no such job (404).
        """
        with self._lock:
            return self._store(product).read_details(endpoint, job_id, query)

    def read_license(self, product: str, endpoint: LicenseEndpoint, query: Mapping[str, str]) -> Served:
        """Return a product's licence figures.

        :raises VendorError: a parameter is wrong.
        """
        with self._lock:
            return self._store(product).read_license(endpoint, query)

    def read_subscriptions(
        self, product: str, endpoint: SubscriptionEndpoint, asked: Asked, *, base_url: str, path: str
    ) -> Served:
        """Return one page of a partner's customers with their subscriptions.

        :raises VendorError: a parameter is wrong.
        """
        with self._lock:
            return self._store(product).read_subscriptions(endpoint, asked, base_url=base_url, path=path)

    def _store(self, product: str) -> ProductStore:
        return self._stores[known(product, self._stores, "product", status=404)]

    def _build(self, store: ProductStore, fields: JobFields, job_id: str | None, now: int) -> Job:
        job = build_job(store.product, fields, job_id or "", now)
        return job if job_id else store.named(job, next(self._numbers))


def _generated_facts(store: ProductStore, spec: GenerateSpec) -> list[Facts]:
    """Return the facts of every combination, organisations changing fastest and states slowest."""
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
