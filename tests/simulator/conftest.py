"""One simulator for all tests, put back to its start before each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from airflow_provider_avepoint.simulator import Simulator

from .caller import AOS, ELEMENTS, LEGACY, M365, WIRES, Caller, Wire


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


@pytest.fixture(params=[M365, AOS, ELEMENTS], ids=lambda wire: wire.product)
def wire(request: pytest.FixtureRequest) -> Wire:
    """Return a wire of each kind: pages by their number, rows that are skipped, questions in a body."""
    chosen: Wire = request.param
    return chosen


@pytest.fixture(params=WIRES.values(), ids=WIRES)
def any_wire(request: pytest.FixtureRequest) -> Wire:
    """Return each product's wire in turn, for what its own rows and pages show."""
    chosen: Wire = request.param
    return chosen


@pytest.fixture(params=[M365, LEGACY], ids=lambda wire: wire.product)
def windowed(request: pytest.FixtureRequest) -> Wire:
    """Return a wire of each kind of time window: ISO 8601 and ticks."""
    chosen: Wire = request.param
    return chosen
