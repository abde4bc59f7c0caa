"""Send one request with retries, and turn a refusal into an error."""

from __future__ import annotations

import logging
import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any

from airflow_provider_avepoint.core import retry
from airflow_provider_avepoint.core.errors import (
    AvePointError,
    AvePointPayloadError,
    AvePointRequestError,
    AvePointUnavailable,
)
from airflow_provider_avepoint.core.fields import get_key, normalize_label, parse_digits, read_id
from airflow_provider_avepoint.core.flow import Flow, NoAnswer, Pause, Request, Response, Send

log = logging.getLogger(__name__)


def send_with_retries(build: Callable[[], Request]) -> Flow[tuple[Request, Response]]:
    """Send a request, and try again while the fault may pass.

    Use it only for requests that change nothing on the server. A web page with status 200 comes from a
    gateway in front of the service: that fault may pass too. After the last try, the page is returned.

    :param build: returns the request; called for each try.
    :returns: the request that was sent last, and its answer.
    :raises AvePointUnavailable: each try gave no answer or a transient status.
    """
    attempt = 0
    while True:
        attempt += 1
        request = build()
        response: Response | None = None
        retry_after: float | None = None
        try:
            response = yield Send(request)
        except NoAnswer as e:
            problem = f"gave no answer ({e})"
            if (
                e.is_no_host and attempt > 1
            ):  # a name server that has just started may know it the second time
                raise AvePointUnavailable(
                    f"{request} was not sent: {e}. Check the connection's {request.addressed_by}, and that "
                    "this machine's name server is the right one."
                ) from None
        else:
            is_page = response.status == 200 and response.is_web_page
            if not is_page and not retry.is_transient(response.status):
                return request, response
            retry_after = retry.parse_retry_after(response.headers)
            problem = f"answered {response.status}{' with a web page' if is_page else ''}"
            if retry_after is not None:
                problem += f" and asked us to wait {retry_after:.0f} s"
        delay = retry.next_delay(attempt, retry_after, random.random())  # noqa: S311  # spreads load, guards nothing
        if delay is None:
            if response is not None and response.status == 200:
                return request, response  # the reader of the body raises the error
            raise AvePointUnavailable(
                f"{request} {problem}; given up after {attempt} of {retry.MAX_ATTEMPTS} tries. "
                "Nothing is known about the backup; trying again later may help.",
                status=response.status if response else None,
                retry_after=retry_after,
            )
        log.warning("%s %s; trying again in %.1f s.", request, problem, delay)
        yield Pause(delay)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unanswered:
    """What is known of a request that changes something, where nobody knows whether the server did it.

    :param problem: what came instead of an answer, in a sentence.
    :param status: the HTTP status, or the status in the body of a 200; None where there is none.
    :param is_by_the_api: whether AvePoint's API itself has refused: the body repeats the HTTP status, names
        the request and holds no data. A gateway's body does not name the request.
    """

    problem: str
    status: int | None = None
    is_by_the_api: bool = False


def send_once(request: Request) -> Flow[Response | Unanswered]:
    """Send a request that changes something; never send it again.

    :param request: the request.
    :raises AvePointUnavailable: there was no connection, so the request was not sent.
    """
    try:
        response: Response = yield Send(request)
    except NoAnswer as e:
        if e.was_sent:
            return Unanswered(problem=f"{request} gave no answer ({e}).")
        raise AvePointUnavailable(
            f"{request} was not sent, because there was no connection ({e}); trying again later may help."
        ) from None
    return response


def parse_change(request: Request, response: Response) -> Any | Unanswered:
    """Return the JSON of a good answer to a request that changes something.

    :param request: the request, for messages.
    :param response: its answer; each status from 200 to 299 is good.
    :returns: the JSON; an :class:`Unanswered` where the answer does not say whether the server did it.
    :raises AvePointRequestError: the API refuses the request, so nothing was changed.
    """
    is_good = 200 <= response.status < 300
    try:
        return parse_answer(request, replace(response, status=200) if is_good else response)
    except AvePointError as e:
        status = getattr(e, "status", None)
        is_refusal = isinstance(e, AvePointRequestError) and retry.is_not_done(status)
        if is_refusal and not (is_good and status == 401):  # in a 200 it comes after the body was read
            raise
        return Unanswered(problem=str(e), status=status, is_by_the_api=_is_by_the_api(request, response))


def _is_by_the_api(request: Request, response: Response) -> bool:
    try:
        document = response.parse_json(request)
    except AvePointPayloadError:
        return False
    if not isinstance(document, Mapping) or _embedded_status(document) != response.status:
        return False
    if get_key(document, "data"):
        return False
    return any(read_id(get_key(document, name)) is not None for name in _REQUEST_IDS)


def parse_answer(request: Request, response: Response) -> Any:
    """Return the JSON of a good answer.

    :param request: the request, for messages.
    :param response: its answer.
    :raises AvePointRequestError: the API refuses the request, by its HTTP status or by an error in its body.
    :raises AvePointUnavailable: the service is at fault, by its HTTP status or by an error in its body.
    :raises AvePointPayloadError: the body is no JSON, or the answer is a redirect.
    """
    if response.status != 200:
        raise explain_refusal(request, response)
    document = response.parse_json(request)
    if isinstance(document, Mapping):
        status = _embedded_status(document)
        if status is not None and status >= 400:
            raise _explain(request, status, document)
        if _says_failed(document):
            raise _explain(request, None, document)
        # No sample shows an errorModel. Ignore it if the answer has rows.
        if get_key(document, "errorModel") and not any(
            isinstance(value, list) and value for value in document.values()
        ):
            raise _explain(request, None, document)
    return document


