"""The faults that the control API arms: a server, or the network before it, does not answer well.

Each kind is one class: its fields are the fields of the control API, and its ``reply`` is the effect. Faults
are played in the order in which they were armed. A request is counted by the first armed fault whose path and
query it matches. The fault lets *skip* requests pass, then hits *count* requests (null: every request until
the faults are cleared), and is then removed.
"""

from __future__ import annotations

import asyncio
import json
import random
from abc import abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, JsonValue, TypeAdapter, field_validator
from starlette.responses import Response
from typing_extensions import override

from .control_schema import Message, Word
from .encoding import ABSENT, VendorError, encode, envelope, error_envelope
from .paging import parameter
from .quirks import Quirks

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

CLOSE_CONNECTION = "avepoint_simulator.close_connection"
"""The key of the connection's ``close`` in each request's ASGI scope; the server puts it there."""

DROPPED = 0
"""The status code of a response that is not sent, or not completely."""

_SPACES = b" " * 65_536
_LOGIN_PAGE = (
    "<!DOCTYPE html><html><head><title>Sign in</title></head><body>Sign in to continue.</body></html>"
)


class Answer(Response):
    """A JSON answer of the vendor.

    :param body: the JSON bytes; not sent with status 204.
    :param status: the HTTP status.
    :param payload_key: the key of the payload, in lower case, with dots between nested keys; "" if the whole
        body is the payload, None if there is no payload.
    """

    media_type = "application/json"

    def __init__(self, body: bytes, *, status: int = 200, payload_key: str | None = None) -> None:
        super().__init__(b"" if status == HTTPStatus.NO_CONTENT else body, status)
        self.payload_key = payload_key

    @classmethod
    def of(cls, content: Any, *, status: int = 200) -> Answer:
        """Return an answer without a payload.

        :param content: the value of the body, for JSON.
        :param status: the HTTP status.
        """
        return cls(encode(content).encode(), status=status)


