"""The two hooks behind one face, so that a test runs over both."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable
from itertools import cycle
from typing import Any

import pytest

from airflow_provider_avepoint.core.model import BackupJob, LicenseConsumption
from airflow_provider_avepoint.core.products import PRODUCTS
from airflow_provider_avepoint.core.verdict import Policy, Verdict
from airflow_provider_avepoint.hooks.avepoint import AvePointAsyncHook, AvePointHook
from airflow_provider_avepoint.simulator.products import PRODUCTS as SIMULATED


def required_by(product: str) -> dict[str, Any]:
    """Return the arguments without which *product* lists nothing: the customer that the simulator has."""
    if product in PRODUCTS and PRODUCTS[product].needs_organization:
        return {"organization_id": SIMULATED[product].default_organization[0]}
    return {}


def path_of(product: str) -> str:
    """Return the path that *product*'s listings begin with, as faults and the journal name it."""
    return PRODUCTS[product].path.partition("{")[0]


def simulated_jobs(product: str, job_type: str) -> list[dict[str, Any]]:
    """Return one job, for the simulator, of each of the vendor's numbers for our word *job_type*."""
    if job_type in PRODUCTS[product].housekeeping:
        return [{"product": product, "workload": simulated_workload(product, job_type)}]
    words = {number: word for word, number in SIMULATED[product].job_types.shown.items()}
    numbers = PRODUCTS[product].job_type_codes(job_type)
    return [{"product": product, "job_type": words[number]} for number in numbers]


def simulated_workload(product: str, word: str) -> str:
    """Return the simulator's word for the workload that we call *word*."""
    shown = SIMULATED[product].workloads.shown
    number = PRODUCTS[product].object_types.get(word)
    return word if number is None else next(each for each in shown if shown[each] == number)


class Worker:
    """The blocking hook."""

    def list_jobs(self, product: str, conn_id: str = "avepoint_default", **arguments: Any) -> list[BackupJob]:
        (jobs,) = self.list_each(product, [arguments], conn_id)
        return jobs

    def list_each(
        self, product: str, asked: Iterable[dict[str, Any]], conn_id: str = "avepoint_default"
    ) -> list[list[BackupJob]]:
        """Return the jobs that each of *asked* brings, through one hook."""
        with AvePointHook(conn_id) as hook:
            return [list(hook.iter_jobs(product, **required_by(product) | arguments)) for arguments in asked]

    def get_job(self, product: str, job_id: str, **arguments: Any) -> BackupJob:
        with AvePointHook() as hook:
            return hook.get_job(product, job_id, **required_by(product) | arguments)

    def judge(self, **policy: Any) -> Verdict:
        with AvePointHook() as hook:
            return hook.judge(Policy(**policy))

    def get_license(self, *arguments: Any, **named: Any) -> LicenseConsumption:
        with AvePointHook() as hook:
            return hook.get_license_consumption(*arguments, **named)

    def get_licenses(self, *arguments: Any, **named: Any) -> list[LicenseConsumption]:
        with AvePointHook() as hook:
            return hook.get_license_consumptions(*arguments, **named)

    def call(self, name: str, *arguments: Any, **named: Any) -> Any:
        """Return what the hook's method *name* returns; the items where it yields them."""
        with AvePointHook() as hook:
            answer = getattr(hook, name)(*arguments, **named)
            return list(answer) if name.startswith("iter_") else answer


class Triggerer:
    """The hook for event loops."""

    def list_jobs(self, product: str, conn_id: str = "avepoint_default", **arguments: Any) -> list[BackupJob]:
        (jobs,) = self.list_each(product, [arguments], conn_id)
        return jobs

    def list_each(
        self, product: str, asked: Iterable[dict[str, Any]], conn_id: str = "avepoint_default"
    ) -> list[list[BackupJob]]:
        """Return the jobs that each of *asked* brings, through one hook."""

        async def collect(hook: AvePointAsyncHook) -> list[list[BackupJob]]:
            return [
                [job async for job in hook.aiter_jobs(product, **required_by(product) | arguments)]
                for arguments in asked
            ]

        return self._run(collect, conn_id)

    def get_job(self, product: str, job_id: str, **arguments: Any) -> BackupJob:
        return self._run(lambda hook: hook.aget_job(product, job_id, **required_by(product) | arguments))

    def judge(self, **policy: Any) -> Verdict:
        return self._run(lambda hook: hook.ajudge(Policy(**policy)))

    def get_license(self, *arguments: Any, **named: Any) -> LicenseConsumption:
        return self._run(lambda hook: hook.aget_license_consumption(*arguments, **named))

    def get_licenses(self, *arguments: Any, **named: Any) -> list[LicenseConsumption]:
        return self._run(lambda hook: hook.aget_license_consumptions(*arguments, **named))

    def call(self, name: str, *arguments: Any, **named: Any) -> Any:
        """Return what the hook's method ``a`` + *name* returns; the items where it yields them."""

        async def ask(hook: AvePointAsyncHook) -> Any:
            answer = getattr(hook, f"a{name}")(*arguments, **named)
            return [each async for each in answer] if name.startswith("iter_") else await answer

        return self._run(ask)

    @staticmethod
    def _run(call: Callable[[AvePointAsyncHook], Any], conn_id: str = "avepoint_default") -> Any:
        async def main() -> Any:
            async with AvePointAsyncHook(conn_id) as hook:
                return await call(hook)

        return asyncio.run(main())


DRIVERS = {"requests": Worker(), "aiohttp": Triggerer()}


def with_one(name: str) -> pytest.MarkDecorator:
    """Run a test with one driver: for what is read in one way, whichever driver brings it.

    ``make faults`` runs the test with both.

    :param name: the driver.
    """
    names = list(DRIVERS) if os.environ.get("AVEPOINT_ALL_FAULTS") else [name]
    return pytest.mark.parametrize("driver", [DRIVERS[each] for each in names], ids=names)


#: Each product with one of the drivers, in turn: for what a product does, whichever driver asks.
IN_TURN = dict(zip(PRODUCTS, cycle(DRIVERS), strict=False))


def one_of_each_paging() -> list[str]:
    """Return one product of each way to page: numbered pages by GET or by POST, rows that are skipped."""
    ways = {(each.method, each.paging.is_offset): name for name, each in reversed(PRODUCTS.items())}
    return sorted(ways.values())
