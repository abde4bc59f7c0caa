"""Restore files and folders of Microsoft 365, as a drill: the request, its calls, and what a job came to.

https://learn.avepoint.com/graphapi/docs/services-and-features/m365/jobs/perform-restore-job.html

The page has no destination and no rule for files that exist: take a restore as one in place. The page has no
key by which the server would know a repeated request, so a request is sent once. Before that, an
:class:`Intent` is kept. After a crash or a lost answer, the intent says what to look for.

A row of a restore job shows neither its type nor what was restored. Its id and its start are all there is.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Protocol, Self
from urllib.parse import urlsplit

from airflow_provider_avepoint.core.arguments import parse_limit, parse_moment, parse_text, require_text
from airflow_provider_avepoint.core.client import Client, job_not_found
from airflow_provider_avepoint.core.errors import (
    AvePointConfigError,
    AvePointError,
    AvePointJobNotFound,
    AvePointPayloadError,
    AvePointRequestError,
    AvePointRestoreUncertain,
    AvePointUnavailable,
)
from airflow_provider_avepoint.core.fields import get_path, read_id, to_iso
from airflow_provider_avepoint.core.flow import Flow
from airflow_provider_avepoint.core.grading import may_be_since, pick_sighting
from airflow_provider_avepoint.core.listing import JobListing, read_all
from airflow_provider_avepoint.core.model import BackupJob
from airflow_provider_avepoint.core.products import PRODUCTS, get_product
from airflow_provider_avepoint.core.products.vocabulary import Product, RestoreEndpoint, RestoreService
from airflow_provider_avepoint.core.query import CLOCK_SKEW, JobQuery, choose_location
from airflow_provider_avepoint.core.refusals import is_rendered_none, refuse
from airflow_provider_avepoint.core.responses import Unanswered
from airflow_provider_avepoint.core.settings import Settings
from airflow_provider_avepoint.core.starts import find_start_range
from airflow_provider_avepoint.core.text import one_line, quoted, trim
from airflow_provider_avepoint.core.verdict import Reason, grade_job

#: The most paths of files and folders in one request.
MAX_PATHS = 20
#: How long a restore is looked for that may or may not have begun.
SEARCH_FOR = timedelta(minutes=10)
#: How long to wait before a restore is asked for again that the limit of running jobs has refused.
BUSY_PAUSE = timedelta(minutes=5)

_RESTORE = "restore"
# "There are already 3 restore/export jobs running, cannot start new restore job."
_BUSY = re.compile(r"\d+\s+restore(?:\s*/\s*export)?\s+jobs?\s.*\brunning\b", re.IGNORECASE)
# A job begins after it was asked for. Both times are the API's, whose machines may differ a little.
_BEFORE_SENT = timedelta(minutes=1)
# Characters that no name in SharePoint and OneDrive has: a path with one is a pattern, a drive or a mistake.
_FORBIDDEN = frozenset('"*:<>?|')
# The service restores no older backup: an older time is a "no time" of some program.
_EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
# A list of texts as Python or JSON writes it, in the place of one path.
_LIST_TEXT = re.compile(r"[\[(]\s*['\"].*['\"]\s*,?\s*[\])]", re.DOTALL)
_CONTROLS = ("Cc", "Cs", "Zl", "Zp")
# The vendor's ids have 18 to 26 characters.
_LONGEST_ID = 200
_UPN = re.compile(r"[^@\s/\\]+@[^@\s/\\]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreRequest:
    """What to restore: checked, nothing sent yet.

    :param product: the product's name.
    :param service: the service, such as ``sharepoint_online``.
    :param owner: the URL of the site, or the user principal name of the OneDrive's owner.
    :param library: the name of the document library.
    :param files: paths of files in the library.
    :param folders: paths of folders in the library.
    :param recovery_time: the latest backup before this instant is restored from.
    :param location: the Multi-Geo location; None for the central one.
    """

    product: str
    service: str
    owner: str
    library: str
    files: tuple[str, ...]
    folders: tuple[str, ...]
    recovery_time: datetime
    location: str | None

    @classmethod
    def parse(
        cls,
        *,
        service: object,
        site_url: object = None,
        onedrive_upn: object = None,
        library: object = None,
        files: object = None,
        folders: object = None,
        recovery_time: object = None,
        location: object = None,
        default_location: str | None = None,
        product: str = "m365",
        now: datetime | None = None,
    ) -> Self:
        """Check a caller's arguments.

        :param service: ``sharepoint_online``, ``onedrive``, ``microsoft_365_groups`` or ``teams``.
        :param site_url: the full URL of the site collection or subsite; not for ``onedrive``.
        :param onedrive_upn: the user principal name of the owner; for ``onedrive`` alone.
        :param library: the name of the document library.
        :param files: the path of a file in the library, or several.
        :param folders: the path of a folder in the library, or several.
        :param recovery_time: an aware datetime, or an ISO 8601 text with an offset; not in the future.
        :param location: the Multi-Geo location.
        :param default_location: the connection's own Multi-Geo location, where the caller names none.
        :param product: the product's name.
        :param now: the time, aware; None takes this machine's clock.
        :raises AvePointConfigError: an argument cannot be used; the message names it and what would do.
        """
        known = get_product(product)
        word = require_text("service", service)
        services = _endpoint_of(known).services
        if word not in services:
            raise refuse("service", word, f"cannot be restored; known are {', '.join(services)}.")
        chosen = _parse_paths("files", files), _parse_paths("folders", folders)
        _check_paths(*chosen)
        moment = parse_moment("recovery_time", recovery_time)
        if moment is None:
            raise refuse(
                "recovery_time", recovery_time, "is no time; write 2026-11-22T05:00:00Z or the like."
            )
        request = cls(
            product=known.name,
            service=word,
            owner=_parse_owner(word, services[word], site_url=site_url, onedrive_upn=onedrive_upn),
            library=require_text("library", library),
            files=chosen[0],
            folders=chosen[1],
            recovery_time=moment.replace(microsecond=0),
            location=choose_location(known, location, default_location),
        )
        request.check_time(now or datetime.now(UTC))
        return request

    def check_time(self, now: datetime) -> None:
        """Refuse a recovery time in the future, and one before there were cloud backups.

        :param now: the time, aware.
        :raises AvePointConfigError: the recovery time is later than *now*, or before the year 2000.
        """
        if self.recovery_time < _EARLIEST:
            raise AvePointConfigError(
                f"recovery_time: {to_iso(self.recovery_time)} is before the year 2000: no backup is so old."
            )
        if self.recovery_time > now:
            raise AvePointConfigError(
                f"recovery_time: {to_iso(self.recovery_time)} is in the future: it is {to_iso(now)} now."
            )

    @property
    def digest(self) -> str:
        """A digest of all that the server is asked for; the order of paths does not matter."""
        asked = self.as_dict() | {"files": sorted(self.files), "folders": sorted(self.folders)}
        return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()

    @property
    def body(self) -> dict[str, Any]:
        """The JSON body of the request, in the vendor's words."""
        service = _endpoint_of(PRODUCTS[self.product]).services[self.service]
        target: dict[str, Any] = {"libraryName": self.library}
        for name, paths in (("folders", self.folders), ("files", self.files)):
            if paths:  # the page says that neither may be empty
                target[name] = [{"relativePath": path} for path in paths]
        return {
            "serviceType": service.number,
            "recoveryDateTime": to_iso(self.recovery_time),
            service.scope: {service.owner: self.owner, "restoreTargets": [target]},
        }

    def as_dict(self) -> dict[str, Any]:
        """Return every field, ready for JSON."""
        return {
            "product": self.product,
            "service": self.service,
            "owner": self.owner,
            "library": self.library,
            "files": list(self.files),
            "folders": list(self.folders),
            "recovery_time": to_iso(self.recovery_time),
            "location": self.location,
        }

    @classmethod
    def read(cls, written: Mapping[str, Any]) -> Self:
        """Return a request that was written; see :meth:`as_dict`.

        :param written: the fields.
        """
        return cls(
            **{name: written[name] for name in ("product", "service", "owner", "library", "location")},
            files=tuple(written["files"]),
            folders=tuple(written["folders"]),
            recovery_time=datetime.fromisoformat(written["recovery_time"]),
        )


