"""What can go wrong, first split by whose fault it is.

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

A message says what happened, where, and what to do; the facts are attributes too.
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
    """Anything this provider raises on purpose."""


class AvePointConfigError(AvePointError):
    """An argument or a connection field cannot be used; nothing was sent."""


class AvePointAuthError(AvePointError):
    """The identity service refused the client id, secret or certificate, or the API refused a fresh token."""


class AvePointPermissionError(AvePointError):
    """The app registration lacks a permission; *permission* names it."""

    def __init__(self, message: str, *, permission: str | None = None) -> None:
        super().__init__(message)
        self.permission = permission


class AvePointRequestError(AvePointError):
    """The API refused the request.

    :param status: HTTP status, or the status a 200's body carries.
    :param code: the vendor's error code, where it sends one.
    :param field: the parameter the vendor names, where it names one.
    :param request_id: the vendor's request id, to quote to its support.
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
    """No job has this id, or none that the connection may see."""


class AvePointUnavailable(AvePointError):
    """No answer, a 5xx, or throttled for longer than we wait.

    :param status: the last HTTP status, or None where there was no answer.
    :param retry_after: seconds the service asked us to wait, where it did.
    """

    def __init__(self, message: str, *, status: int | None = None, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after


class AvePointPayloadError(AvePointError):
    """An answer that cannot be read: broken JSON, HTML, a missing key, a value of an undocumented form.

    :param is_web_page: True where it is HTML or XML: somebody else than the API has answered; else None.
    """

    def __init__(self, message: str, *, is_web_page: bool | None = None) -> None:
        super().__init__(message)
        self.is_web_page = is_web_page


class AvePointLedgerError(AvePointError):
    """The ledger's database failed; nothing of the step was written."""
