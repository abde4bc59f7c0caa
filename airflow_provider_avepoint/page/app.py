"""The server of the page: GET only, for logged-in users only, and nothing from elsewhere.

Airflow mounts the app beside its own routes and gives it no authentication, so the app has it for all of its
routes. Every answer says that browsers keep nothing, and load and send nothing elsewhere.
"""

from __future__ import annotations

import base64
import hashlib
import html
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar
from urllib.parse import quote

from airflow.api_fastapi.auth.managers.models.resource_details import AccessView
from airflow.api_fastapi.core_api.security import requires_access_view
from airflow.providers.common.compat.sdk import conf
from fastapi import Depends, FastAPI, HTTPException, Query, Request
from fastapi.exception_handlers import http_exception_handler
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response

from airflow_provider_avepoint import __version__
from airflow_provider_avepoint.core.errors import AvePointConfigError, AvePointError
from airflow_provider_avepoint.core.text import one_line
from airflow_provider_avepoint.ledger.reader import NoLedgerError, OtherLedgerError, SlowLedgerError
from airflow_provider_avepoint.page import reading, schema
from airflow_provider_avepoint.page.asking import SECONDS, BusyError, Questions

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

T = TypeVar("T")

_log = logging.getLogger(__name__)
# The page, and what it is made with; beside the latter stand its licence and its version.
_DIRECTORIES = ("files", "vendor")
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
# Who has no session gets no file: this style comes with the sentence that says so.
_STYLE = (
    ":root{color-scheme:light dark}body{font:1rem/1.5 system-ui,sans-serif;margin:2rem;max-width:40rem;"
    "background:Canvas;color:CanvasText}h1{font-size:1.375rem}a{color:LinkText}"
)
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_HEADERS = {
    "content-security-policy": (
        f"default-src 'none'; script-src 'self'; style-src 'self' 'sha256-{_STYLE_HASH}'; img-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
    ),
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cross-origin-resource-policy": "same-origin",
}
_CONNECT = (
    "Give Airflow a connection to PostgreSQL and name it in the configuration: ledger_conn_id in the section "
    "[avepoint] (AIRFLOW__AVEPOINT__LEDGER_CONN_ID). Without it, the ledger is a SQLite file for one machine."
)
_STEPS = [
    "Switch on the DAG avepoint_job_ledger. It loads the jobs of your tenants into the ledger every hour.",
    "Give your gates the same ledger_conn_id, so that their verdicts come to the ledger; reload this page.",
]
_OPTIONS = ("page_tenants", "page_cache_seconds")
_ANSWERS: dict[int | str, dict[str, Any]] = {503: {"model": schema.ProblemAnswer}}
# PostgreSQL keeps no text with a NUL.
_Text = Annotated[str | None, Query(pattern=r"^[^\x00]*$")]
_SESSION_ENDED = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Backups</title><style>{style}</style>
<main><h1>Your session has ended</h1>
<p><a href="{login}">Log in to Airflow again</a>, then reload this page.</p></main></html>
"""


class _Headers:
    """Add the headers to every answer, whoever makes it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                added = [(name.encode(), value.encode()) for name, value in _HEADERS.items()]
                kept = [each for each in message["headers"] if each[0].decode().lower() not in _HEADERS]
                message = {**message, "headers": [*kept, *added]}
            await send(message)

        await self._app(scope, receive, send_with_headers)


class _Problem(Exception):
    def __init__(self, status: int, problem: str, sentence: str, steps: list[str] | None = None) -> None:
        super().__init__(sentence)
        self.status = status
        self.answer = schema.ProblemAnswer(problem=problem, sentence=sentence, steps=steps or [])


def create_app(seconds: float = SECONDS) -> FastAPI:
    """Return the app, to be mounted in Airflow's API server.

    :param seconds: how long a reader waits for an answer from the ledger.
    """
    app = FastAPI(
        title="AvePoint backups",
        version=__version__,
        description="What the page Browse > Backups shows, for scripts, with Airflow's tokens.",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        # On the whole app, so that no route can be forgotten.
        dependencies=[Depends(requires_access_view(AccessView.WEBSITE))],
    )
    app.add_middleware(_Headers)
    app.add_exception_handler(_Problem, _tell_problem)
    app.add_exception_handler(HTTPException, _tell_refusal)
    app.add_exception_handler(RequestValidationError, _tell_wrong_request)
    _add_files(app)
    _add_api(app, _Ledger(seconds))
    return app


