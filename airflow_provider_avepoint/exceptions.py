"""The errors a task ends with: each error of ``core.errors`` as an ``AirflowException``, and bad verdicts.

An error is an ``AirflowFailException`` where a retry cannot help (credentials, permissions, parameters, a bad
end that waiting cannot mend); otherwise Airflow may retry the task. Each class is a subclass of the class of
the same name in ``core.errors``, so catch it by that name.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
)

from airflow_provider_avepoint.core import errors

if TYPE_CHECKING:
    from types import TracebackType

    from airflow.providers.common.compat.sdk import BaseOperator

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
    "AvePointProtectionBreach",
    "AvePointRequestError",
    "AvePointRestoreUncertain",
    "AvePointSkipped",
    "AvePointUnavailable",
    "AvePointWaitTimeout",
    "for_airflow",
    "skip",
    "to_airflow",
]


_stack = BaseException.__dict__["__traceback__"]


class _WithoutStack(Exception):
    """An error whose message says all: what logs the error shows the message, and next to no stack.

    Airflow logs each error that ends a task with its stack: about ten frames, all of the way from Airflow to
    the operator. ``contextlib`` gives an error that leaves a context manager its stack back, and one of
    Airflow's context managers is around every task. At that moment this error drops the stack.
    """

    @property
    def __traceback__(self) -> TracebackType | None:
        stack: TracebackType | None = _stack.__get__(self)
        return stack

    @__traceback__.setter
    def __traceback__(self, _: TracebackType | None) -> None:
        _stack.__set__(self, None)


class AvePointConfigError(errors.AvePointConfigError, AirflowFailException):
    """An argument or a connection field cannot be used."""


class AvePointAuthError(_WithoutStack, errors.AvePointAuthError, AirflowFailException):
    """The credentials are refused."""


class AvePointPermissionError(_WithoutStack, errors.AvePointPermissionError, AirflowFailException):
    """The app registration lacks a permission."""


class AvePointRequestError(_WithoutStack, errors.AvePointRequestError, AirflowFailException):
    """The API refused a parameter."""


class AvePointJobNotFound(errors.AvePointJobNotFound, AvePointRequestError):
    """No job has this id."""


class AvePointUnavailable(_WithoutStack, errors.AvePointUnavailable, AirflowException):
    """The API does not answer; nothing is known about the backup."""


class AvePointPayloadError(errors.AvePointPayloadError, AirflowException):
    """The API's answer cannot be understood; nothing is known about the backup."""


class AvePointRestoreUncertain(errors.AvePointRestoreUncertain, AirflowFailException):
    """Nobody knows whether the restore began; a retry would not know either."""


class AvePointLedgerError(errors.AvePointLedgerError, AirflowException):
    """The ledger's database failed; this step wrote nothing."""


class AvePointBackupNotVerified(_WithoutStack, errors.AvePointError, AirflowException):
    """The verdict is that the backup is not good.

    :param message: the verdict in a sentence.
    :param verdict: the evidence, as ``Verdict.as_dict()``; None where there is none.
    """

    def __init__(self, message: str, *, verdict: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.verdict = verdict


class AvePointBackupFailed(AvePointBackupNotVerified, AirflowFailException):
    """The verdict is bad and final: neither waiting nor a retry can mend it."""


class AvePointJobFailed(_WithoutStack, errors.AvePointError, AirflowFailException):
    """A job ended badly; a retry would find the same end.

    :param message: the job's end in a sentence.
    :param job: the job, as ``BackupJob.as_dict()``; None where there is none.
    """

    def __init__(self, message: str, *, job: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.job = job


class AvePointLicenseBreach(_WithoutStack, errors.AvePointError, AirflowException):
    """More is used than purchased, or a limit is near.

    :param message: the findings, in sentences.
    :param reasons: the reasons, such as ``near_limit``; ``AvePointLicenseAuditOperator`` lists them.
    """

    def __init__(self, message: str, *, reasons: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.reasons = reasons


class AvePointProtectionBreach(_WithoutStack, errors.AvePointError, AirflowException):
    """A tenant lacks a part of the protection that it must have.

    :param message: the findings, in sentences.
    :param reasons: the reasons, such as ``not_scheduled``; ``AvePointProtectionAuditOperator`` lists them.
    """

    def __init__(self, message: str, *, reasons: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.reasons = reasons


class AvePointWaitTimeout(_WithoutStack, AirflowSensorTimeout):
    """A wait has reached its timeout; the message has the last verdict, or why nothing is known."""


class AvePointSkipped(AirflowSkipException):
    """A task is skipped. Airflow logs the first line of the message as one field; ``str`` has all of it.

    :param message: why.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message.partition("\n")[0])
        self.message = message

    def __str__(self) -> str:
        return self.message


def skip(task: BaseOperator, message: str) -> NoReturn:
    """Skip a task, and log all of the message where it has several lines.

    :param task: the task that ends.
    :param message: why.
    :raises AvePointSkipped: always.
    """
    if "\n" in message:
        task.log.warning("%s", message)
    raise AvePointSkipped(message)


_COUNTERPARTS: dict[type[errors.AvePointError], type[errors.AvePointError]] = {
    errors.AvePointConfigError: AvePointConfigError,
    errors.AvePointAuthError: AvePointAuthError,
    errors.AvePointPermissionError: AvePointPermissionError,
    errors.AvePointRequestError: AvePointRequestError,
    errors.AvePointJobNotFound: AvePointJobNotFound,
    errors.AvePointUnavailable: AvePointUnavailable,
    errors.AvePointPayloadError: AvePointPayloadError,
    errors.AvePointRestoreUncertain: AvePointRestoreUncertain,
    errors.AvePointLedgerError: AvePointLedgerError,
}


def to_airflow(error: errors.AvePointError) -> errors.AvePointError:
    """Return the Airflow counterpart of *error*, with the same message and facts.

    :param error: an error of ``core.errors``; an error without a counterpart is returned as it is.
    """
    counterpart = _COUNTERPARTS.get(type(error))
    return error if counterpart is None else counterpart(str(error), **vars(error))


@contextmanager
def for_airflow() -> Iterator[None]:
    """Raise our errors as Airflow's too, so that a task knows whether a retry can help."""
    try:
        yield
    except errors.AvePointError as e:
        counterpart = to_airflow(e)
        if counterpart is e:
            raise
        raise counterpart from None
