"""The API's calls as flows: what is sent, in which order, and what the answers mean. Drivers run them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from airflow_provider_avepoint.core.auth import Credential, Token, TokenSource
from airflow_provider_avepoint.core.clock import ApiClock
from airflow_provider_avepoint.core.errors import (
    AvePointAuthError,
    AvePointConfigError,
    AvePointJobNotFound,
    AvePointPayloadError,
    AvePointPermissionError,
    AvePointRequestError,
)
from airflow_provider_avepoint.core.fields import get_path
from airflow_provider_avepoint.core.flow import Flow, Pairs, Request, Response
from airflow_provider_avepoint.core.model import BackupJob
from airflow_provider_avepoint.core.pages import Answer, read_rows
from airflow_provider_avepoint.core.paging import Habits, merge_parameters
from airflow_provider_avepoint.core.products.vocabulary import Product
from airflow_provider_avepoint.core.query import JobQuery
from airflow_provider_avepoint.core.responses import (
    Unanswered,
    parse_answer,
    parse_change,
    send_once,
    send_with_retries,
)
from airflow_provider_avepoint.core.rows import RowReader
from airflow_provider_avepoint.core.settings import Settings
from airflow_provider_avepoint.core.text import one_line


@dataclass(slots=True)
class Client:
    """One connection's view of the API, without I/O.

    :param settings: what the connection says.
    :param tokens: where the connection's tokens come from.
    :param clock: what is known of the API's clock.
    """

    settings: Settings
    tokens: TokenSource
    clock: ApiClock = field(default_factory=ApiClock)
    _habits: defaultdict[str, Habits] = field(default_factory=lambda: defaultdict(Habits))

    @classmethod
    def build(cls, settings: Settings, credential: Credential) -> Client:
        """Return a client that proves itself with *credential*.

        :param settings: what the connection says.
        :param credential: the client secret, or the certificate.
        """
        return cls(
            settings,
            TokenSource(
                token_url=settings.identity_endpoint,
                client_id=settings.client_id,
                credential=credential,
            ),
        )

    def get(
        self, path: str, query: Iterable[tuple[str, str]], permission: str, subject: str = ""
    ) -> Flow[Answer]:
        """Return what *path* answers, renewing the token once where it is refused.

        :param path: below the connection's address.
        :param query: the parameters.
        :param permission: what the token must allow.
        :param subject: the product, for metrics.
        :raises AvePointAuthError: a fresh token is refused too.
        :raises AvePointPermissionError: the app registration lacks *permission*.
        """
        url = self.settings.base_url + path
        return self._send(Request(method="GET", url=url, query=tuple(query), subject=subject), permission)

    def ask(self, query: JobQuery, now: datetime, paging: Pairs) -> Flow[Answer]:
        """Return one page of the answer to *query*.

        :param query: the listing; of what it asks, the filters that the product has are sent.
        :param now: fixes the window's end.
        :param paging: the parameters of the page.
        """
        product = query.product
        path = product.path.format(organization_id=quote(query.organization_id or "", safe=""))
        filters = query.parameters(now)
        if product.method == "GET":
            parameters = [(name, str(value)) for name, value in filters.items()]
            return self.get(path, merge_parameters(parameters, paging), product.permission, product.name)
        return self.post(path, paging, filters, product.permission, product.name)

    def post(
        self, path: str, query: Pairs, body: Mapping[str, Any], permission: str, subject: str
    ) -> Flow[Answer]:
        """Return what *path* answers to a JSON *body*, which is a question; see :meth:`get`.

        :param path: below the connection's address.
        :param query: the parameters.
        :param body: the JSON.
        :param permission: what the token must allow.
        :param subject: the product, for metrics.
        """
        request = Request(
            method="POST", url=self.settings.base_url + path, query=query, json=body, subject=subject
        )
        return self._send(request, permission)

    def change(
        self, path: str, query: Pairs, body: Mapping[str, Any], permission: str, subject: str
    ) -> Flow[Answer | Unanswered]:
        """Send a JSON *body* that changes something: once, whatever comes of it.

        Where this raises, nothing was changed. Only a 401 is sent again, once, with a fresh token: the server
        judges the token before it reads the body.

        :param path: below the connection's address.
        :param query: the parameters.
        :param body: the JSON.
        :param permission: what the token must allow.
        :param subject: the product, for metrics.
        :returns: the answer; an :class:`Unanswered` where the server may or may not have done it.
        :raises AvePointRequestError: the API refuses the request.
        :raises AvePointUnavailable: there was no connection, or no token.
        """
        request = Request(
            method="POST", url=self.settings.base_url + path, query=query, json=body, subject=subject
        )
        return self._send(request, permission, self._send_once_with)

    def _send(
        self,
        request: Request,
        permission: str,
        send_with: Callable[[Token, Request], Flow[Any]] | None = None,
    ) -> Flow[Any]:
        send_with = send_with or self._send_with
        token = yield from self.tokens.get(permission)
        try:
            return (yield from send_with(token, request))
        except AvePointRequestError as e:
            if e.status != 401:
                raise self._explain(e, permission) from None
        self.tokens.discard(permission, token)
        token = yield from self.tokens.get(permission)
        try:
            return (yield from send_with(token, request))
        except AvePointRequestError as e:
            raise self._explain(e, permission) from None

    def _send_once_with(self, token: Token, request: Request) -> Flow[Answer | Unanswered]:
        signed = _sign(request, token)
        sent_at = datetime.now(UTC)
        outcome = yield from send_once(signed)
        return self._read_change(signed, outcome, sent_at)

    def _read_change(
        self, request: Request, outcome: Response | Unanswered, sent_at: datetime
    ) -> Answer | Unanswered:
        if isinstance(outcome, Unanswered):
            return outcome
        self.clock.note(outcome.headers, sent_at, datetime.now(UTC))
        document = parse_change(request, outcome)
        return document if isinstance(document, Unanswered) else Answer(document, outcome.headers)

    def _send_with(self, token: Token, request: Request) -> Flow[Answer]:
        signed = _sign(request, token)
        sent_at = datetime.now(UTC)
        request, response = yield from send_with_retries(lambda: signed)
        self.clock.note(response.headers, sent_at, datetime.now(UTC))
        return Answer(parse_answer(request, response), response.headers)

    def _explain(self, error: AvePointRequestError, permission: str) -> Exception:
        if error.status == 401:
            return AvePointAuthError(
                f"{self.settings.base_url} refuses a fresh token for {permission}; check that the "
                "connection's host and environment belong to the tenant of the app registration. "
                f"({error})"
            )
        if error.status == 403:
            return AvePointPermissionError(
                f"The app registration {self.settings.client_id} lacks the permission {permission}; "
                f"add it in AvePoint Online Services > App registrations. ({error})",
                permission=permission,
            )
        return error

    def check_access(self, product: Product, now: datetime) -> Flow[None]:
        """Make one small authorised call to *product*: a page of one job of the last day.

        Where a list is of one customer, none is known here: then it is only asked for a token.

        :param product: the product.
        :param now: the time, which fixes the window.
        """
        if product.needs_organization:
            yield from self.tokens.get(product.permission)
            return
        query = JobQuery(product=product, started_after=now - timedelta(days=1))
        answer = yield from self.ask(query, now, ((product.paging.size, "1"),))
        read_rows(product, answer)

    def get_job(self, product: Product, job_id: str, location: str | None) -> Flow[BackupJob]:
        """Return one job from the product's endpoint for one job.

        :param product: the product.
        :param job_id: the vendor's id of the job.
        :param location: the Multi-Geo location; None for the central one.
        :raises AvePointJobNotFound: it knows none of this id.
        """
        endpoint = product.job
        if endpoint is None:
            raise AvePointConfigError(f"{product.label} has no endpoint for a single job.")
        path = endpoint.path.format(job_id=quote(job_id, safe=""))
        name = product.filters.location
        query = [(name, location)] if name and location else []
        try:
            answer = yield from self.get(path, query, product.permission, product.name)
        except AvePointRequestError as e:
            if e.status != 404:
                raise
            raise job_not_found(product, job_id) from None
        row = get_path(answer.document, endpoint.row)
        if row is None:
            raise job_not_found(product, job_id)
        job = RowReader(product).read(row, location=location)
        if job.job_id != job_id:
            raise AvePointPayloadError(
                f"{product.label} was asked for job {job_id} and answered with {one_line(job.job_id, 100)}."
            )
        return job

    def habits(self, product: Product) -> Habits:
        """Return what *product*'s server has shown of its paging.

        :param product: the product.
        """
        return self._habits[product.name]


def _sign(request: Request, token: Token) -> Request:
    headers = {"Authorization": f"Bearer {token.value}", "Accept": "application/json"}
    return replace(request, headers=headers)


def job_not_found(product: Product, job_id: str) -> AvePointJobNotFound:
    """Return the error for an id that no job has.

    :param product: the product.
    :param job_id: the vendor's id that was asked for.
    """
    return AvePointJobNotFound(
        f"{product.label} knows no job {job_id}; check the id, the location, and how far back to look "
        "(started_after).",
        status=404,
    )