def _endpoint_of(product: Product) -> RestoreEndpoint:
    if product.restore is None:
        able = ", ".join(name for name, each in PRODUCTS.items() if each.restore is not None)
        raise AvePointConfigError(f"product: {product.label} cannot start a restore; {able} can.")
    return product.restore


def _parse_owner(word: str, service: RestoreService, **given: object) -> str:
    """Return the site or the user that the service needs; refuse the argument that it does not take."""
    needed = service.argument
    for name, value in given.items():
        if name != needed and parse_text(name, value) is not None:
            raise AvePointConfigError(f"{name}: {word} is restored by {needed}; leave {name} out.")
    owner = require_text(needed, given[needed])
    if needed == "onedrive_upn":
        if not _UPN.fullmatch(owner):
            raise refuse(needed, owner, "is not a user principal name; write for example ada@contoso.com.")
        return owner
    try:
        parts = urlsplit(owner)
        is_whole = parts.scheme == "https" and bool(parts.hostname) and "@" not in parts.netloc
    except ValueError:
        is_whole = False
        parts = urlsplit("")
    if not is_whole or parts.query or parts.fragment or any(each.isspace() for each in owner):
        # Not shown: such a text may hold a password or a sharing link.
        raise AvePointConfigError(
            f"{needed} is not the full URL of a site, without user, ? and #; write "
            "https://contoso.sharepoint.com/sites/canary or the like."
        )
    return owner.rstrip("/")


