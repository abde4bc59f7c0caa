"""What every test shares: an Airflow home of its own, a simulator over real sockets, a connection to it."""

from __future__ import annotations

import atexit
import gc
import os
import shutil
import tempfile
from pathlib import Path

import certifi

# Before the first import of Airflow: it reads its settings then.
_HOME = Path(tempfile.mkdtemp(prefix="avepoint-tests-"))
atexit.register(shutil.rmtree, _HOME, ignore_errors=True)
# One authority, where the bundles have 140: each session of aiohttp reads all of them, which takes 20 ms.
_BUNDLE = _HOME / "authorities.pem"
_BUNDLE.write_text(
    certifi.contents().partition("-----END CERTIFICATE-----")[0] + "-----END CERTIFICATE-----\n"
)
os.environ.update(
    REQUESTS_CA_BUNDLE=str(_BUNDLE),
    AIRFLOW_HOME=str(_HOME),
    AIRFLOW__CORE__UNIT_TEST_MODE="True",
    AIRFLOW__CORE__LOAD_EXAMPLES="False",
    AIRFLOW__CORE__DAGS_FOLDER=str(Path(__file__).parent.parent / "dags"),
    AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=f"sqlite:///{_HOME / 'airflow.db'}",
    AIRFLOW__LOGGING__LOGGING_LEVEL="WARNING",
)

import json  # noqa: E402
import warnings  # noqa: E402
from collections.abc import Callable, Iterator  # noqa: E402

import pytest  # noqa: E402

from airflow_provider_avepoint.core.auth import TOKENS  # noqa: E402
from airflow_provider_avepoint.simulator import Simulator  # noqa: E402
from tests.versions import IGNORED_WARNINGS, find_what_is_lacking, reset_masker  # noqa: E402

for _module, _category in IGNORED_WARNINGS.items():  # while other conftest files are loaded
    warnings.filterwarnings("ignore", category=_category, module=_module)


def pytest_configure(config: pytest.Config) -> None:
    """Ignore the same in tests."""
    for module, category in IGNORED_WARNINGS.items():
        config.addinivalue_line("filterwarnings", f"ignore::{category.__name__}:{module}.*")


#: Fixtures that start a server, which a system package holds.
_SERVERS = {"postgres", "own_postgres", "postgres_database"}


class _Skipped(pytest.Module):
    """A file of tests that this Airflow cannot even import."""

    reason = ""

    def collect(self) -> list[pytest.Item]:
        raise pytest.skip.Exception(self.reason)


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    reason = find_what_is_lacking(module_path.relative_to(Path(__file__).parent).as_posix())
    if reason is None:
        return None
    module: _Skipped = _Skipped.from_parent(parent, path=module_path)
    module.reason = reason
    return module


@pytest.hookimpl(tryfirst=True)  # before pytest selects by marks, and before xdist reads them
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what ``make test-system`` runs, and keep the tests of one Airflow on one of pytest's processes.

    What runs without coverage comes last: coverage sees a thread from its start, such as the simulator's, and
    no longer sees the thread after a pause.
    """
    for item in items:
        fixtures = getattr(item, "fixturenames", ())
        if item.get_closest_marker("airflow"):
            item.add_marker(pytest.mark.xdist_group("shared-airflow" if "gate" in fixtures else "airflows"))
        if item.get_closest_marker("airflow") or _SERVERS.intersection(fixtures):
            item.add_marker(pytest.mark.system)
    items.sort(key=lambda item: item.get_closest_marker("no_cover") is not None)


def pytest_collection_finish() -> None:
    """Let the garbage collector leave alone what Airflow and all tests have loaded, which stays."""
    import hypothesis  # noqa: F401  # which looks for referrers as it loads, and would find none later

    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def running_simulator() -> Iterator[Simulator]:
    with Simulator() as simulator:
        yield simulator


@pytest.fixture
def simulator(running_simulator: Simulator) -> Simulator:
    """Return the simulator as it is at its start: the demo client, no jobs, no faults."""
    running_simulator.reset()
    return running_simulator


@pytest.fixture(autouse=True)
def _no_tokens_of_other_tests() -> Iterator[None]:
    """Forget tokens, here and in Airflow's masker, which would grow slower with each one it has seen."""
    TOKENS.clear()
    yield
    TOKENS.clear()
    reset_masker()


@pytest.fixture
def connect(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Return a function that defines an Airflow connection to the simulator and returns its id."""

    def define(conn_id: str = "avepoint_default", *, extra: dict | None = None, **fields: object) -> str:
        connection = {
            "conn_type": "avepoint",
            "host": simulator.url,
            "login": simulator.client_id,
            "password": simulator.client_secret,
            "extra": {"identity_endpoint": simulator.token_url, **(extra or {})},
            **fields,
        }
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(connection))
        return conn_id

    return define
