"""The errors a task ends with: each of ``core.errors`` as an ``AirflowException`` too, and the bad news.

``AirflowFailException`` where a retry cannot help (credentials, permissions, parameters, a bad end that
waiting cannot mend), retryable where it may. Catch them by the names of ``core.errors``: these are their
subclasses.
"""

from __future__ import annotations

from typing import Any

from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException

from airflow_provider_avepoint.core import errors

__all__ = [
    "AvePointAuthError",
    "AvePointBackupFailed",
    "AvePointBackupNotVerified",
    "AvePointConfigError",
    "AvePointJobFailed",
    "AvePointJobNotFound",
    "AvePointLedgerError",
    "AvePointLicenseBreach",
    "AvePointPayloadError",
    "AvePointPermissionError",
    "AvePointRequestError",
    "AvePointUnavailable",
    "to_airflow",
]


class AvePointConfigError(errors.AvePointConfigError, AirflowFailException):
    """An argument or a connection field cannot be used."""


class AvePointAuthError(errors.AvePointAuthError, AirflowFailException):
    """The credentials are refused."""


class AvePointPermissionError(errors.AvePointPermissionError, AirflowFailException):
    """The app registration lacks a permission."""


class AvePointRequestError(errors.AvePointRequestError, AirflowFailException):
    """The API refused a parameter."""


class AvePointJobNotFound(errors.AvePointJobNotFound, AvePointRequestError):
    """No job has this id."""


class AvePointUnavailable(errors.AvePointUnavailable, AirflowException):
    """The API is away; nothing is known about the backup."""


class AvePointPayloadError(errors.AvePointPayloadError, AirflowException):
    """An answer that cannot be understood; nothing is known about the backup."""


class AvePointLedgerError(errors.AvePointLedgerError, AirflowException):
    """The ledger's database failed; nothing of the step was written."""


class AvePointBackupNotVerified(errors.AvePointError, AirflowException):
    """The verdict is that the backup is not good; *verdict* is the evidence, as ``Verdict.as_dict()``."""

    def __init__(self, message: str, *, verdict: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.verdict = verdict


class AvePointBackupFailed(AvePointBackupNotVerified, AirflowFailException):
    """The verdict is bad for good: neither waiting nor a retry can mend it."""


class AvePointJobFailed(errors.AvePointError, AirflowFailException):
    """A job ended, and not well; *job* is it, as ``BackupJob.as_dict()``. A retry finds the same end."""

    def __init__(self, message: str, *, job: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.job = job


class AvePointLicenseBreach(errors.AvePointError, AirflowException):
    """More is used than bought, or nearly; *reasons* says which."""

    def __init__(self, message: str, *, reasons: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.reasons = reasons


_COUNTERPARTS: dict[type[errors.AvePointError], type[errors.AvePointError]] = {
    errors.AvePointConfigError: AvePointConfigError,
    errors.AvePointAuthError: AvePointAuthError,
    errors.AvePointPermissionError: AvePointPermissionError,
    errors.AvePointRequestError: AvePointRequestError,
    errors.AvePointJobNotFound: AvePointJobNotFound,
    errors.AvePointUnavailable: AvePointUnavailable,
    errors.AvePointPayloadError: AvePointPayloadError,
    errors.AvePointLedgerError: AvePointLedgerError,
}


def to_airflow(error: errors.AvePointError) -> errors.AvePointError:
    """Return *error* as its Airflow counterpart, with the same message and facts."""
    counterpart = _COUNTERPARTS.get(type(error))
    return error if counterpart is None else counterpart(str(error), **vars(error))