class Unfinished(Response):
    """No answer, or the first half of one; then the connection is closed or held.

    :param cut_off: the answer whose first half is sent; None sends nothing.
    :param holds: whether the connection is held until the caller closes it.
    """

    def __init__(self, cut_off: Response | None = None, *, holds: bool = False) -> None:
        super().__init__(status_code=DROPPED)
        self._cut_off = cut_off
        self._holds = holds

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the half, close or hold the connection, and wait until the server has noticed its end."""
        if self._cut_off is not None:
            body = bytes(self._cut_off.body)
            await _start(send, self._cut_off)
            await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
        if not self._holds:
            scope[CLOSE_CONNECTION]()
        await _disconnected(receive)


class Dripping(Response):
    """An answer whose body is sent in pieces.

    :param whole: the complete answer.
    :param pieces: the number of pieces.
    :param seconds: the pause before each piece.
    """

    def __init__(self, whole: Response, *, pieces: int, seconds: float) -> None:
        super().__init__(status_code=whole.status_code)
        self._whole = whole
        self._pieces = pieces
        self._seconds = seconds

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the pieces until all are sent, or until the caller closes the connection."""
        await _start(send, self._whole)
        body = bytes(self._whole.body)
        gone = asyncio.ensure_future(_disconnected(receive))
        size = -(-len(body) // self._pieces) or 1
        for start in range(0, len(body), size):
            if (await asyncio.wait([gone], timeout=self._seconds))[0]:
                return
            is_last = start + size >= len(body)
            await send(
                {"type": "http.response.body", "body": body[start : start + size], "more_body": not is_last}
            )
        gone.cancel()


class Endless(Response):
    """An answer that never ends: after the body come spaces, which JSON allows, while the caller reads.

    :param whole: the complete answer.
    """

    def __init__(self, whole: Response) -> None:
        super().__init__(status_code=whole.status_code)
        self._whole = whole

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send spaces until the caller closes the connection."""
        del self._whole.headers["Content-Length"]
        await _start(send, self._whole)
        await send({"type": "http.response.body", "body": bytes(self._whole.body), "more_body": True})
        gone = asyncio.ensure_future(_disconnected(receive))
        while not (await asyncio.wait([gone], timeout=0))[0]:
            await send({"type": "http.response.body", "body": _SPACES, "more_body": True})


async def _start(send: Send, response: Response) -> None:
    await send(
        {"type": "http.response.start", "status": response.status_code, "headers": response.raw_headers}
    )


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request that meets a fault.

    :param proceed: answers the request well; takes quirks that hold for this answer only.
    :param expire_token: makes the request's token invalid.
    :param now: the server's Unix time, in seconds.
    """

    proceed: Callable[[Mapping[str, Any]], Awaitable[Response]]
    expire_token: Callable[[], None]
    now: float


class Fault(Message):
    """The fields of every kind of fault."""

    path: str = Field(default="/", description="Requests whose path begins so.")
    query: dict[str, Word] = Field(
        default_factory=dict, description="Of them, those that have all of these parameters in their query."
    )
    skip: int = Field(default=0, ge=0)
    count: int | None = Field(default=1, ge=1)

    def fits(self, path: str, query: Mapping[str, str]) -> bool:
        """Tell whether a request matches the fault's path and query.

        :param path: the request's path.
        :param query: the request's query parameters.
        """
        return path.startswith(self.path) and all(
            parameter(query, name) == value for name, value in self.query.items()
        )

    @abstractmethod
    async def reply(self, exchange: Exchange) -> Response:
        """Return the response that the caller gets.

        :param exchange: the request.
        """


class Status(Fault):
    """An HTTP status with a body: text or JSON as given; by default the vendor's error envelope."""

    kind: Literal["status"]
    status: int = Field(ge=200, le=599)
    body: JsonValue = None
    headers: dict[str, str] = Field(default_factory=dict)

    @override
    async def reply(self, exchange: Exchange) -> Response:
        if isinstance(self.body, str):
            return Response(self.body, self.status, self.headers)
        body = self.body
        if "body" not in self.model_fields_set:
            body = error_envelope(VendorError(self.status, _phrase(self.status)))
        response = Answer.of(body, status=self.status)
        response.headers.update(self.headers)
        return response


class RetryAfter(Fault):
    """A 429 (or *status*) with a Retry-After header, in seconds or as an HTTP date."""

    kind: Literal["retry_after"]
    status: int = Field(default=429, ge=400, le=599)
    seconds: int = Field(default=1, ge=0)
    form: Literal["seconds", "date"] = "seconds"

    @override
    async def reply(self, exchange: Exchange) -> Response:
        response = Answer.of(
            error_envelope(VendorError(self.status, _phrase(self.status))), status=self.status
        )
        is_date = self.form == "date"
        response.headers["Retry-After"] = (
            formatdate(exchange.now + self.seconds, usegmt=True) if is_date else str(self.seconds)
        )
        return response


_Where = Literal["before", "middle", "after"]


async def _cut_off(exchange: Exchange, where: _Where, *, holds: bool) -> Response:
    """Return an answer that does not come whole; the request is carried out unless *where* is "before"."""
    whole = None if where == "before" else await exchange.proceed({})
    return Unfinished(whole if where == "middle" else None, holds=holds)


class Drop(Fault):
    """The connection closes before the request is read, in the middle of the body, or after the deed.

    ``after``: the server has done what it was asked for, such as a restore, and the answer is lost.
    """

    kind: Literal["drop"]
    where: _Where = "before"

    @override
    async def reply(self, exchange: Exchange) -> Response:
        return await _cut_off(exchange, self.where, holds=False)


class Hang(Fault):
    """As :class:`Drop`, but the connection stays open until the caller closes it."""

    kind: Literal["hang"]
    where: _Where = "before"

    @override
    async def reply(self, exchange: Exchange) -> Response:
        return await _cut_off(exchange, self.where, holds=True)


class Drip(Fault):
    """A good answer whose body comes in *pieces*, with a pause of *seconds* before each."""

    kind: Literal["drip"]
    pieces: int = Field(default=10, ge=1)
    seconds: float = Field(ge=0)

    @override
    async def reply(self, exchange: Exchange) -> Response:
        return Dripping(await exchange.proceed({}), pieces=self.pieces, seconds=self.seconds)


class EndlessBody(Fault):
    """A body that does not end while the caller reads it."""

    kind: Literal["endless_body"]

    @override
    async def reply(self, exchange: Exchange) -> Response:
        return Endless(await exchange.proceed({}))


class BrokenJson(Fault):
    """The first half of the body, sent as if it were complete."""

    kind: Literal["broken_json"]

    @override
    async def reply(self, exchange: Exchange) -> Response:
        whole = await exchange.proceed({})
        body = bytes(whole.body)
        return Answer(body[: len(body) // 2], status=whole.status_code)


class Html(Fault):
    """A sign-in page, with status 200."""

    kind: Literal["html"]

    @override
    async def reply(self, exchange: Exchange) -> Response:
        return Response(_LOGIN_PAGE, media_type="text/html")


class ErrorBody(Fault):
    """A 200 that holds an error.

    Its forms are the older ``{"error", "traceId"}``, an envelope with ``statusCode`` 500, and an envelope
    with ``statusCode`` 200, ``success`` false and ``data`` null.
    """

    kind: Literal["error_body"]
    form: Literal["error", "status_code", "success"] = "error"
    message: str = "Internal Server Error"

    @override
    async def reply(self, exchange: Exchange) -> Response:
        if self.form == "success":
            return Answer.of({**envelope(message=self.message, data=None), "success": False})
        full = envelope(status=HTTPStatus.INTERNAL_SERVER_ERROR, message=self.message)
        return Answer.of(
            full if self.form == "status_code" else {"error": self.message, "traceId": full["traceId"]}
        )


class MissingRows(Fault):
    """A good answer without the key of its payload, or with the value *instead* under this key."""

    kind: Literal["missing_rows"]
    instead: JsonValue = None

    @override
    async def reply(self, exchange: Exchange) -> Response:
        return _change_payload(await exchange.proceed({}), self._change)

    def _change(self, _rows: Any) -> Any:
        return self.instead if "instead" in self.model_fields_set else ABSENT


class Rows(Fault):
    """A good answer in which each row is listed twice, or in which the rows are shuffled."""

    kind: Literal["rows"]
    form: Literal["twice", "shuffled"]

    @override
    async def reply(self, exchange: Exchange) -> Response:
        return _change_payload(await exchange.proceed({}), self._change)

    def _change(self, rows: Any) -> Any:
        if not isinstance(rows, list):
            return rows
        if self.form == "twice":
            return [row for row in rows for _ in range(2)]
        return random.Random(len(rows)).sample(rows, len(rows))  # noqa: S311 - the same order each time


class Fields(Fault):
    """A good answer whose JSON object has *extra* fields, over its own, and lacks the fields in *omit*."""

    kind: Literal["fields"]
    extra: dict[str, JsonValue] = Field(default_factory=dict)
    omit: tuple[str, ...] = ()

    @override
    async def reply(self, exchange: Exchange) -> Response:
        whole = await exchange.proceed({})
        body = {**json.loads(bytes(whole.body)), **self.extra}
        return Answer.of(
            {name: value for name, value in body.items() if name not in self.omit}, status=whole.status_code
        )


class Headers(Fault):
    """A good answer with these *headers* over its own."""

    kind: Literal["headers"]
    headers: dict[str, str]

    @override
    async def reply(self, exchange: Exchange) -> Response:
        whole = await exchange.proceed({})
        whole.headers.update(self.headers)
        return whole


class OddPage(Fault):
    """A page with other *quirks* than the other pages of its listing."""

    kind: Literal["quirks"]
    quirks: dict[str, Any]

    @field_validator("quirks")
    @classmethod
    def _are_quirks(cls, quirks: dict[str, Any]) -> dict[str, Any]:
        Quirks.model_validate(quirks)
        return quirks

    @override
    async def reply(self, exchange: Exchange) -> Response:
        return await exchange.proceed(self.quirks)


class ExpireToken(Fault):
    """The request's token becomes invalid: 401."""

    kind: Literal["expire_token"]

    @override
    async def reply(self, exchange: Exchange) -> Response:
        exchange.expire_token()
        return await exchange.proceed({})


class Redirect(Fault):
    """A 302 (or *status*) to *location*."""

    kind: Literal["redirect"]
    location: str
    status: int = Field(default=302, ge=300, le=399)

    @override
    async def reply(self, exchange: Exchange) -> Response:
        return Response(status_code=self.status, headers={"Location": self.location})


class Slow(Fault):
    """A good answer, *seconds* late."""

    kind: Literal["slow"]
    seconds: float = Field(ge=0)

    @override
    async def reply(self, exchange: Exchange) -> Response:
        await asyncio.sleep(self.seconds)
        return await exchange.proceed({})


class EmptyBody(Fault):
    """A 200 without a body."""

    kind: Literal["empty_body"]

    @override
    async def reply(self, exchange: Exchange) -> Response:
        return Answer(b"")


AnyFault = Annotated[
    Status
    | RetryAfter
    | Drop
    | Hang
    | Drip
    | EndlessBody
    | BrokenJson
    | Html
    | ErrorBody
    | MissingRows
    | Rows
    | Fields
    | Headers
    | OddPage
    | ExpireToken
    | Redirect
    | Slow
    | EmptyBody,
    Field(discriminator="kind"),
]
parse_fault = TypeAdapter[AnyFault](AnyFault).validate_python


@dataclass(slots=True)
class _Armed:
    fault: AnyFault
    skip_left: int
    count_left: int | None


class FaultQueue:
    """The armed faults."""

    def __init__(self) -> None:
        self._armed: list[_Armed] = []

    def arm(self, fault: AnyFault) -> None:
        """Add a fault after the others.

        :param fault: the fault.
        """
        self._armed.append(_Armed(fault, fault.skip, fault.count))

    def clear(self) -> None:
        """Disarm all faults."""
        self._armed.clear()

    def take(self, path: str, query: Mapping[str, str]) -> AnyFault | None:
        """Return the fault that hits a request; None if the request passes.

        :param path: the request's path.
        :param query: the request's query parameters.
        """
        armed = next((armed for armed in self._armed if armed.fault.fits(path, query)), None)
        if armed is None:
            return None
        if armed.skip_left:
            armed.skip_left -= 1
            return None
        if armed.count_left is not None:
            armed.count_left -= 1
            if armed.count_left == 0:
                self._armed.remove(armed)
        return armed.fault

    def as_json(self) -> list[dict[str, Any]]:
        """Return the armed faults in their order, with the remaining skip and count."""
        return [
            armed.fault.model_dump(exclude_unset=True)
            | {"path": armed.fault.path, "skip": armed.skip_left, "count": armed.count_left}
            for armed in self._armed
        ]


def _change_payload(whole: Response, change: Callable[[Any], Any]) -> Response:
    """Return *whole* with its payload changed, or without the payload where *change* returns ABSENT."""
    if not isinstance(whole, Answer) or whole.payload_key is None:
        return whole
    if not whole.payload_key:
        changed = change(json.loads(bytes(whole.body)))
        return Answer.of({} if changed is ABSENT else changed, status=whole.status_code)
    body = holder = json.loads(bytes(whole.body))
    *above, key = whole.payload_key.split(".")
    for name in above:
        holder = holder[name]
    for name in [name for name in holder if name.casefold() == key]:
        changed = change(holder.pop(name))
        if changed is not ABSENT:
            holder[name] = changed
    return Answer.of(body, status=whole.status_code)


def _phrase(status: int) -> str:
    return HTTPStatus(status).phrase if status in {known.value for known in HTTPStatus} else "Error"