def _parse_paths(name: str, value: object) -> tuple[str, ...]:
    """Return paths as given, each once. A text is one path, or a JSON array of paths."""
    if value is None:
        return ()
    items: object = value
    if isinstance(value, str):
        items = [value]
        if trim(value).startswith("["):  # a file's own name may begin so: then it has to stand in a list
            try:
                items = json.loads(trim(value))
            except (ValueError, RecursionError):
                items = None
            if not isinstance(items, list):
                raise refuse(name, value, "is neither a JSON array of paths nor, in a list, one path.")
    if isinstance(items, (str, bytes, bytearray, Mapping)) or not isinstance(items, Iterable):
        raise refuse(name, value, "is neither a path nor a list of paths.")
    paths: dict[str, str] = {}
    for item in items:
        path = _parse_path(name, item)
        paths.setdefault(_fold(path), path)
    if not paths:
        raise AvePointConfigError(f"{name} is an empty list; leave it out, or name what to restore.")
    return tuple(paths.values())


def _parse_path(name: str, item: object) -> str:
    if isinstance(item, int) and not isinstance(item, bool):
        item = str(item)  # a folder of a year, from a template
    if not isinstance(item, str):
        raise refuse(name, item, "is not a path.")
    path = trim(item)
    if is_rendered_none(path):
        raise refuse(name, item, "is an empty path.")
    if _LIST_TEXT.fullmatch(path):
        raise refuse(name, item, "is a list in the place of one path; write {{ … | tojson }} for all.")
    if "\\" in path:
        raise refuse(name, item, "has a backslash; write the path with /.")
    if path.startswith("/"):
        raise refuse(name, item, "begins with a slash; a path begins in the library.")
    if any(unicodedata.category(each) in _CONTROLS for each in path):  # a joiner, as in Persian, may stand
        raise refuse(name, item, "has a control character or half a character.")
    _check_names(name, item, path)
    return path


def _check_names(name: str, item: object, path: str) -> None:
    """Refuse names that nothing in SharePoint and OneDrive has."""
    parts = path.split("/")
    if any(not part.strip(" .") for part in parts):
        raise refuse(name, item, "has an empty part, or one of dots; write it like reports/2026/plan.xlsx.")
    if any(part != part.strip() or part.endswith(".") for part in parts):
        raise refuse(
            name, item, "has a part with a space at an end, or a dot at its end: SharePoint has none."
        )
    if forbidden := sorted(_FORBIDDEN.intersection(path)):
        raise refuse(name, item, f"has {' '.join(forbidden)}, which no name in SharePoint has.")


