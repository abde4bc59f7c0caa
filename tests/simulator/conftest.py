"""One simulator for all tests, put back to its start before each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from airflow_provider_avepoint.simulator import Simulator

from .caller import WIRES, Caller, Wire


@pytest.fixture(scope="session")
def running_simulator() -> Iterator[Simulator]:
    with Simulator() as avepoint:
        yield avepoint


@pytest.fixture
def avepoint(running_simulator: Simulator) -> Simulator:
    running_simulator.reset()
    return running_simulator


@pytest.fixture
def caller(avepoint: Simulator) -> Iterator[Caller]:
    caller = Caller(avepoint)
    with caller.http:
        yield caller


@pytest.fixture(params=WIRES, ids=lambda wire: wire.product)
def wire(request: pytest.FixtureRequest) -> Wire:
    """Return each product's wire in turn."""
    chosen: Wire = request.param
    return chosen


@pytest.fixture(params=[wire for wire in WIRES if wire.has_window], ids=lambda wire: wire.product)
def windowed(request: pytest.FixtureRequest) -> Wire:
    """Return the wire of each product with a time window."""
    chosen: Wire = request.param
    return chosen


@pytest.fixture(
    params=[wire for wire in WIRES if wire.first_index is not None], ids=lambda wire: wire.product
)
def numbered(request: pytest.FixtureRequest) -> Wire:
    """Return the wire of each product that numbers its pages."""
    chosen: Wire = request.param
    return chosen
