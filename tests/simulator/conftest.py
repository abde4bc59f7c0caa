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
    chosen: Wire = request.param
    return chosen
