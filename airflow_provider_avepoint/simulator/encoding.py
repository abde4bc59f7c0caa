"""The common parts of every vendor answer: JSON bytes, the M365 envelope, and refusals.

The envelope: https://learn.avepoint.com/docs/services-and-features/m365/jobs/list-jobs.html (200) and
.../perform-restore-job.html (400, 429). The other products document no error body, so all use this one.
"""

from __future__ import annotations

import itertools
import json
import secrets
from collections.abc import Mapping
from enum import Enum
from http import HTTPStatus
from typing import Any, Final

from . import times


class _Absent(Enum):
    ABSENT = "absent"


ABSENT: Final = _Absent.ABSENT
"""The value of a field that the JSON leaves out; null is another value."""

encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode

_CONNECTION = "".join(secrets.choice("0123456789ABCDEFGHIJKLMNOPQRSTUV") for _ in range(13))
_request_numbers = itertools.count(1)


class VendorError(Exception):
    """The vendor's server refuses a request.

    :param status: the HTTP status.
    :param message: the error's text.
    :param code: the vendor's error code; empty for an error without a cause.
    :param field: the parameter that is wrong.
    """

    def __init__(self, status: int, message: str, *, code: str = "", field: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.field = field


def invalid_parameter(field: str, message: str) -> VendorError:
    """Return the error of a wrong query parameter, with status 400.

    :param field: the parameter's documented name.
    :param message: the error's text.
    """
    return VendorError(HTTPStatus.BAD_REQUEST, message, code="InvalidParameter", field=field)


def read_body(raw: bytes, content_type: str) -> dict[str, Any]:
    """Return the JSON object of a request's body, an empty one for no body.

    :param raw: the body.
    :param content_type: the request's Content-Type.
    :raises VendorError: the body is no JSON object (400), or its type is not JSON (415).
    """
    if not raw:
        return {}
    if content_type.partition(";")[0].strip().casefold() != "application/json":
        raise VendorError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Unsupported Media Type")
    try:
        body = json.loads(raw)
    except ValueError as error:
        raise invalid_parameter("$", f"The body is not JSON: {error}.") from error
    if not isinstance(body, dict):
        raise invalid_parameter("$", "The body must be a JSON object.")
    return body


def present(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields without those that are ABSENT.

    :param fields: values by name.
    """
    return {name: value for name, value in fields.items() if value is not ABSENT}


def envelope(
    *,
    status: int = HTTPStatus.OK,
    message: str = "",
    errors: Any = ABSENT,
    data: Any = ABSENT,
    metadata: Any = ABSENT,
) -> dict[str, Any]:
    """Return the M365 envelope, with its fields in the order of the vendor's samples and new ids and time.

    :param status: the status in the envelope.
    :param message: the message.
    :param errors: the list of causes, or ABSENT.
    :param data: the payload, or ABSENT.
    :param metadata: the metadata, or ABSENT.
    """
    return present(
        {
            "statusCode": int(status),
            "message": message,
            "errors": errors,
            "data": data,
            "requestId": f"{_CONNECTION}:{next(_request_numbers):08X}",
            "timestamp": times.to_iso_full(times.now()),
            "metadata": metadata,
            "traceId": f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-00",
        }
    )


def error_envelope(error: VendorError) -> dict[str, Any]:
    """Return the envelope of an error.

    An error with a code has the status's phrase as its message, and its cause in ``errors``.

    :param error: the error.
    """
    if not error.code:
        return envelope(status=error.status, message=error.message)
    cause = {"code": error.code, "field": error.field, "message": error.message}
    return envelope(status=error.status, message=HTTPStatus(error.status).phrase, errors=[cause])
