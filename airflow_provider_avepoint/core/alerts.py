"""Monitor alerts: how many records of which objects were added, modified or removed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from airflow_provider_avepoint.core.arguments import parse_text
from airflow_provider_avepoint.core.client import Client
from airflow_provider_avepoint.core.errors import AvePointPayloadError
from airflow_provider_avepoint.core.fields import (
    normalize_label,
    parse_integer,
    parse_number,
    parse_time,
    read_id,
    to_iso,
)
from airflow_provider_avepoint.core.flow import Flow
from airflow_provider_avepoint.core.ids import is_same_organization, normalize_id
from airflow_provider_avepoint.core.model import Value
from airflow_provider_avepoint.core.objects import JsonObject, read_each_row, refuse_odd
from airflow_provider_avepoint.core.pages import Answer
from airflow_provider_avepoint.core.products import require_endpoint
from airflow_provider_avepoint.core.products.vocabulary import AlertEndpoint, Product
from airflow_provider_avepoint.core.query import shift
from airflow_provider_avepoint.core.text import one_line, quoted
from airflow_provider_avepoint.core.windows import ask_by_clock, begin_of, parse_window

__all__ = ["Alerts", "MonitorAlert", "OddAlert", "list_alerts", "read_alerts"]

_WHAT = "monitor alert"
#: How far back alerts are asked for unless the caller says.
ALERT_SPAN = timedelta(days=7)
# No document says whether the ends of a window are included, nor of which time: ask wider, and filter here.
_DAY = timedelta(days=1)


@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False, match_args=False)
class MonitorAlert(Value, frozen=True, kw_only=True):
    """Records that were changed: the amount of change, not a failure. Many removed ones are a mass deletion.

    :param product: the name of the product.
    :param organization_id: the organisation's id.
    :param object_type: the vendor's name or number of the object type.
    :param operation: ``added``, ``modified`` or ``removed``.
    :param records: the number of records.
    :param collected_at: when the change was detected.
    """

    product: str
    organization_id: str
    object_type: str
    operation: str
    records: int
    collected_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class OddAlert:
    """An alert that is not understood: it may be a deletion.

    :param organization_id: the organisation's id; None where it is not told.
    :param collected_at: when the change was detected; None where that is not told.
    :param problem: what is odd of which row, in words.
    """

    organization_id: str | None
    collected_at: datetime | None
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Alerts:
    """The alerts of a window.

    :param product: the product.
    :param alerts: those that are understood, each once.
    :param problems: what is odd of each other row that may be in the window, in words: while there are any,
        nothing is known to be all.
    """

    product: Product
    alerts: tuple[MonitorAlert, ...]
    problems: tuple[str, ...]

    def require_all(self) -> list[MonitorAlert]:
        """Return the alerts.

        :raises AvePointPayloadError: there is a row that is not understood.
        """
        refuse_odd(self.product, _WHAT, self.problems)
        return list(self.alerts)


def list_alerts(
    client: Client,
    product: object,
    *,
    collected_after: object = None,
    collected_before: object = None,
    organization_id: object = None,
    alert_type: object = None,
) -> Flow[Alerts]:
    """Return the alerts of a window, each once: alerts have no id, so alike ones are one.

    :param client: the connection.
    :param product: the product's name.
    :param collected_after: the begin of the window, inclusive; by default 7 days ago.
    :param collected_before: the end of the window, exclusive; by default none.
    :param organization_id: the organisation; by default all.
    :param alert_type: sent as it is: the documents do not list the values.
    :raises AvePointConfigError: the product has no alerts, or an argument cannot be used.
    :raises AvePointPayloadError: there is no list, or the answer is about other organisations only.
    """
    known = require_endpoint(product, "alerts", "monitor alerts")
    endpoint = known.alerts
    assert endpoint is not None  # noqa: S101  # it is required
    begin, before = parse_window("collected", collected_after, collected_before)
    organization = normalize_id(parse_text("organization_id", organization_id))
    kind = parse_text("alert_type", alert_type)

    def ask(now: datetime) -> Flow[Answer]:
        after = begin_of(begin, before, ALERT_SPAN, now)
        query = [
            (endpoint.collected_after, to_iso(shift(after, -_DAY))),
            (endpoint.collected_before, to_iso(shift(max(before or now, after), _DAY))),
        ]
        if organization is not None:
            query.append((endpoint.organization, organization))
        if kind is not None:
            query.append((endpoint.alert_type, kind))
        return (yield from client.get(endpoint.path, query, endpoint.permission, known.name))

    answer = yield from ask_by_clock(client, ask)
    after = begin_of(begin, before, ALERT_SPAN, client.clock.now())
    found = list(dict.fromkeys(read_alerts(known, answer.document)))
    kept = [each for each in found if _may_be_of(each, organization)]
    if found and not kept:
        named = dict.fromkeys(each.organization_id for each in found[:20] if each.organization_id)
        raise AvePointPayloadError(
            f"{known.label} was asked for the alerts of organisation {one_line(organization, 100)} and "
            f"answered with those of {', '.join(one_line(each, 100) for each in named)} only; check the id."
        )
    dated = [
        each
        for each in kept
        if each.collected_at is None
        or (each.collected_at >= after and (before is None or each.collected_at < before))
    ]
    return Alerts(
        product=known,
        alerts=tuple(each for each in dated if isinstance(each, MonitorAlert)),
        problems=tuple(each.problem for each in dated if isinstance(each, OddAlert)),
    )


def read_alerts(product: Product, document: object) -> list[MonitorAlert | OddAlert]:
    """Return the alerts of an answer, row by row.

    :param product: a product with alerts.
    :param document: the answer's JSON.
    :raises AvePointPayloadError: the list is missing.
    """
    endpoint = product.alerts
    assert endpoint is not None  # noqa: S101  # its answer is what is read

    def read_operation(value: object) -> str | None:
        return _read_operation(endpoint, value)

    def read(row: JsonObject) -> MonitorAlert | OddAlert:
        return MonitorAlert(
            product=product.name,
            organization_id=row.require_id(endpoint.organization_id),
            object_type=row.require(endpoint.object_type, read_id),
            operation=row.require(endpoint.operation, read_operation),
            records=row.require(endpoint.records, parse_integer),
            collected_at=row.require(endpoint.collected_at, parse_time),
        )

    def tell(row: JsonObject, problem: str) -> MonitorAlert | OddAlert:
        return OddAlert(
            organization_id=row.read_or_none(endpoint.organization_id, read_id),
            collected_at=row.read_or_none(endpoint.collected_at, parse_time),
            problem=problem,
        )

    return read_each_row(product, _WHAT, document, endpoint.rows, read=read, tell=tell)


def _read_operation(endpoint: AlertEndpoint, value: object) -> str | None:
    """Return our word for an operation. An undocumented one may be a deletion, so it is not borne."""
    if value is None:
        return None
    number = parse_number(value)
    label = normalize_label(value) if isinstance(value, str) else None
    for word, each in endpoint.operations.items():
        if number == each or label == word:
            return word
    raise ValueError(f"{quoted(value)} is not a documented operation")


def _may_be_of(alert: MonitorAlert | OddAlert, organization: str | None) -> bool:
    return None in (organization, alert.organization_id) or is_same_organization(
        alert.organization_id, organization
    )