def _check_paths(files: tuple[str, ...], folders: tuple[str, ...]) -> None:
    """Refuse no path, too many, and one that lies in another."""
    count = len(files) + len(folders)
    if not count:
        raise AvePointConfigError("files and folders are both missing; name what to restore.")
    if count > MAX_PATHS:
        raise AvePointConfigError(
            f"files and folders name {count} paths together; one restore takes at most {MAX_PATHS}."
        )
    seen: dict[str, str] = {}
    for path in (*files, *folders):
        if other := seen.get(_fold(path)):
            raise AvePointConfigError(f"files and folders both name {quoted(other)}; name it once.")
        seen[_fold(path)] = path
    for path in (*files, *folders):
        parts = _fold(path).split("/")
        for end in range(1, len(parts)):
            if parent := seen.get("/".join(parts[:end])):
                raise AvePointConfigError(
                    f"files or folders name {quoted(path)} and {quoted(parent)}, which holds it; one restore "
                    "takes no parent beside a child."
                )


def _fold(path: str) -> str:
    """Return a path for comparison: SharePoint takes names that differ in case alone for one."""
    return unicodedata.normalize("NFC", path).casefold()


# How far the task has come


class Phase(StrEnum):
    """How far an intent has come."""

    #: The request may have been sent. It is not sent again.
    SENDING = "sending"
    #: Nothing was started: the server has refused, or there was no connection. It may be sent again.
    REFUSED = "refused"
    #: The restore has begun; its job is known.
    STARTED = "started"


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """What is kept of a restore before it is asked for, and until its end. All times are the API's.

    :param digest: the digest of the request.
    :param account: whom the request goes to, and in whose name: see :func:`name_account`.
    :param nonce: a random text that tells this attempt from another one.
    :param sent_at: when the request was about to be sent.
    :param answered_at: when it was known that no answer comes; None where nobody was there to see.
    :param known_ids: the restore jobs that there were before.
    :param phase: how far the attempt has come.
    :param job_id: the job, where it is known.
    :param was_adopted: the job was found by a search, and not named by the answer.
    :param doubt: what came instead of an answer.
    """

    digest: str
    account: str
    nonce: str
    sent_at: datetime
    answered_at: datetime | None = None
    known_ids: tuple[str, ...] = ()
    phase: Phase = Phase.SENDING
    job_id: str | None = None
    was_adopted: bool = False
    doubt: str | None = None

    @property
    def earliest(self) -> datetime:
        """The earliest start of a job that may be the one asked for."""
        return self.sent_at - CLOCK_SKEW

    @property
    def search_ends_at(self) -> datetime:
        """Until when the job is looked for, and the latest start that it may have."""
        return (self.answered_at or self.sent_at) + SEARCH_FOR

    def as_dict(self) -> dict[str, Any]:
        """Return every field, ready for JSON."""
        return {
            "digest": self.digest,
            "account": self.account,
            "nonce": self.nonce,
            "sent_at": self.sent_at.isoformat(),
            "answered_at": None if self.answered_at is None else self.answered_at.isoformat(),
            "known_ids": list(self.known_ids),
            "phase": self.phase.value,
            "job_id": self.job_id,
            "was_adopted": self.was_adopted,
            "doubt": self.doubt,
        }

    @classmethod
    def read(cls, kept: object) -> Self:
        """Return an intent that was kept; see :meth:`as_dict`.

        :param kept: what was kept.
        :raises AvePointRestoreUncertain: it is not understood: then a restore may have been asked for.
        """
        try:
            assert isinstance(kept, Mapping)  # noqa: S101  # caught below
            values = {each.name: kept[each.name] for each in fields(cls) if each.name in kept}
            answered_at = values.get("answered_at")
            return cls(
                **values
                | {
                    "digest": str(values["digest"]),
                    "account": str(values["account"]),
                    "nonce": str(values["nonce"]),
                    "sent_at": datetime.fromisoformat(values["sent_at"]).astimezone(UTC),
                    "answered_at": None
                    if answered_at is None
                    else datetime.fromisoformat(answered_at).astimezone(UTC),
                    "known_ids": tuple(map(str, values.get("known_ids", ()))),
                    "phase": Phase(values["phase"]),
                }
            )
        except (AssertionError, KeyError, TypeError, ValueError):
            raise AvePointRestoreUncertain(
                "What this task has kept of its restore is not understood, so a restore may have been asked "
                f"for. {_HOW_TO_GO_ON}"
            ) from None


