from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_avepoint.core import retry
from airflow_provider_avepoint.core.errors import (
    AvePointError,
    AvePointPayloadError,
    AvePointRequestError,
    AvePointUnavailable,
)
from airflow_provider_avepoint.core.flow import NoAnswer, Request, Response
from airflow_provider_avepoint.core.responses import explain_refusal, parse_answer, send_with_retries

from .flows import Answer, Driver, answer
from .tables import each_row

SECRET = "s3cr3t-t0k3n"  # made up
REQUEST = Request(
    method="GET",
    url="https://graph.example/jobs",
    query=(("pageSize", "10"),),
    headers={"Authorization": f"Bearer {SECRET}"},
    form={"client_secret": SECRET},
    json={"secret": SECRET},
)
SAMPLE_IDS = {
    "requestId": "0HNEVHLNSPSEJ:00000002",
    "traceId": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00",
}


def send(answers: list[Answer]) -> tuple[Driver, Any]:
    driver = Driver(answers)
    try:
        return driver, driver.run(send_with_retries(lambda: REQUEST))
    except AvePointError as e:
        return driver, e


def test_a_good_answer_is_taken_at_once() -> None:
    good = answer({"data": []})
    driver, outcome = send([good])
    assert (REQUEST, good) == outcome
    assert ([REQUEST], []) == (driver.sent, driver.pauses)


@each_row("status", [200, 204, 302, 400, 401, 403, 404, 418, 501])
def test_no_second_try_for_an_answer_that_stays(status: int) -> None:
    driver, outcome = send([answer(status=status)])
    assert status == outcome[1].status
    assert 1 == len(driver.sent)


@each_row(
    "fault", [NoAnswer("ConnectionError"), *(answer(status=s) for s in (408, 425, 429, 500, 502, 503, 504))]
)
def test_a_passing_fault_is_tried_again(fault: Answer) -> None:
    """Each wait is at least half, at most all of a back-off that doubles."""
    good = answer({})
    driver, outcome = send([fault, fault, fault, fault, good])
    assert good is outcome[1]
    for pause, backoff in zip(driver.pauses, (1, 2, 4, 8), strict=True):
        assert backoff / 2 <= pause <= backoff


PAGES = [b"<!DOCTYPE html>", b"\xef\xbb\xbf \r\n<html>", "<html>".encode("utf-16"), b"<?xml?>"]


@each_row("body", PAGES)
def test_a_web_page_is_tried_again_as_a_503_is(body: bytes) -> None:
    """A gateway sends it with 200 while the service is away, whatever it says the content type is."""
    page, good = answer(body=body, content_type="application/json"), answer({})
    driver, outcome = send([page, page, good])
    assert good is outcome[1]
    assert 2 == len(driver.pauses)

    driver, outcome = send([page] * retry.MAX_ATTEMPTS)
    assert retry.MAX_ATTEMPTS == len(driver.sent)
    with pytest.raises(AvePointPayloadError, match="is an address of AvePoint's API"):
        parse_answer(*outcome)


def test_given_up_after_all_tries() -> None:
    driver, error = send([answer(status=503)] * retry.MAX_ATTEMPTS)
    assert type(error) is AvePointUnavailable
    assert (503, None) == (error.status, error.retry_after)
    assert retry.MAX_ATTEMPTS == len(driver.sent)
    assert "GET https://graph.example/jobs answered 503; given up after 5 of 5 tries." in str(error)


def test_given_up_without_any_answer() -> None:
    _, error = send([answer(status=503)] * 4 + [NoAnswer("ReadTimeout")])
    assert (None, None) == (error.status, error.retry_after)
    assert "gave no answer (ReadTimeout)" in str(error)


def test_a_host_that_does_not_exist_is_asked_for_once_more() -> None:
    """Whoever has mistyped the host reads so at once, and not after all tries."""
    missing = NoAnswer("there is no host of the name graph.exampel", was_sent=False, is_no_host=True)
    driver, error = send([missing, missing])
    assert type(error) is AvePointUnavailable
    assert 2 == len(driver.sent)
    assert sum(driver.pauses) <= 1
    assert (
        "GET https://graph.example/jobs was not sent: there is no host of the name graph.exampel. "
        "Check the connection's identity_endpoint, and"
    ) in str(error)
    driver, outcome = send([missing, answer({})])
    assert 200 == outcome[1].status


