"""The control API under ``/control``: the simulator's jobs, faults and settings, as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Body, Query
from pydantic import BeforeValidator, WithJsonSchema

from .control_schema import (
    ClientSpec,
    ClockSettings,
    GenerateSpec,
    JobFields,
    JobSpec,
    LicenseChange,
    ReadingChange,
    RestoreSettings,
    TokenSettings,
)
from .faults import AnyFault
from .quirks import Quirks
from .state import State

JsonObject = dict[str, Any]


def _as_list(value: object) -> object:
    return value if isinstance(value, list) else [value]


OneOrMoreJobs = Annotated[
    Sequence[JobSpec], BeforeValidator(_as_list, json_schema_input_type=JobSpec | list[JobSpec])
]


QuirkChanges = Annotated[JsonObject, WithJsonSchema(Quirks.model_json_schema())]


def control_router(state: State) -> APIRouter:
    """Return the routes of the control API.

    :param state: the simulator's state.
    """
    router = APIRouter(prefix="/control")
    _add_job_routes(router, state)
    _add_setting_routes(router, state)
    _add_fault_routes(router, state)

    @router.post("/reset")
    def reset() -> JsonObject:
        """Return to the initial state: the demo client, no jobs, no faults, default quirks."""
        state.reset()
        return {"reset": True}

    return router


def _add_job_routes(router: APIRouter, state: State) -> None:
    @router.get("/jobs")
    def list_jobs(product: str, limit: Annotated[int, Query(ge=1)] = 1000) -> JsonObject:
        """Return a product's newest jobs as they are now, and the number of all its jobs."""
        return state.jobs(product, limit=limit)

    @router.post("/jobs", status_code=201)
    def add_jobs(jobs: Annotated[OneOrMoreJobs, Body()]) -> list[JsonObject]:
        """Add one job, or a list of them; return them with their ids."""
        return state.add_jobs(jobs)

    @router.post("/jobs/generate", status_code=201)
    def generate(spec: GenerateSpec) -> JsonObject:
        """Add finished history in bulk."""
        return state.generate(spec)

    @router.patch("/jobs/{product}/{job_id}")
    def patch_job(product: str, job_id: str, changes: JobFields) -> JsonObject:
        """Change the given fields of a job."""
        return state.patch_job(product, job_id, changes)

    @router.delete("/jobs/{product}/{job_id}")
    def delete_job(product: str, job_id: str) -> JsonObject:
        """Remove a job."""
        return state.delete_job(product, job_id)


def _add_setting_routes(router: APIRouter, state: State) -> None:
    @router.put("/license/{product}")
    def set_license(product: str, change: LicenseChange) -> JsonObject:
        """Set licence figures; figures that are not named stay."""
        return state.set_license(product, change)

    @router.put("/readings/{product}/{name}")
    def set_reading(product: str, name: str, change: ReadingChange) -> JsonObject:
        """Set what an endpoint beside jobs and licences answers, such as ``schedule`` of ``m365``."""
        return state.set_reading(product, name, change)

    @router.put("/restores")
    def set_restores(settings: RestoreSettings) -> JsonObject:
        """Say what becomes of restores that are asked for from now on; what is not named is as usual."""
        return state.set_restores(settings)

    @router.get("/restores")
    def list_restores() -> list[JsonObject]:
        """Return the restores that were started by a request, oldest first: id, time, location and body."""
        return state.restores()

    @router.put("/quirks/{product}")
    def set_quirks(product: str, changes: Annotated[QuirkChanges, Body()]) -> JsonObject:
        """Set quirks of a product; quirks that are not named stay. Product ``all`` takes ``latency_ms``."""
        return state.set_quirks(product, changes)

    @router.put("/clients/{client_id}")
    def set_client(client_id: str, spec: ClientSpec) -> JsonObject:
        """Register a client, or change the named fields of one."""
        return state.set_client(client_id, spec)

    @router.put("/clock")
    def set_clock(settings: ClockSettings) -> JsonObject:
        """Set the server's clock, and the Date header of its answers."""
        return state.set_clock(settings)

    @router.put("/tokens")
    def set_tokens(settings: TokenSettings) -> JsonObject:
        """Set the lifetime of tokens that are issued from now on."""
        return state.set_tokens(settings)

    @router.post("/tokens/expire")
    def expire_tokens() -> JsonObject:
        """Make every issued token invalid now."""
        return state.expire_tokens()


def _add_fault_routes(router: APIRouter, state: State) -> None:
    @router.get("/faults")
    def list_faults() -> list[JsonObject]:
        """Return the armed faults in their order, with the remaining skip and count."""
        return state.faults()

    @router.post("/faults", status_code=201)
    def add_fault(fault: Annotated[AnyFault, Body()]) -> list[JsonObject]:
        """Arm a fault after the others; return all armed faults."""
        return state.add_fault(fault)

    @router.delete("/faults")
    def clear_faults() -> list[JsonObject]:
        """Disarm all faults."""
        state.clear_faults()
        return []

    @router.get("/requests")
    def list_requests(path: str | None = None, since: Annotated[int, Query(ge=0)] = 0) -> list[JsonObject]:
        """Return the requests from index ``since`` on whose path begins with ``path``."""
        return state.requests(path=path, since=since)

    @router.get("/stats")
    def stats() -> JsonObject:
        """Return counts of requests by path and status, and of tokens by scope."""
        return state.stats()
