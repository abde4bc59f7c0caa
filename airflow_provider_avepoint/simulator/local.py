"""The simulator in the caller's own process, for tests and notebooks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from .server import ServerThread

DEMO_CLIENT_ID = "demo-client"
DEMO_CLIENT_SECRET = "demo-secret"  # noqa: S105 - known to all, opens a simulator
INSTALL_HINT = (
    "The AvePoint simulator needs FastAPI and uvicorn: pip install 'airflow-provider-avepoint[simulator]'"
)
_NEEDED = ("fastapi", "starlette", "pydantic", "uvicorn")

JsonObject = dict[str, Any]


class Simulator:
    """An AvePoint stand-in on a loopback port; it runs inside a ``with`` block.

    The methods do the same as the paths of the control API, directly on the same state. They take the same
    names, and raise ``ValueError`` where the control API answers 4xx. Jobs can be added before the server
    runs.

    :param host: the address to listen at.
    :param port: the port; 0 takes a free one.
    :param client_id: the client that is registered from the start, with all scopes.
    :param client_secret: the secret of this client.
    :raises ModuleNotFoundError: FastAPI or uvicorn is missing; the message says what to install.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        client_id: str = DEMO_CLIENT_ID,
        client_secret: str = DEMO_CLIENT_SECRET,
    ) -> None:
        self.client_id = client_id
        self.client_secret = client_secret
        self._host = host
        self._port = port
        self._server: ServerThread | None = None
        with _install_hint():
            from .state import State
        self._state = State(client_id=client_id, client_secret=client_secret)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Listen, and return when the server answers requests.

        :raises OSError: the address cannot be bound.
        :raises RuntimeError: the simulator runs already.
        """
        if self._server is not None:
            raise RuntimeError("the simulator runs already")
        with _install_hint():
            from .app import create_app
            from .server import ServerThread
        self._server = ServerThread(create_app(self._state), host=self._host, port=self._port)
        self._server.start()

    def stop(self) -> None:
        """Close all connections and free the port; the state stays for another start."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    @property
    def url(self) -> str:
        """The base URL, without a slash at its end.

        :raises RuntimeError: the simulator does not run.
        """
        if self._server is None:
            raise RuntimeError("the simulator is not running: use it in a with statement, or call start()")
        return self._server.url

    @property
    def token_url(self) -> str:
        """The URL that grants tokens."""
        return f"{self.url}/connect/token"

    @property
    def connection(self) -> JsonObject:
        """The fields of an Airflow connection to the simulator, as the JSON of ``AIRFLOW_CONN_…`` has them.

        A server that listens at every address of this machine is reached over loopback.
        """
        parts = urlsplit(self.url)
        everywhere = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104  # compared, not bound
        name = everywhere.get(parts.hostname or "")
        host = self.url if name is None else f"{parts.scheme}://{name}:{parts.port}"
        return {
            "conn_type": "avepoint",
            "host": host,
            "login": self.client_id,
            "password": self.client_secret,
            # No proxy of the environment stands between this machine and itself.
            "extra": {"identity_endpoint": f"{host}/connect/token", "trust_env": False},
        }

    def reset(self) -> None:
        """Return to the initial state."""
        self._state.reset()

    def add_job(self, product: str, **fields: Any) -> JsonObject:
        """Add one job; return it with its id.

        :param product: the product's name.
        :param fields: the fields of ``control_schema.JobSpec``.
        :raises ValueError: the product cannot have such a job.
        """
        return self.add_jobs([{"product": product, **fields}])[0]

    def add_jobs(self, jobs: Iterable[Mapping[str, Any]]) -> list[JsonObject]:
        """Add jobs, all or none; return them with their ids.

        :param jobs: the fields of ``control_schema.JobSpec`` of each job.
        :raises ValueError: a product cannot have such a job.
        """
        from .control_schema import JobSpec

        return self._state.add_jobs([JobSpec.model_validate(dict(job)) for job in jobs])

    def generate(self, product: str, count: int, **fields: Any) -> JsonObject:
        """Add finished history in bulk.

        :param product: the product's name.
        :param count: the number of jobs.
        :param fields: the other fields of ``control_schema.GenerateSpec``.
        :returns: ``{"product", "generated", "newest_at", "oldest_at"}``.
        """
        from .control_schema import GenerateSpec

        return self._state.generate(
            GenerateSpec.model_validate({"product": product, "count": count, **fields})
        )

    def jobs(self, product: str, *, limit: int = 1000) -> list[JsonObject]:
        """Return jobs as they are now, newest first.

        :param product: the product's name.
        :param limit: the most jobs to return.
        """
        listed: list[JsonObject] = self._state.jobs(product, limit=limit)["jobs"]
        return listed

    def patch_job(self, product: str, job_id: str, **changes: Any) -> JsonObject:
        """Change fields of a job; return the job as it is now.

        :param product: the product's name.
        :param job_id: the job's id.
        :param changes: the fields of ``control_schema.JobFields`` to change.
        :raises ValueError: there is not exactly one such job, or the product cannot have the changed job.
        """
        from .control_schema import JobFields

        return self._state.patch_job(product, job_id, JobFields.model_validate(changes))

    def delete_job(self, product: str, job_id: str) -> JsonObject:
        """Remove a job; return it as it was.

        :param product: the product's name.
        :param job_id: the job's id.
        :raises ValueError: there is not exactly one such job.
        """
        return self._state.delete_job(product, job_id)

    def set_license(self, product: str, **figures: Any) -> JsonObject:
        """Set licence figures; figures that are not named stay.

        :param product: the product's name.
        :param figures: the fields of ``control_schema.LicenseChange``.
        :returns: the figures, by the vendor's names.
        """
        from .control_schema import LicenseChange

        return self._state.set_license(product, LicenseChange.model_validate(figures))

    def set_reading(self, product: str, name: str, value: Any, **whose: Any) -> JsonObject:
        """Set what an endpoint beside jobs and licences answers.

        ``m365`` has ``schedule``, ``retention`` and ``unusual_activity``; ``salesforce`` has
        ``unusual_activity`` and ``monitor_alerts``; ``elements`` has ``customers``, ``overview``, ``users``,
        ``scan_profiles``, ``scan_changes`` and ``unusual_activity``.

        :param product: the product's name.
        :param name: the endpoint's name.
        :param value: the rows, or the object, in the vendor's form; sent as given.
        :param whose: the other fields of ``control_schema.ReadingChange``.
        :returns: ``{"name", "value"}``.
        """
        from .control_schema import ReadingChange

        return self._state.set_reading(product, name, ReadingChange(value=value, **whose))

    def set_restores(self, **settings: Any) -> JsonObject:
        """Say what becomes of restores that are asked for from now on; what is not named is as usual.

        :param settings: the fields of ``control_schema.RestoreSettings``.
        :returns: all settings.
        """
        from .control_schema import RestoreSettings

        return self._state.set_restores(RestoreSettings.model_validate(settings))

    def restores(self) -> list[JsonObject]:
        """Return the restores that were started by a request, oldest first: id, time, location and body."""
        return self._state.restores()

    def set_quirks(self, product: str, **quirks: Any) -> JsonObject:
        """Set quirks; quirks that are not named stay.

        :param product: the product's name; "all" takes only ``latency_ms``.
        :param quirks: the fields of ``quirks.Quirks``.
        :returns: all quirks.
        """
        return self._state.set_quirks(product, quirks)

    def set_client(self, client_id: str, **fields: Any) -> JsonObject:
        """Register a client, or change the named fields of one; return the client without its secret.

        :param client_id: the client's id.
        :param fields: the fields of ``control_schema.ClientSpec``.
        """
        from .control_schema import ClientSpec

        return self._state.set_client(client_id, ClientSpec.model_validate(fields))

    def set_tokens(self, *, expires_in: float) -> JsonObject:
        """Set the lifetime of tokens that are issued from now on.

        :param expires_in: the lifetime in seconds.
        """
        from .control_schema import TokenSettings

        return self._state.set_tokens(TokenSettings(expires_in=expires_in))

    def set_clock(self, **settings: Any) -> JsonObject:
        """Set the server's clock; settings that are not named stay.

        *ahead_seconds* moves the times of jobs and the ``Date`` header together. *date_header* moves the
        header alone: a number of seconds ahead of the server's clock, a text that is sent as given, or None
        for no header.

        :param settings: the fields of ``control_schema.ClockSettings``.
        :returns: all settings.
        """
        from .control_schema import ClockSettings

        return self._state.set_clock(ClockSettings.model_validate(settings))

    def expire_tokens(self) -> int:
        """Make every issued token invalid; return their number."""
        expired: int = self._state.expire_tokens()["expired"]
        return expired

    def add_fault(self, kind: str, **fields: Any) -> list[JsonObject]:
        """Arm a fault; return all armed faults.

        :param kind: the kind of fault, see ``faults``.
        :param fields: the fields of this kind.
        """
        from .faults import parse_fault

        return self._state.add_fault(parse_fault({"kind": kind, **fields}))

    def faults(self) -> list[JsonObject]:
        """Return the armed faults, with the remaining skip and count."""
        return self._state.faults()

    def clear_faults(self) -> None:
        """Disarm all faults."""
        self._state.clear_faults()

    def requests(self, path: str | None = None, *, since: int = 0) -> list[JsonObject]:
        """Return requests from the log, oldest first.

        :param path: the beginning of their path; None for every path.
        :param since: the index of the first request.
        """
        return self._state.requests(path=path, since=since)

    def stats(self) -> JsonObject:
        """Return ``{"requests": {path: {status: count}}, "tokens": {scope: count}}``."""
        return self._state.stats()

    def seed_demo(self) -> int:
        """Add the demo's history; return the number of its jobs."""
        from .demo import demo_jobs

        return len(self.add_jobs(demo_jobs()))


@contextmanager
def _install_hint() -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _NEEDED:
            raise
        raise ModuleNotFoundError(INSTALL_HINT, name=error.name) from error