def test_retry_after_is_honoured() -> None:
    driver, outcome = send([answer(status=429, retry_after="20"), answer({})])
    assert 200 == outcome[1].status
    assert 20 <= driver.pauses[0] <= 21


def test_asked_to_wait_for_too_long() -> None:
    """More than the longest wait is reported at once, with what was asked for."""
    driver, error = send([answer(status=429, retry_after="3600")])
    assert (429, 3600.0) == (error.status, error.retry_after)
    assert [] == driver.pauses
    assert "answered 429 and asked us to wait 3600 s; given up after 1 of 5 tries" in str(error)


def test_requests_are_built_anew_for_each_try() -> None:
    """A client assertion must not be sent twice."""
    built = iter([REQUEST, Request(method="GET", url="https://graph.example/second")])
    driver = Driver([NoAnswer("x"), answer({})])
    request, _ = driver.run(send_with_retries(lambda: next(built)))
    assert "https://graph.example/second" == request.url
    assert [REQUEST, request] == driver.sent


@each_row(
    "document",
    [
        {"statusCode": 200, "message": "", "data": []},
        {"statusCode": 0, "data": []},
        {"status": "Finished", "jobs": []},
        {"status": True, "jobs": []},
        {"error": None, "jobs": []},
        {"error": "", "jobs": []},
        {"errors": [], "statusCode": 200, "data": []},
        {"errors": None, "statusCode": 200, "data": []},
        {"errorModel": None, "jobs": []},
        {"errorModel": "", "jobs": []},
        {"errorModel": "3f2a 2024-12-02", "jobs": [{"jobId": "IB1"}]},
        *(
            {"status": status, "message": "Error?", "jobs": []}
            for status in ("Success", "OK", "200 OK", 200.0)
        ),
        *({"status": status, "jobs": []} for status in (0, None, "", "0")),
        *({"success": success, "data": []} for success in (True, "true", 1, "Yes", None)),
        *({"error": error, "errors": error, "jobs": []} for error in (False, "false", "None", 0, {})),
        [],
        [1],
        None,
        "text",
    ],
)
def test_a_good_answer_is_returned_as_it_is(document: object) -> None:
    assert document == parse_answer(REQUEST, answer(document))


REFUSAL = {"code": "InvalidParameter", "field": "pageSize", "message": "It is too large."}


@each_row(
    ("document", "facts", "text"),
    [
        pytest.param(
            {"statusCode": 400, "message": "Bad Request", "errors": [REFUSAL], **SAMPLE_IDS},
            ("InvalidParameter", "pageSize", SAMPLE_IDS["requestId"]),
            "It is too large.",
            id="Microsoft 365",
        ),
        pytest.param(
            {"statusCode": 400, "message": "Bad Request", "errors": REFUSAL, **SAMPLE_IDS},
            ("InvalidParameter", "pageSize", SAMPLE_IDS["requestId"]),
            "It is too large.",
            id="Salesforce: errors is one error",
        ),
        pytest.param(
            {"StatusCode": 400, "Message": "Bad Request", "Errors": [], "TraceId": "t"},
            (None, None, "t"),
            "Bad Request",
            id="no errors listed",
        ),
        pytest.param(
            {"statusCode": 400, "message": "Bad Request", "errors": ["odd"]},
            (None, None, None),
            "Bad Request",
            id="errors of another form",
        ),
        pytest.param({"status": 400, "message": "No."}, (None, None, None), "No.", id="Google"),
        pytest.param(
            {"traceId": "t", "error": "No.", "statusCode": 400}, (None, None, "t"), "No.", id="audit"
        ),
        pytest.param(
            {"requestId": 7, "date": "2024-12-02", "statusCode": 400},
            (None, None, "7"),
            "no message",
            id="date",
        ),
        pytest.param(
            {"error": {"code": 12, "message": "No."}}, ("12", None, None), "No.", id="error is an object"
        ),
        pytest.param(
            {"errors": [REFUSAL], "error": {"code": "x"}},
            (*list(REFUSAL.values())[:2], None),
            "It is too large.",
            id="both",
        ),
        pytest.param(
            {"message": 5, "error": 6, "requestId": ""}, (None, None, None), "no message", id="no text"
        ),
        pytest.param({"errorModel": "3f2a 2024-12-02"}, (None, None, None), "3f2a 2024-12-02", id="IaaS"),
        pytest.param(
            {"errorModel": {"code": 500, "message": "No."}}, ("500", None, None), "No.", id="IaaS, an object"
        ),
        pytest.param({}, (None, None, None), "no message", id="empty"),
    ],
)
def test_every_error_envelope_is_read(
    document: dict[str, Any], facts: tuple[str | None, ...], text: str
) -> None:
    error = explain_refusal(REQUEST, answer(document, status=400))
    assert type(error) is AvePointRequestError
    assert (400, *facts) == (error.status, error.code, error.field, error.request_id)
    assert f"GET https://graph.example/jobs was refused with 400: {text}" in str(error)
    for fact in facts:
        assert fact is None or fact in str(error)