def name_account(settings: Settings) -> str:
    """Return whom a request goes to, and in whose name; a job of another account is another restore's.

    :param settings: what the connection says.
    """
    return f"{settings.base_url} {settings.client_id}"


class IntentStore(Protocol):
    """Where the intent of one task of one run is kept, beyond the process and the try."""

    def load(self) -> object:
        """Return what was kept last, as :meth:`save` got it; None where nothing was."""

    def save(self, kept: dict[str, Any]) -> None:
        """Keep a JSON object in place of the one before. Return when it would survive a crash.

        :param kept: the object.
        """


_HOW_TO_GO_ON = (
    "Look in AvePoint's job monitor for a restore job that began then, and at the files. If there is one, "
    "clear this task: it looks for the job again, and never restores twice. If there is none, start a new "
    "run of the DAG, which restores anew."
)


def describe_uncertainty(intent: Intent, candidates: Iterable[str] = ()) -> AvePointRestoreUncertain:
    """Return the error for a restore of which nobody knows whether it began.

    :param intent: what was kept.
    :param candidates: the ids of restore jobs of which each may be the one.
    """
    ids = tuple(candidates)
    found = (
        f"{len(ids)} restore jobs have begun since, and no row says which one is this task's: "
        f"{', '.join(one_line(each, 100) for each in ids)}."
        if ids
        else f"no restore job that began since then was listed up to {to_iso(intent.search_ends_at)}."
    )
    why = f" ({intent.doubt.rstrip('.')})" if intent.doubt else ""
    return AvePointRestoreUncertain(
        f"A restore was asked for at {to_iso(intent.sent_at)}, and its answer is not known{why}; {found} It "
        f"is not asked for again. {_HOW_TO_GO_ON}",
        sent_at=intent.sent_at.isoformat(),
        digest=intent.digest,
        job_ids=ids,
    )


# The calls


