"""The vendor's endpoints over HTTP: identity at ``/connect/token``, and each product's endpoints.

Every request takes the same way: request log, latency, fault, bearer token, scope, handler.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from .encoding import VendorError, error_envelope, read_body
from .faults import DROPPED, Answer, Exchange, Unfinished
from .identity import TokenRefused
from .product_store import Asked, Served
from .products import PRODUCTS
from .products.base import Details, LicenseEndpoint, Product, Reading, RestoreEndpoint, SubscriptionEndpoint
from .request_log import Entry
from .state import State

TOKEN_PATH = "/connect/token"  # noqa: S105 - a path
_FORM = "application/x-www-form-urlencoded"
_ALL_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]

_Handler = Callable[[Request, Entry], Awaitable[Response]]
_Reader = Callable[[Request, Mapping[str, Any]], Served]


@dataclass(frozen=True, slots=True)
class _Endpoint:
    """One endpoint behind the request log, the latency and the faults."""

    state: State
    product: str | None
    handler: _Handler

    async def __call__(self, request: Request) -> Response:
        token = _bearer(request)
        grant = self.state.find_grant(token)
        entry = self.state.open_entry(
            method=request.method,
            path=request.url.path,
            query=dict(request.query_params),
            header_names=list(request.headers),
            user_agent=request.headers.get("user-agent", ""),
        )
        if grant is not None:
            entry.scope, entry.client_id = grant.scope, grant.client_id
        if request.method == "POST":
            try:
                await request.body()  # kept: who goes away before a late answer has asked all the same
            except ClientDisconnect:
                entry.note = "the caller left in the middle of the request"
                self.state.close_entry(entry, None)
                return Unfinished()
        if delay := self.state.latency_seconds(self.product):
            await asyncio.sleep(delay)

        async def proceed(quirks: Mapping[str, Any]) -> Response:
            request.state.quirks = quirks
            return self._dated(await self.handler(request, entry))

        fault = self.state.take_fault(request.url.path, request.query_params)
        if fault is None:
            response = await proceed({})
        else:
            entry.note = f"fault: {fault.kind}"
            response = self._dated(
                await fault.reply(
                    Exchange(proceed, lambda: self.state.expire_token(token), self.state.unix_time())
                )
            )
        self.state.close_entry(entry, None if response.status_code == DROPPED else response.status_code)
        return response

    def _dated(self, response: Response) -> Response:
        date = self.state.date_header()
        if date is not None:
            response.headers.setdefault("Date", date)
        return response


def vendor_routes(state: State) -> list[Route]:
    """Return the routes of all endpoints, and a last route that answers 404 to any other path.

    :param state: the simulator's state.
    """
    routes = [_route(state, TOKEN_PATH, None, _token_handler(state), ["POST"])]
    for product in PRODUCTS.values():
        routes += _product_routes(state, product)
    return [*routes, _route(state, "/{path:path}", None, _not_found, _ALL_METHODS)]


def _route(state: State, path: str, product: str | None, handler: _Handler, methods: list[str]) -> Route:
    return Route(path, _Endpoint(state, product, handler).__call__, methods=methods)


def _product_routes(state: State, product: Product) -> list[Route]:
    name = product.name

    def listing(request: Request, body: Mapping[str, Any]) -> Served:
        asked = Asked(request.query_params, body, request.path_params)
        return state.read_listing(
            name, asked, base_url=_base_url(request), path=request.url.path, quirks=request.state.quirks
        )

    def details(endpoint: Details, request: Request, _body: Mapping[str, Any]) -> Served:
        return state.read_details(name, endpoint, request.path_params["job_id"], request.query_params)

    def license_figures(endpoint: LicenseEndpoint, request: Request, _body: Mapping[str, Any]) -> Served:
        return state.read_license(name, endpoint, request.query_params)

    def subscriptions(endpoint: SubscriptionEndpoint, request: Request, body: Mapping[str, Any]) -> Served:
        asked = Asked(request.query_params, body)
        return state.read_subscriptions(
            name, endpoint, asked, base_url=_base_url(request), path=request.url.path
        )

    def reading(endpoint: Reading, request: Request, body: Mapping[str, Any]) -> Served:
        asked = Asked(request.query_params, body, request.path_params)
        return state.read_reading(name, endpoint, asked, base_url=_base_url(request), path=request.url.path)

    def restore(endpoint: RestoreEndpoint, request: Request, body: Mapping[str, Any]) -> Served:
        return state.start_restore(name, endpoint, Asked(request.query_params, body))

    endpoints: list[tuple[str, str, str, _Reader]] = [
        (product.list_path, product.scope, product.method, listing),
        *((each.path, each.scope, each.method, partial(reading, each)) for each in product.readings),
    ]
    if product.details is not None:
        endpoints.append((product.details.path, product.scope, "GET", partial(details, product.details)))
    others: tuple[tuple[Any, str, Callable[..., Served]], ...] = (
        (product.license, "GET", license_figures),
        (product.subscriptions, "POST", subscriptions),
        (product.restore, "POST", restore),
    )
    endpoints += [
        (endpoint.path, endpoint.scope, method, partial(read, endpoint))
        for endpoint, method, read in others
        if endpoint is not None
    ]
    return [
        _route(state, path, name, _page_handler(state, scope, read), [method])
        for path, scope, method, read in endpoints
    ]


def _page_handler(state: State, scope: str, read: _Reader) -> _Handler:
    async def handle(request: Request, entry: Entry) -> Response:
        grant = state.find_grant(_bearer(request))
        if grant is None:
            response = _refuse(VendorError(HTTPStatus.UNAUTHORIZED, "Unauthorized"))
            response.headers["WWW-Authenticate"] = "Bearer"
            return response
        if grant.scope != scope:
            return _refuse(
                VendorError(HTTPStatus.FORBIDDEN, f"The permission {scope} is required.", code="Forbidden")
            )
        try:
            raw = await request.body() if request.method == "POST" else b""
            body = entry.body = read_body(raw, request.headers.get("content-type", ""))
            served = read(request, body)
        except VendorError as error:
            return _refuse(error)
        response = Answer(served.body, payload_key=served.payload_key)
        response.headers.update(served.headers)
        return response

    return handle


def _token_handler(state: State) -> _Handler:
    async def handle(request: Request, entry: Entry) -> Response:
        try:
            if not request.headers.get("content-type", "").startswith(_FORM):
                raise TokenRefused("invalid_request", f"the body is not {_FORM}")
            form = dict(parse_qsl((await request.body()).decode("utf-8", "replace")))
            answer = state.issue_token(form, token_url=f"{_base_url(request)}{TOKEN_PATH}")
        except TokenRefused as refusal:
            entry.note = str(refusal)
            return Answer.of({"error": refusal.error}, status=HTTPStatus.BAD_REQUEST)
        response = Answer.of(answer)
        response.headers["Cache-Control"] = "no-store"
        return response

    return handle


async def _not_found(_request: Request, _entry: Entry) -> Response:
    return _refuse(VendorError(HTTPStatus.NOT_FOUND, "Not Found"))


def _refuse(error: VendorError) -> Answer:
    return Answer.of(error_envelope(error), status=error.status)


def _bearer(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.casefold() == "bearer" else ""


def _base_url(request: Request) -> str:
    return f"{request.url.scheme}://{request.url.netloc}"