@each_row(
    ("body", "words"),
    [
        (b" 3 jobs run\n", "3 jobs run"),
        (b'"3 jobs run"', '"3 jobs run"'),
        *((body, "no message") for body in (b"\xff\xff", b"<p>3 jobs run", b" ", b"{}")),
    ],
)
def test_a_plain_text_is_told(body: bytes, words: str) -> None:
    error = explain_refusal(REQUEST, answer(status=409, body=body))
    assert f"was refused with 409: {words}." in str(error)


@each_row(
    ("status", "kind"),
    [
        *((status, AvePointRequestError) for status in (201, 204, 400, 401, 403, 404, 409, 413, 418, 422)),
        *((status, AvePointUnavailable) for status in (408, 429, 500, 501, 503, 505, 599)),
        *((status, AvePointPayloadError) for status in (300, 301, 302, 303, 307, 308)),
    ],
)
def test_whose_fault_a_status_is(status: int, kind: type[AvePointError]) -> None:
    """The status decides; the body may be anything."""
    for body in (b"", b"<html>", b"[]", b'{"message": "No."}'):
        with pytest.raises(AvePointError) as caught:
            parse_answer(REQUEST, answer(status=status, body=body))
        assert kind is type(caught.value)
        assert str(status) in str(caught.value)
        if kind is not AvePointPayloadError:
            assert status == caught.value.status


@each_row(
    ("document", "kind", "status"),
    [
        ({"statusCode": 500, "message": "Oops", "data": None}, AvePointUnavailable, 500),
        ({"statusCode": 429, "message": "Slow down"}, AvePointUnavailable, 429),
        ({"statusCode": 400, "message": "No.", "data": []}, AvePointRequestError, 400),
        ({"StatusCode": 401, "message": "No."}, AvePointRequestError, 401),
        ({"status": 403, "message": "No.", "jobs": []}, AvePointRequestError, 403),
        ({"status": 200, "statusCode": 404}, AvePointRequestError, 404),
        ({"traceId": "t", "error": "Internal Server Error"}, AvePointUnavailable, 200),
        *(({"statusCode": each, "data": []}, AvePointUnavailable, 500) for each in (500.0, "500", "500.0")),
        ({"status": "404 Not Found", "jobs": []}, AvePointRequestError, 404),
        ({"statusCode": "BadRequest", "data": None}, AvePointRequestError, 400),
        *(
            ({"status": word, "jobs": []}, AvePointUnavailable, 200)
            for word in ("Error", "failed", False, -1)
        ),
        ({"statusCode": 200, "success": False, "data": None}, AvePointUnavailable, 200),
        *(({"success": each, "data": []}, AvePointUnavailable, 200) for each in ("false", 0, "False", "no")),
        *(({key: False, "data": []}, AvePointUnavailable, 200) for key in ("IsSuccess", "succeeded")),
        ({"hasErrors": True, "data": []}, AvePointUnavailable, 200),
        ({"error": {"code": "x", "message": "Oops"}, "data": []}, AvePointUnavailable, 200),
        ({"totalCount": 0, "jobs": None, "errorModel": "3f2a 2024-12-02 500"}, AvePointUnavailable, 200),
        ({"totalCount": 0, "jobs": [], "errorModel": {"code": "500"}}, AvePointUnavailable, 200),
        ({"ErrorModel": "3f2a 2024-12-02 500"}, AvePointUnavailable, 200),
    ],
)
def test_a_200_with_an_error_in_it(
    document: dict[str, Any], kind: type[AvePointError], status: int | None
) -> None:
    with pytest.raises(kind) as caught:
        parse_answer(REQUEST, answer(document))
    assert kind is type(caught.value)
    assert status == caught.value.status


