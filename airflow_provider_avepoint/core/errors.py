"""Say what can go wrong; the first split is whose fault the error is.

::

    AvePointError
    ├── AvePointConfigError        our caller: an argument or a connection field
    ├── AvePointAuthError          the identity service refuses the credentials
    ├── AvePointPermissionError    the credentials lack a permission
    ├── AvePointRequestError       the API refuses a parameter
    │   └── AvePointJobNotFound    no job has this id
    ├── AvePointUnavailable        the network or the service; trying again later may help
    ├── AvePointPayloadError       an answer that the documents do not describe
    ├── AvePointRestoreUncertain   a restore was asked for, and nobody knows whether it began
    └── AvePointLedgerError        the ledger's database; trying again later may help

A message says what happened, where, and what to do. The facts are attributes, too.
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
    "AvePointRestoreUncertain",
    "AvePointUnavailable",
]


class AvePointError(Exception):
    """Every error that this provider raises on purpose."""


class AvePointConfigError(AvePointError):
    """An argument or a connection field cannot be used; nothing was sent."""


class AvePointAuthError(AvePointError):
    """The identity service refused the client id, secret or certificate, or the API refused a fresh token."""


class AvePointPermissionError(AvePointError):
    """The app registration lacks a permission.

    :param message: what happened, where, and what to do.
    :param permission: the name of the missing permission; None where it is not known.
    """

    def __init__(self, message: str, *, permission: str | None = None) -> None:
        super().__init__(message)
        self.permission = permission


class AvePointRequestError(AvePointError):
    """The API refused the request.

    :param message: what happened, where, and what to do.
    :param status: the HTTP status, or the status in the body of a 200; None where there is none.
    :param code: the vendor's error code; None where the vendor sends none.
    :param field: the parameter that the vendor names; None where the vendor names none.
    :param request_id: the vendor's id of the request, to quote to its support.
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
    """No job has this id, or the connection may not see the job."""


class AvePointUnavailable(AvePointError):
    """The service did not answer, answered with a 5xx, or throttled us for longer than we wait.

    :param message: what happened, where, and what to do.
    :param status: the last HTTP status, or the status in the body of a 200; None where no answer came.
    :param retry_after: the seconds that the service asked us to wait; None where it did not.
    """

    def __init__(self, message: str, *, status: int | None = None, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after


class AvePointPayloadError(AvePointError):
    """An answer cannot be read: broken JSON, HTML, a missing key, a value in an undocumented form.

    :param message: what happened, where, and what to do.
    :param is_web_page: True where the answer is HTML or XML, so not the API's own; else None.
    :param problem: what is odd, in a few words, where an object of the answer is; else None.
    """

    def __init__(self, message: str, *, is_web_page: bool | None = None, problem: str | None = None) -> None:
        super().__init__(message)
        self.is_web_page = is_web_page
        self.problem = problem


class AvePointRestoreUncertain(AvePointError):
    """A restore was asked for, and nobody knows whether it began. It is not asked for again.

    :param message: what happened, where to look, and how to go on.
    :param sent_at: when the restore was asked for, in ISO 8601, by the API's clock.
    :param digest: the digest of the request that was sent.
    :param job_ids: the restore jobs that may be the one asked for.
    """

    def __init__(
        self,
        message: str,
        *,
        sent_at: str | None = None,
        digest: str | None = None,
        job_ids: tuple[str, ...] = (),
    ) -> None:
        super().__init__(message)
        self.sent_at = sent_at
        self.digest = digest
        self.job_ids = job_ids


class AvePointLedgerError(AvePointError):
    """The database of the ledger failed. Nothing of the step was written."""
