"""The errors of this provider, grouped by their cause.

::

    AvePointError
    ├── AvePointConfigError        our caller: an argument or a connection field
    ├── AvePointAuthError          the identity service refuses the credentials
    ├── AvePointPermissionError    the credentials lack a permission
    ├── AvePointRequestError       the API refuses a parameter
    │   └── AvePointJobNotFound    no job has this id
    ├── AvePointUnavailable        the network or the service; trying again later may help
    ├── AvePointPayloadError       an answer that nobody documented
    └── AvePointLedgerError        the ledger's database; trying again later may help

A message says what happened, where, and what to do. The facts in it are attributes of the error too.
"""

from __future__ import annotations

__all__ = [
    "AvePointAuthError",
    "AvePointConfigError",
    "AvePointError",
    "AvePointJobNotFound",
    "AvePointLedgerError",
    "AvePointPayloadError",
    "AvePointPermissionError",
    "AvePointRequestError",
    "AvePointUnavailable",
]


class AvePointError(Exception):
    """The base class of all errors that this provider raises."""


class AvePointConfigError(AvePointError):
    """An argument or a connection field cannot be used; nothing was sent."""


class AvePointAuthError(AvePointError):
    """The identity service refused the client id, secret or certificate, or the API refused a fresh token."""


class AvePointPermissionError(AvePointError):
    """The app registration lacks a permission.

    :param message: what happened, and what to do.
    :param permission: the name of the missing permission; None if it is not known.
    """

    def __init__(self, message: str, *, permission: str | None = None) -> None:
        super().__init__(message)
        self.permission = permission


class AvePointRequestError(AvePointError):
    """The API refused the request.

    :param message: what happened, and what to do.
    :param status: the HTTP status, or the status in the body of an answer with HTTP status 200.
    :param code: the vendor's error code; None if the answer has none.
    :param field: the parameter that the answer names; None if it names none.
    :param request_id: the vendor's request id, for questions to the vendor's support.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        code: str | None = None,
        field: str | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.field = field
        self.request_id = request_id


class AvePointJobNotFound(AvePointRequestError):
    """No job that the connection may see has this id."""


class AvePointUnavailable(AvePointError):
    """The service gave no answer, answered with a 5xx status, or throttles for longer than we wait.

    :param message: what happened, and what to do.
    :param status: the last HTTP status; None if there was no answer.
    :param retry_after: the seconds that the service asked us to wait; None if it did not ask.
    """

    def __init__(self, message: str, *, status: int | None = None, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after


class AvePointPayloadError(AvePointError):
    """An answer cannot be read: broken JSON, HTML, a missing key, a value of an undocumented form.

    :param message: what happened, and what to do.
    :param is_web_page: True if the answer is HTML or XML, so that something other than the API answered;
        else None.
    """

    def __init__(self, message: str, *, is_web_page: bool | None = None) -> None:
        super().__init__(message)
        self.is_web_page = is_web_page


class AvePointLedgerError(AvePointError):
    """The database of the ledger failed. Nothing of the step was written."""