async def _tell_problem(_request: Request, error: Exception) -> Response:
    assert isinstance(error, _Problem)  # noqa: S101  # the handler of this class
    headers = {"retry-after": "10"} if error.status == 503 else {}
    return JSONResponse(error.answer.model_dump(), status_code=error.status, headers=headers)


async def _tell_refusal(request: Request, error: Exception) -> Response:
    """Answer a refused page in words: the frame in Airflow would show bare JSON."""
    assert isinstance(error, HTTPException)  # noqa: S101  # the handler of this class
    path = request.url.path
    if error.status_code in (401, 403) and (path.endswith(("/", ".html"))):
        root = request.scope.get("app_root_path", "")
        login = f"{root}/api/v2/auth/login?next={quote(request.url.path, safe='')}"
        return Response(
            _SESSION_ENDED.format(style=_STYLE, login=html.escape(login)),
            status_code=error.status_code,
            media_type=_TYPES[".html"],
            headers=error.headers,
        )
    return await http_exception_handler(request, error)


async def _tell_wrong_request(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101  # the handler of this class
    wrong = sorted({str(each["loc"][-1]) for each in error.errors()})
    sentence = f"The address asks for something that cannot be: {one_line(', '.join(wrong), 100)}."
    return JSONResponse(
        schema.ProblemAnswer(problem="wrong_request", sentence=sentence, steps=[]).model_dump(),
        status_code=422,
    )


def _add_files(app: FastAPI) -> None:
    """Add a route for each file; a static mount would not have the authentication."""
    paths = (path for name in _DIRECTORIES for path in sorted(Path(__file__).with_name(name).iterdir()))
    for path in paths:
        if path.suffix not in _TYPES:
            continue
        content, media_type = path.read_bytes(), _TYPES[path.suffix]
        answer = partial(Response, content, media_type=media_type)
        names = ["/", f"/{path.name}"] if path.name == "index.html" else [f"/{path.name}"]
        for name in names:
            app.add_api_route(
                name, _always(answer), methods=["GET"], include_in_schema=False, response_class=Response
            )


def _always(answer: Callable[[], Response]) -> Callable[[], Awaitable[Response]]:
    async def get() -> Response:
        return answer()

    return get


class _Ledger:
    """The ledger, as the routes ask for it."""

    def __init__(self, seconds: float) -> None:
        self._questions = Questions(seconds)

    async def ask(self, key: object, read: Callable[[reading.Settings], T]) -> T:
        """Return an answer, kept or new.

        :param key: what makes two questions the same, under the same settings.
        :param read: returns the answer; it runs in a thread.
        :raises _Problem: there is no answer.
        """
        try:
            settings = reading.read_settings(
                {name: conf.get("avepoint", name, fallback=None) for name in _OPTIONS}
            )
            return await self._questions.ask(
                (key, settings), partial(_log_failure, read, settings), settings.keep_seconds
            )
        except BusyError:
            raise _Problem(503, "no_answer", "The ledger does not answer in time.") from None
        except NoLedgerError as e:
            raise _tell_no_ledger(e) from None
        except OtherLedgerError as e:
            raise _tell_release(e) from None
        except AvePointConfigError as e:
            raise _Problem(503, "misconfigured", str(e)) from None
        except SlowLedgerError as e:
            raise _Problem(503, "no_answer", str(e)) from None
        except AvePointError:
            # The error names the database's address, which is not for every reader.
            raise _Problem(
                503, "no_answer", "The ledger's database failed. The API server's log says why."
            ) from None

    async def read_snapshot(self) -> reading.Snapshot:
        """Return the figures of now."""
        return await self.ask("snapshot", lambda settings: reading.read_snapshot(settings.tenants))


def _log_failure(read: Callable[[reading.Settings], T], settings: reading.Settings) -> T:
    """Read, and log what only whoever runs the API server can mend: once, however many readers wait."""
    try:
        return read(settings)
    except (AvePointConfigError, NoLedgerError, OtherLedgerError):
        raise
    except SlowLedgerError as e:
        _log.warning("The page of backups has no answer: %s", e)
        raise
    except AvePointError:
        _log.exception("The ledger could not be read for the page of backups")
        raise


def _add_api(app: FastAPI, ledger: _Ledger) -> None:
    @app.get("/api/v1/openapi.json", include_in_schema=False)
    async def describe_api(request: Request) -> dict[str, Any]:
        return {**app.openapi(), "servers": [{"url": request.scope.get("root_path", "")}]}

    @app.get("/api/v1/posture", response_model=schema.PostureAnswer, responses=_ANSWERS)
    async def posture(tenant: _Text = None, product: _Text = None) -> Response:
        """Return the scopes as they are now, worst first: all, or those of a tenant or product."""
        known = await ledger.read_snapshot()
        return _json(known.posture if tenant is product is None else known.select(tenant, product))

    @app.get("/api/v1/licenses", response_model=schema.LicensesAnswer, responses=_ANSWERS)
    async def licenses() -> Response:
        """Return the licences with their readings and forecasts, those that need attention first."""
        return _json((await ledger.read_snapshot()).licenses)

    @app.get(
        "/api/v1/scopes/{key}",
        response_model=schema.ScopeDetailAnswer,
        responses={**_ANSWERS, 404: {"model": schema.ProblemAnswer}},
    )
    async def scope(key: str) -> Response:
        """Return a scope with its days, its newest jobs and the newest verdicts on it."""
        known = await ledger.read_snapshot()
        found = known.find(key)
        if found is None:
            raise _Problem(404, "no_scope", "The ledger knows no such scope any more.")
        return _json(await ledger.ask(("scope", key), lambda _: reading.read_scope(known, found)))

    @app.get("/api/v1/verdicts", response_model=schema.VerdictsAnswer, responses=_ANSWERS)
    async def verdicts(  # noqa: PLR0917  # each is a parameter of the address
        tenant: _Text = None,
        product: _Text = None,
        dag_id: _Text = None,
        run_id: _Text = None,
        task_id: _Text = None,
        map_index: Annotated[int | None, Query(ge=-1, le=1_000_000)] = None,
        limit: Annotated[int, Query(ge=1, le=reading.MOST_VERDICTS)] = reading.MOST_VERDICTS,
        offset: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
    ) -> Response:
        """Return verdicts of a run, of a task or of all: those that did not pass first, then newest first."""
        wanted: dict[str, str | int | None] = {
            "tenant": tenant,
            "product": product,
            "dag_id": dag_id,
            "run_id": run_id,
            "task_id": task_id,
            "map_index": map_index,
        }
        key = ("verdicts", limit, offset, *wanted.values())
        return _json(
            await ledger.ask(
                key,
                lambda settings: reading.read_verdicts(settings.tenants, most=limit, offset=offset, **wanted),
            )
        )


def _tell_no_ledger(error: NoLedgerError) -> _Problem:
    # The file's folders are not for every reader.
    what = "the database has no tables of one" if error.file is None else f"no file {Path(error.file).name}"
    conn_id = conf.get("avepoint", "ledger_conn_id", fallback=None)
    if conn_id:
        where, steps = f"the connection {one_line(conn_id)!r}, which [avepoint] ledger_conn_id names", _STEPS
    else:
        where, steps = "this machine, because [avepoint] ledger_conn_id is not set", [_CONNECT, *_STEPS]
    sentence = f"There is no ledger yet: {what}. The page looked at {where}."
    return _Problem(503, "no_ledger", sentence, steps)


def _tell_release(error: OtherLedgerError) -> _Problem:
    if error.is_newer:
        return _Problem(
            503,
            "newer_ledger",
            "A newer release of airflow-provider-avepoint has migrated the ledger. Upgrade the provider of "
            "Airflow's API server too.",
        )
    return _Problem(
        503,
        "older_ledger",
        "The ledger is of an older release. The next task that writes to it, such as those of the DAG "
        "avepoint_job_ledger, migrates it.",
    )


def _json(content: bytes) -> Response:
    return Response(content, media_type="application/json")
