"""One look of a gate at a product whose object types are each asked for: how long it takes."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from airflow_provider_avepoint.core.products import get_product
from benchmarks.lookers import Order, look_with_async_hook, look_with_hook
from benchmarks.readings import BenchmarkError, Contender, Prepare, Reading, Series, quiet_airflow, take_turns
from benchmarks.report import Figure, Table
from benchmarks.server import Server, serve

_ENTRANTS: dict[str, Prepare] = {
    "AvePointHook.judge": look_with_hook,
    "AvePointAsyncHook.ajudge": look_with_async_hook,
}
_SECONDS_AT_MOST = {"m365": 0.5, "iaas_paas": 0.8}
# A tenant has eight days of backups. Every object type of Microsoft 365 has one a day; of IaaS + PaaS, four:
# more rows than the smallest page has, so that each listing takes a second request to prove its end.
_BACKUPS_A_DAY = {"m365": 1, "iaas_paas": 4}
_HISTORY = timedelta(days=8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much is measured.

    :param latency: milliseconds by which each answer is late, tokens too.
    """

    latency: int = 50
    rounds: int = 7


PLAN = Plan()


def measure(say: Callable[[str], None], plan: Plan = PLAN) -> dict[str, Any]:
    """Look with every entrant at every product, in turns; return all readings, ready for JSON."""
    with ExitStack() as stack:
        home = stack.enter_context(tempfile.TemporaryDirectory(prefix="avepoint-bench-"))
        server = stack.enter_context(serve())
        contenders = {
            name: stack.enter_context(Contender(prepare, quiet_airflow(home)))
            for name, prepare in _ENTRANTS.items()
        }
        products: dict[str, Any] = {}
        for product in _SECONDS_AT_MOST:
            say(f"{product}: {plan.rounds} rounds")
            _add_history(server, product)
            order = Order(product=product, connection=server.connection())
            warm = {name: _look(contender, order) for name, contender in contenders.items()}
            before = server.count_requests()
            _look(contenders[next(iter(_ENTRANTS))], order)
            requests = server.count_requests() - before
            server.set_latency(plan.latency)
            runs = {name: partial(_look, contender, order) for name, contender in contenders.items()}
            readings = take_turns(runs, plan.rounds)
            server.set_latency(0)
            looks = {
                name: Series(warm=warm[name], readings=each).as_dict() for name, each in readings.items()
            }
            products[product] = {"requests": requests, "looks": looks}
        return {"latency": plan.latency, "products": products}


def _add_history(server: Server, product: str) -> None:
    types = list(get_product(product).object_types)
    count = _BACKUPS_A_DAY[product] * _HISTORY.days * len(types)
    server.generate(
        product=product,
        count=count,
        newest_at=(datetime.now(UTC) - timedelta(hours=1)).isoformat(),
        every_seconds=(_HISTORY / count).total_seconds(),
        workloads=types,
    )


def _look(contender: Contender, order: Order) -> Reading:
    reading = contender.run(order)
    if not reading.done:
        raise BenchmarkError(f"The gate of {order.product} did not pass.")
    return reading


def judge(result: Mapping[str, Any]) -> list[Figure]:
    """Return the figures to reach."""
    return [
        Figure(
            what=f"{name}, {product}, {result['latency']} ms: seconds",
            value=look["median_seconds"],
            bound=_SECONDS_AT_MOST[product],
        )
        for product, measured in result["products"].items()
        for name, look in measured["looks"].items()
    ]


def tabulate(result: Mapping[str, Any]) -> Table:
    """Return the seconds of every entrant."""
    products = result["products"]
    head = [f"one look of a gate, {result['latency']} ms latency"]
    head += [f"{get_product(name).label}: {each['requests']} requests" for name, each in products.items()]
    rows = [
        [name, *(f"{each['looks'][name]['median_seconds']:.2f} s" for each in products.values())]
        for name in _ENTRANTS
    ]
    return Table(head, rows)


def footnote(_: Mapping[str, Any]) -> str:
    """Return the sentences that make the table honest."""
    return (
        "Medians, measured in turns in one run, from a new hook to the verdict, with the token. Every object "
        "type is asked for, and all of them together; up to 8 requests are on their way at a time."
    )
