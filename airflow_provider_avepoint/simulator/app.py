"""The ASGI application: health, the control API, and the vendor's endpoints."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from pydantic import ValidationError

from .control import control_router
from .control_schema import Refused
from .state import State
from .vendor import vendor_routes


def create_app(state: State) -> FastAPI:
    """Return the application that serves a state.

    :param state: the simulator's state.
    """
    app = FastAPI(title="AvePoint simulator", description="A stand-in for the AvePoint Graph API.")
    app.include_router(control_router(state))

    @app.get("/health")
    def health() -> dict[str, str]:
        """Say that the server answers."""
        return {"status": "ok"}

    @app.exception_handler(Refused)
    def refuse(_request: Request, error: Refused) -> JSONResponse:
        return JSONResponse({"detail": str(error)}, error.status)

    @app.exception_handler(ValidationError)
    def refuse_values(_request: Request, error: ValidationError) -> JSONResponse:
        return JSONResponse({"detail": error.errors(include_url=False, include_context=False)}, 422)

    app.router.routes.extend(vendor_routes(state))
    return app