class ReplyKind(StrEnum):
    """What came of asking for a restore."""

    STARTED = "started"
    #: The limit of running restores and exports: nothing was started, and asking again later is safe.
    BUSY = "busy"
    #: Nothing was started, and the error says why.
    REFUSED = "refused"
    #: Nobody knows.
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came of asking for a restore.

    :param kind: whether it began.
    :param message: what came, in a sentence.
    :param job_id: the new job.
    :param error: why nothing was started.
    """

    kind: ReplyKind
    message: str = ""
    job_id: str | None = None
    error: AvePointError | None = None


def prepare_restore(client: Client, request: RestoreRequest) -> Flow[tuple[datetime, tuple[str, ...]]]:
    """Find out what must be known before a restore is asked for; nothing is changed.

    So a missing permission, to restore or to follow the job, is told before anything is sent.

    :param client: the connection.
    :param request: the request.
    :returns: the time by the API's clock, and the ids of the restore jobs of the last minutes.
    :raises AvePointConfigError: the connection does not allow a restore, or the time lies in the future.
    """
    endpoint = _require_allowed(client, request)
    yield from client.tokens.get(endpoint.permission)
    since = client.clock.now() - CLOCK_SKEW
    before = yield from list_restores(client, request.product, since, request.location)
    now = client.clock.now()
    if now - CLOCK_SKEW < since:  # this machine's clock is ahead
        before = yield from list_restores(client, request.product, now - CLOCK_SKEW, request.location)
    request.check_time(now)
    return now, tuple(sorted({job.job_id for job in before}))


def start_restore(client: Client, request: RestoreRequest, known_ids: Iterable[str] = ()) -> Flow[Reply]:
    """Ask for a restore, once. Where an error escapes, nobody knows whether it began.

    Two answers may be asked again, because they are given before anything is done: a 401, which judges the
    token (the flow itself asks once more), and the documented 429 of the limit of running jobs (the caller
    waits): by its words, or in any words by the form of AvePoint's own answers. Any other 429 may come from a
    gateway behind which the request went on. A 409 is not documented: the restore may be under way already.

    :param client: the connection.
    :param request: the request.
    :param known_ids: the restore jobs that there were before.
    """
    try:
        endpoint = _require_allowed(client, request)
        query = ((endpoint.location, request.location),) if request.location else ()
        answer = yield from client.change(
            endpoint.path, query, request.body, endpoint.permission, request.product
        )
    except AvePointError as e:
        return Reply(kind=ReplyKind.REFUSED, message=str(e), error=e)
    if isinstance(answer, Unanswered):
        is_told = answer.is_by_the_api or _BUSY.search(answer.problem) is not None
        kind = ReplyKind.BUSY if answer.status == 429 and is_told else ReplyKind.UNKNOWN
        return Reply(kind=kind, message=answer.problem)
    job_id = trim(read_id(get_path(answer.document, endpoint.job_id)) or "")
    if not job_id.strip("0-") or len(job_id) > _LONGEST_ID or job_id in known_ids:
        problem = "a job of before" if job_id in known_ids else "no id of a job"
        return Reply(kind=ReplyKind.UNKNOWN, message=f"The answer names {problem}.")
    return Reply(kind=ReplyKind.STARTED, job_id=job_id)


def _require_allowed(client: Client, request: RestoreRequest) -> RestoreEndpoint:
    if not client.settings.allow_restore:
        raise AvePointConfigError(
            "allow_restore: the connection does not allow a restore, which writes. Where that is wanted, set "
            '"Allow restore" in the form of the connection (the extra allow_restore).'
        )
    return _endpoint_of(get_product(request.product))


def list_restores(
    client: Client, product: str, since: datetime, location: str | None, *, job_type: str = _RESTORE
) -> Flow[list[BackupJob]]:
    """Return the restore jobs that began, or may have begun, since a moment.

    :param client: the connection.
    :param product: the product's name.
    :param since: the moment, aware.
    :param location: the Multi-Geo location; None for all.
    :param job_type: another job type to list.
    """
    query = JobQuery(product=get_product(product), job_type=job_type, started_after=since, location=location)
    listing = JobListing(client, query, client.clock.now(), with_changes=True)
    jobs = yield from read_all(listing, lambda job: may_be_since(job, since))
    by_id: dict[str, list[BackupJob]] = {}
    for job in jobs:
        by_id.setdefault(job.job_id, []).append(job)
    return [found for each in by_id.values() if (found := pick_sighting(each)) is not None]


def find_candidates(client: Client, intent: Intent, product: str, location: str | None) -> Flow[list[str]]:
    """Return the ids of the restore jobs that may be the one asked for, where its answer is not known.

    Rows do not show their type: a server that does not heed the filter would pass a backup off as a restore.
    So backups are listed too, where there is something to tell apart.

    :param client: the connection.
    :param intent: what was kept.
    :param product: the product's name.
    :param location: the Multi-Geo location of the request.
    :raises AvePointPayloadError: a job is listed as a restore and as a backup.
    """
    found = yield from list_restores(client, product, intent.earliest, location)
    ids = sorted(
        job.job_id for job in found if job.job_id not in intent.known_ids and _may_be_asked_for(job, intent)
    )
    if ids:
        others = yield from list_restores(client, product, intent.earliest, location, job_type="backup")
        if both := sorted({job.job_id for job in others}.intersection(ids)):
            raise AvePointPayloadError(
                f"{get_product(product).label} lists {one_line(both[0], 100)} as a restore and as a backup, "
                "so the server does not heed jobType, and no restore can be told from a backup."
            )
    return ids


def _may_be_asked_for(job: BackupJob, intent: Intent) -> bool:
    earliest, latest = find_start_range(job)
    if latest is not None and latest < intent.sent_at - _BEFORE_SENT:
        return False  # listed late: somebody else's
    return earliest is None or earliest <= intent.search_ends_at


def get_restore(client: Client, intent: Intent, product: str, location: str | None) -> Flow[BackupJob]:
    """Return the job of a restore that has begun: by its id, or else from the list of restores.

    No document says that the endpoint for one job knows restores. So whatever that endpoint refuses, the list
    is read.

    :param client: the connection.
    :param intent: what was kept, with the job's id.
    :param product: the product's name.
    :param location: the Multi-Geo location of the request.
    :raises AvePointJobNotFound: the job is not listed, or not yet.
    :raises AvePointPayloadError: the job began before the restore was asked for, so it is another one.
    """
    known = get_product(product)
    job_id = intent.job_id or ""
    job: BackupJob | None
    try:
        job = yield from client.get_job(known, job_id, location)
    except (AvePointRequestError, AvePointPayloadError, AvePointUnavailable) as e:
        if isinstance(e, AvePointUnavailable) and e.status is None:
            raise
        found = yield from list_restores(client, product, intent.earliest, location)
        job = next((each for each in found if each.job_id == job_id), None)
        if job is None:
            if isinstance(e, AvePointJobNotFound):
                raise
            raise job_not_found(known, job_id) from None
    if not may_be_since(job, intent.earliest):
        raise AvePointPayloadError(
            f"{known.label}: job {one_line(job_id, 100)} began before the restore was asked for at "
            f"{to_iso(intent.sent_at)}, so it is another job."
        )
    return job


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """What one look at the API shows of a restore.

    :param text: what, in a sentence.
    :param now: when, by the API's clock.
    :param is_final: whether waiting for more is of no use.
    :param candidates: where the job is not known, the ids of the jobs that may be the one.
    :param job: the job, where it is known and listed.
    """

    text: str
    now: datetime
    is_final: bool
    candidates: tuple[str, ...] = ()
    job: BackupJob | None = None


def look_for_news(client: Client, request: RestoreRequest, intent: Intent) -> Flow[News]:
    """Look once at what has become of a restore; change nothing.

    :param client: the connection.
    :param request: the request.
    :param intent: what was kept; its phase is not ``refused``.
    """
    if intent.job_id is None:
        ids = yield from find_candidates(client, intent, request.product, request.location)
        now = client.clock.now()
        text = (
            f"A restore job began since {to_iso(intent.sent_at)}: {', '.join(ids)}."
            if ids
            else f"No restore job that began since {to_iso(intent.sent_at)} is listed yet."
        )
        return News(
            text=text, now=now, is_final=bool(ids) or now >= intent.search_ends_at, candidates=tuple(ids)
        )
    try:
        job = yield from get_restore(client, intent, request.product, request.location)
    except AvePointJobNotFound:
        text = f"Restore job {one_line(intent.job_id, 100)} is not listed yet."
        return News(text=text, now=client.clock.now(), is_final=False)
    now = client.clock.now()
    drill = judge_restore(request, intent, job, None, now)
    if isinstance(drill, Drill):
        return News(text=drill.message, now=now, is_final=True, job=job)
    return News(text=drill, now=now, is_final=False, job=job)


# What it came to


@dataclass(frozen=True, slots=True, kw_only=True)
class Drill:
    """What a restore came to.

    :param request: what was restored.
    :param intent: how it was asked for.
    :param job: the job.
    :param reason: ``passed``, ``partial``, ``failed``, ``skipped``, ``too_few_files`` or
        ``nothing_restored``.
    :param message: the same in a sentence.
    :param expect_files: how many must have come back; None where that was not said.
    :param judged_at: when, by the API's clock.
    """

    request: RestoreRequest
    intent: Intent
    job: BackupJob
    reason: str
    message: str
    expect_files: int | None
    judged_at: datetime

    @property
    def passed(self) -> bool:
        """Whether what was asked for came back."""
        return self.reason == Reason.PASSED

    def as_dict(self) -> dict[str, Any]:
        """Return every field, ready for JSON; the job comes without its raw row."""
        job = self.job.as_dict()
        job.pop("raw")
        return {
            "passed": self.passed,
            "reason": self.reason,
            "message": self.message,
            "request": self.request.as_dict(),
            "digest": self.intent.digest,
            "sent_at": self.intent.sent_at.isoformat(),
            "was_adopted": self.intent.was_adopted,
            "expect_files": self.expect_files,
            "restored_files": self.job.counts.successful,
            "job": job,
            "judged_at": self.judged_at.isoformat(),
        }


def describe_unjudged(
    request: RestoreRequest, kept: object, error: Exception, expect_files: int | None
) -> dict[str, Any] | None:
    """Return a drill that may have begun and was not judged, as :meth:`Drill.as_dict` writes drills.

    :param request: what the task asks for now.
    :param kept: what was kept of the restore.
    :param error: why it was not judged.
    :param expect_files: as in :class:`Drill`.
    :returns: the drill; None where nothing has begun.
    """
    now = datetime.now(UTC).isoformat()
    try:
        intent = Intent.read(kept)
    except AvePointRestoreUncertain:
        intent = None
    if intent is not None and intent.phase is Phase.REFUSED:
        return None
    job_id = None if intent is None else intent.job_id
    is_uncertain = job_id is None or isinstance(error, AvePointRestoreUncertain)
    return {
        "passed": False,
        "reason": "uncertain" if is_uncertain else "not_ended",
        "message": str(error),
        "request": request.as_dict(),
        "digest": request.digest if intent is None else intent.digest,
        "sent_at": now if intent is None else intent.sent_at.isoformat(),
        "was_adopted": intent is not None and intent.was_adopted,
        "expect_files": expect_files,
        "restored_files": None,
        "job": None if job_id is None else {"job_id": job_id},
        "judged_at": now,
    }


def parse_expected(value: object) -> int | None:
    """Parse the argument ``expect_files``: a whole number from 1 up, or its text.

    :param value: the number; None where it is not said.
    :raises AvePointConfigError: *value* is something else.
    """
    number = parse_limit("expect_files", value)
    if number == 0:
        raise refuse("expect_files", value, "expects nothing, which no restore proves; give 1 or more.")
    return number


def judge_restore(
    request: RestoreRequest, intent: Intent, job: BackupJob, expect_files: int | None, now: datetime
) -> Drill | str:
    """Grade a restore as a gate grades a backup; return the drill, or how the job stands if it has not ended.

    A job that says that nothing came back proves nothing, however well it ended. Files that the job skipped
    did not come back. A job that has ended well, but shows no start or no end, is not understood: it may be
    another one, or may not be over.

    :param request: what was asked for.
    :param intent: how it was asked for.
    :param job: the job as it is now.
    :param expect_files: how many must have come back, at least; None where that was not said.
    :param now: the time by the API's clock.
    """
    grade = grade_job(job, now)
    restored = job.counts.successful
    text = f"Restore job {one_line(job.job_id, 100)} is {job.state} ({quoted(job.raw_state)})"
    text += job.describe_failures()
    if job.problems:
        text += f", {one_line(job.problems[0], 200)}"
    if grade is Reason.PASSED and (job.effective_start is None or job.finished_at is None):
        text += f", the time of its {'start' if job.effective_start is None else 'end'} is missing"
        grade = Reason.UNREADABLE
    reason: str = grade.value
    if grade in (Reason.RUNNING, Reason.UNKNOWN_STATE, Reason.UNREADABLE, Reason.CLOCK_SKEW):
        return f"{text}." if grade is Reason.RUNNING else f"{text}; it counts as {grade}."
    if restored is not None:
        text += f", {restored} restored"
    if grade is Reason.PASSED:
        if expect_files is not None and (restored is None or restored < expect_files):
            reason = "too_few_files"
            text += f"; {expect_files} were expected"
            text += ", and the job does not count any" if restored is None else ""
        elif restored == 0:
            reason = "nothing_restored"
            text += "; so nothing came back, and nothing is proven"
    if intent.was_adopted:
        text += "; the job was found by its start, since the answer that would have named it was not seen"
    return Drill(
        request=request,
        intent=intent,
        job=job,
        reason=reason,
        message=f"{text}.",
        expect_files=expect_files,
        judged_at=now,
    )


def adopt(intent: Intent, candidates: tuple[str, ...], now: datetime) -> Intent | None:
    """Return the intent with the one job that was found; None while there may still come one.

    :param intent: what was kept.
    :param candidates: the ids of the jobs that may be the one.
    :param now: the time by the API's clock.
    :raises AvePointRestoreUncertain: there are several, or none has come in time.
    """
    if len(candidates) == 1:
        return replace(intent, phase=Phase.STARTED, job_id=candidates[0], was_adopted=True)
    if candidates or now >= intent.search_ends_at:
        raise describe_uncertainty(intent, candidates)
    return None
