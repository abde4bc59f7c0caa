"""What every vendor answer is made of: JSON bytes, the M365 envelope, and refusals.

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
"""The value of a field that is left out of the JSON, which is not the same as null."""

encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode

_CONNECTION = "".join(secrets.choice("0123456789ABCDEFGHIJKLMNOPQRSTUV") for _ in range(13))
_request_numbers = itertools.count(1)


class VendorError(Exception):
    """The vendor's server refuses a request: HTTP *status*, and the parameter at fault where there is one."""

    def __init__(self, status: int, message: str, *, code: str = "", field: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.field = field


def invalid_parameter(field: str, message: str) -> VendorError:
    """Return the refusal of one query parameter: 400, with the parameter's documented name in it."""
    return VendorError(HTTPStatus.BAD_REQUEST, message, code="InvalidParameter", field=field)


def read_body(raw: bytes, content_type: str) -> dict[str, Any]:
    """Return the JSON object that a request carries, an empty one for no body.

    :raises VendorError: there is a body that is no JSON object (400), or that is not said to be JSON (415).
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
    """Return *fields* without those that are ABSENT."""
    return {name: value for name, value in fields.items() if value is not ABSENT}


def envelope(
    *,
    status: int = HTTPStatus.OK,
    message: str = "",
    errors: Any = ABSENT,
    data: Any = ABSENT,
    metadata: Any = ABSENT,
) -> dict[str, Any]:
    """Return the M365 envelope, in the order of the vendor's samples, with ids and time of its own."""
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
    """Return the envelope of a refusal: the status's name as message, the cause in ``errors``."""
    if not error.code:
        return envelope(status=error.status, message=error.message)
    cause = {"code": error.code, "field": error.field, "message": error.message}
    return envelope(status=error.status, message=HTTPStatus(error.status).phrase, errors=[cause])