@each_row("data", [None, []])
@each_row("errors", [[REFUSAL], REFUSAL])
def test_a_200_that_lists_errors_is_an_error(errors: object, data: object) -> None:
    """The envelope's ``errors`` stand in refusals only: beside empty rows they are no empty listing."""
    with pytest.raises(AvePointError):
        parse_answer(REQUEST, answer({"statusCode": 200, "message": "", "errors": errors, "data": data}))


@each_row(
    ("body", "content_type", "what"),
    [
        (b"<!DOCTYPE html><html></html>", "text/html; charset=utf-8", "28 bytes of text/html"),
        (b"", "application/json", "an empty body"),
        (b"  \n", "application/json", "an empty body"),
        (b'{"data": [', "application/json", "10 bytes of application/json"),
        (b"\xff\xfe\xfd", "application/json", "3 bytes of application/json"),
        (b"[" * 100_000, "application/json", "100000 bytes of application/json"),
    ],
)
def test_what_is_not_json_is_an_error(body: bytes, content_type: str, what: str) -> None:
    with pytest.raises(AvePointPayloadError) as caught:
        parse_answer(REQUEST, answer(body=body, content_type=content_type))
    assert f"answered 200 with {what} where JSON was expected" in str(caught.value)


def test_no_content_type() -> None:
    with pytest.raises(AvePointPayloadError, match="5 bytes of no content type"):
        parse_answer(REQUEST, Response(status=200, headers={}, body=b"Hello"))


LONG_AND_FORGED = "line one\r\n2026-11-22 INFO all is well\x1b[2K\x85" + "x" * 10_000


def echo(place: str, text: str) -> Response:
    """Return a server's answer that has *text* in one *place*."""
    match place:
        case "message":
            return answer({"message": text}, status=400)
        case "error":
            return answer({"error": text}, status=200)
        case "content-type":
            return answer(body=b"Hello", content_type=text.replace("\r\n", " "))
        case "location":
            return answer(status=302, location=text)
        case "body":
            return answer(status=404, body=text.encode())
        case "requestId":
            return answer({"requestId": text}, status=400)
        case _:
            return answer({"errors": [{place: text}]}, status=400)


PLACES = ("message", "error", "code", "field", "requestId", "content-type", "location", "body")


def collect(response: Response) -> AvePointError:
    with pytest.raises(AvePointError) as caught:
        parse_answer(REQUEST, response)
    return caught.value


@each_row("place", PLACES)
def test_a_message_is_one_bounded_line(place: str) -> None:
    """A server's text can neither flood a log nor forge a line of it."""
    message = str(collect(echo(place, LONG_AND_FORGED)))
    assert 1500 > len(message)
    assert message.isprintable()


@each_row("separator", ["\u2028", "\u2029", "\x85", "\x0b", "\x1c"])
def test_a_message_has_no_line_separator(separator: str) -> None:
    message = str(collect(echo("message", f"one{separator}two")))
    assert [message] == message.splitlines()


@each_row("place", PLACES)
def test_a_message_holds_no_token_that_the_server_echoes(place: str) -> None:
    """Neither the message nor a fact: both stand in logs, and facts in trigger events."""
    error = collect(echo(place, f"Bearer {SECRET} is not accepted"))
    assert SECRET not in str(error)
    assert SECRET not in repr(vars(error))


@each_row("shown", [repr, str])
def test_a_request_shows_neither_token_nor_secret(shown: Any) -> None:
    assert SECRET not in shown(REQUEST)


def test_a_response_does_not_show_its_body() -> None:
    assert SECRET not in repr(answer(body=json.dumps({"access_token": SECRET}).encode()))


def test_warnings_hold_no_secret(caplog: pytest.LogCaptureFixture) -> None:
    send([answer({"message": SECRET}, status=503), NoAnswer("ReadTimeout"), answer({})])
    assert 2 == len(caplog.records)
    assert SECRET not in caplog.text