def explain_refusal(request: Request, response: Response) -> AvePointError:
    """Return the error for an answer with another status than 200.

    :param request: the request, for messages.
    :param response: its answer.
    :returns: an :class:`AvePointPayloadError` for a redirect, an :class:`AvePointUnavailable` if the service
        is at fault, else an :class:`AvePointRequestError`.
    """
    if 300 <= response.status < 400:
        return AvePointPayloadError(
            f"{request} answered {response.status}, a redirect, which is not followed: "
            "tokens and secrets go to the connection's own hosts only. Check the connection's "
            f"{request.addressed_by}."
        )
    try:
        document = response.parse_json(request)
    except AvePointPayloadError:
        document = None
    if isinstance(document, Mapping):
        return _explain(request, response.status, document)
    return _explain(request, response.status, {}, words=_read_words(response))


def _read_words(response: Response) -> str:
    """Return a body that is a plain text; empty for a web page, and for bytes that are no text."""
    try:
        return "" if response.is_web_page else response.body.decode().strip()
    except UnicodeDecodeError:
        return ""


def _explain(
    request: Request, status: int | None, document: Mapping[str, Any], *, words: str = ""
) -> AvePointError:
    """Turn any of the vendor's four documented error bodies, or the words of another, into one error."""
    first = get_key(document, "errors")
    if isinstance(first, list):
        first = first[0] if first else None
    detail: Mapping[str, Any] = first if isinstance(first, Mapping) else {}
    error = get_key(document, "error") or get_key(document, "errorModel")
    if isinstance(error, Mapping):
        detail = detail or error
    text = next(
        (
            value
            for value in (get_key(detail, "message"), get_key(document, "message"), error)
            if isinstance(value, str) and value
        ),
        words or "no message",
    )

    def word(holder: Mapping[str, Any], name: str) -> str | None:
        value = get_key(holder, name)
        return request.redact(value) if isinstance(value, (str, int)) and value != "" else None

    request_id = next(filter(None, (word(document, name) for name in _REQUEST_IDS)), None)
    field, code = word(detail, "field"), word(detail, "code")
    facts = ", ".join(
        f"{name} {value}"
        for name, value in (("code", code), ("field", field), ("request id", request_id))
        if value
    )
    message = f"{request} was refused with {status or 'an error'}: {request.redact(text)}"
    message += f" ({facts})." if facts else "."
    if status is None or retry.is_transient(status) or status >= 500:
        return AvePointUnavailable(
            f"{message} The service is at fault; trying again later may help.",
            status=200 if status is None else status,  # somebody has answered
        )
    if status not in (401, 403):  # for these the caller raises an error of its own
        where = f"the connection's {request.addressed_by}"
        message += f" Check the argument that it names, if it names one, or else {where}."
    return AvePointRequestError(message, status=status, code=code, field=field, request_id=request_id)


# The keys and words by which a body says that it is good or bad; words as ``normalize_label`` writes them.
# A word in no list means nothing: it may be a state, or free text.
_STATUSES = ("statusCode", "status")
_REQUEST_IDS = ("requestId", "traceId")
_SUCCESSES = ("success", "isSuccess", "succeeded", "isSucceeded", "isSuccessful")
_ERRORS = ("error", "errors", "hasError", "hasErrors", "isError")
_NO = frozenset({"false", "no", "n", "f", "0", "off"})
_NOTHING = _NO | {"", "null", "none", "nil", "n/a", "na", "ok", "success", "noerror", "noerrors"}
_BAD = ("error", "fail", "fault", "exception", "invalid", "denied", "unavailable", "timeout", "rejected")
_NAMED_STATUSES = {normalize_label(each.phrase): each.value for each in HTTPStatus if each >= 400}
_STATUS_TEXT = re.compile(r"\s*([0-9]{1,40})(?:\.0*)?(?:[\s:,-].*)?", re.DOTALL)


def _embedded_status(document: Mapping[str, Any]) -> int | None:
    """Return the HTTP status in a body, in ``statusCode`` or ``status``: a number, digits or a name."""
    found = [_read_status(get_key(document, name)) for name in _STATUSES]
    return max((status for status in found if status is not None), default=None)


def _read_status(value: object) -> int | None:
    if isinstance(value, str):
        number = _STATUS_TEXT.fullmatch(value[:1000])
        named = _NAMED_STATUSES.get(normalize_label(value[:100]))
        value = (parse_digits(number[1]) if number else None) or named
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value:  # noqa: PLR0124  # NaN
        return None
    return int(max(-1, min(value, 999)))  # a number of unlimited length would flood the log


def _says_failed(document: Mapping[str, Any]) -> bool:
    """Tell whether a body says by a word that the request failed: in its status, success or error keys."""
    if any(_is_bad(get_key(document, name)) for name in _STATUSES):
        return True
    if any(_is_no(get_key(document, name)) or _is_bad(get_key(document, name)) for name in _SUCCESSES):
        return True
    return any(_is_something(get_key(document, name)) for name in _ERRORS)


def _is_bad(value: object) -> bool:
    if isinstance(value, str):
        word = normalize_label(value[:100])
        return any(each in word for each in _BAD)
    # A status that is false or negative is bad too.
    return value is False or (isinstance(value, (int, float)) and value < 0)


def _is_no(value: object) -> bool:
    if isinstance(value, str):
        return normalize_label(value[:100]) in _NO
    return isinstance(value, (int, float)) and not value


def _is_something(value: object) -> bool:
    return normalize_label(value[:100]) not in _NOTHING if isinstance(value, str) else bool(value)
