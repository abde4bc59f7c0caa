"""The two hooks behind one face, so that a test runs over both."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from airflow_provider_avepoint.core.model import BackupJob, LicenseConsumption
from airflow_provider_avepoint.hooks.avepoint import AvePointAsyncHook, AvePointHook
from airflow_provider_avepoint.products import PRODUCTS
from airflow_provider_avepoint.simulator.products import PRODUCTS as SIMULATED


def required_by(product: str) -> dict[str, Any]:
    """Return the arguments without which *product* lists nothing: the customer that the simulator has."""
    if product in PRODUCTS and PRODUCTS[product].needs_organization:
        return {"organization_id": SIMULATED[product].default_organization[0]}
    return {}


class Worker:
    """The blocking hook."""

    def list_jobs(self, product: str, conn_id: str = "avepoint_default", **arguments: Any) -> list[BackupJob]:
        with AvePointHook(conn_id) as hook:
            return list(hook.iter_jobs(product, **required_by(product) | arguments))

    def get_job(self, product: str, job_id: str, **arguments: Any) -> BackupJob:
        with AvePointHook() as hook:
            return hook.get_job(product, job_id, **required_by(product) | arguments)

    def get_license(self, *arguments: Any, **named: Any) -> LicenseConsumption:
        with AvePointHook() as hook:
            return hook.get_license_consumption(*arguments, **named)


class Triggerer:
    """The hook for event loops."""

    def list_jobs(self, product: str, conn_id: str = "avepoint_default", **arguments: Any) -> list[BackupJob]:
        async def collect(hook: AvePointAsyncHook) -> list[BackupJob]:
            asked = required_by(product) | arguments
            return [job async for job in hook.aiter_jobs(product, **asked)]

        return self._run(collect, conn_id)

    def get_job(self, product: str, job_id: str, **arguments: Any) -> BackupJob:
        return self._run(lambda hook: hook.aget_job(product, job_id, **required_by(product) | arguments))

    def get_license(self, *arguments: Any, **named: Any) -> LicenseConsumption:
        return self._run(lambda hook: hook.aget_license_consumption(*arguments, **named))

    @staticmethod
    def _run(call: Callable[[AvePointAsyncHook], Any], conn_id: str = "avepoint_default") -> Any:
        async def main() -> Any:
            async with AvePointAsyncHook(conn_id) as hook:
                return await call(hook)

        return asyncio.run(main())


DRIVERS = {"requests": Worker(), "aiohttp": Triggerer()}
