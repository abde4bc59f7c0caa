"""
Hold docker-compose.yaml, its Dockerfile and demo/compose_env.py against what they name.

No container engine is needed: the Compose specification's schema and podman-compose's parser read the
file, and every command, option, path, port and variable in it is looked up in Airflow, in the package
and in the checkout.
"""

from __future__ import annotations

import argparse
import fnmatch
import importlib.util
import ipaddress
import itertools
import json
import os
import re
import shlex
import socket
import subprocess
import sys
import threading
import time
import tomllib
import urllib.parse
import warnings
from http.server import HTTPServer
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests
import yaml
from airflow import version as airflow_version
from airflow.cli import cli_parser
from airflow.configuration import conf
from airflow.executors.executor_loader import ExecutorLoader
from airflow.models.connection import Connection
from airflow.secrets.environment_variables import EnvironmentVariablesBackend
from airflow.utils.scheduler_health import HealthServer
from celery.app.utils import find_app  # type: ignore[import-untyped]  # it has no types
from celery.bin.celery import celery as celery_command  # type: ignore[import-untyped]  # it has no types
from cryptography.fernet import Fernet
from sqlalchemy.engine import make_url

from airflow_provider_avepoint.core.settings import Settings

with warnings.catch_warnings():
    warnings.simplefilter(
        "ignore"
    )  # what Airflow's own API modules warn of when imported is not ours to mend
    from airflow.api_fastapi.app import create_app
    from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import (
        SimpleAuthManager,
        SimpleAuthManagerRole,
    )
    from airflow.api_fastapi.core_api.routes.public import public_router

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from types import ModuleType

ROOT = Path(__file__).resolve().parents[1]
COMPOSE_FILE = ROOT / "docker-compose.yaml"
DOCKERFILE = ROOT / "Dockerfile"
PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
AIRFLOW_HOME = "/opt/airflow"  # of the official image
SIMULATORS_OWN = "demo-secret"  # the one secret that the file may hold

AIRFLOW_SERVICES = [
    "airflow-apiserver",
    "airflow-dag-processor",
    "airflow-init",
    "airflow-scheduler",
    "airflow-triggerer",
    "airflow-worker",
]
SERVICES = sorted([*AIRFLOW_SERVICES, "avepoint-simulator", "postgres", "redis"])


def load_compose_env() -> ModuleType:
    """Import demo/compose_env.py, which is a script and in no package."""
    spec = importlib.util.spec_from_file_location("compose_env", ROOT / "demo" / "compose_env.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


compose_env = load_compose_env()
REQUIRED = sorted(compose_env.new_secrets())


def parse(env_file: Path) -> subprocess.CompletedProcess[str]:
    """Read the compose file as `podman-compose config` does, with the variables of *env_file* alone."""
    return subprocess.run(
        [
            *(sys.executable, "-m", "podman_compose", "--env-file", str(env_file), "--file", COMPOSE_FILE),
            # It asks its engine for a version, and here for nothing else: Python has one to tell.
            *("--podman-path", sys.executable, "config"),
        ],
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def write_variables(path: Path, variables: Mapping[str, str]) -> Path:
    path.write_text("".join(f"{name}={value}\n" for name, value in variables.items()))
    return path


def resolved(directory: Path, variables: Mapping[str, str]) -> dict[str, Any]:
    done = parse(write_variables(directory / "variables", variables))
    assert done.returncode == 0, done.stderr
    stack = yaml.safe_load(done.stdout)
    assert isinstance(stack, dict)
    return stack


@pytest.fixture(scope="module")
def variables() -> dict[str, str]:
    """Return one set of generated secrets."""
    return dict(compose_env.new_secrets())


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, variables: dict[str, str]) -> dict[str, Any]:
    """Return the compose file as a parser resolves it: anchors merged, variables filled in."""
    return resolved(tmp_path_factory.mktemp("compose"), variables)


def environment(stack: dict[str, Any], service: str) -> dict[str, str]:
    return {name: str(value) for name, value in stack["services"][service].get("environment", {}).items()}


def words(command: str | list[str]) -> list[str]:
    return shlex.split(command) if isinstance(command, str) else command


def shell_script(stack: dict[str, Any], service: str) -> str:
    """Return the script of a service that starts as `bash -ec SCRIPT`."""
    interpreter, options, script = words(stack["services"][service]["command"])
    assert (interpreter, options) == ("bash", "-ec")
    return script


# --- the file as Compose sees it ------------------------------------------------------------------


def test_the_file_satisfies_the_compose_specification() -> None:
    """The schema of the Compose specification accepts the file as it is written."""
    checker = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run([*checker, COMPOSE_FILE], capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


def test_the_services_are_those_of_airflow_and_the_simulator(stack: dict[str, Any]) -> None:
    """The layout is that of Airflow's own compose file, plus the simulator."""
    assert sorted(stack["services"]) == SERVICES


def test_every_dependency_can_be_fulfilled(stack: dict[str, Any]) -> None:
    """What is waited for to be healthy has a check, and what is waited for to complete does end."""
    services = stack["services"]
    for name, service in services.items():
        for dependency, wanted in service.get("depends_on", {}).items():
            other = services[dependency]
            if wanted["condition"] == "service_healthy":
                assert "healthcheck" in other, f"{name} waits for {dependency}"
            else:
                assert wanted["condition"] == "service_completed_successfully"
                assert other["restart"] == "no", f"{name} waits for the end of {dependency}"


def test_every_service_that_stays_up_has_a_health_check(stack: dict[str, Any]) -> None:
    """Only airflow-init, whose end is what others wait for, has none."""
    unchecked = [name for name, service in stack["services"].items() if "healthcheck" not in service]

    assert unchecked == ["airflow-init"]


def test_ports_are_published_on_loopback_only(stack: dict[str, Any]) -> None:
    """Nobody but the user's own machine reaches the stack."""
    published = {
        name: tuple(port.rsplit(":", 2))
        for name, service in stack["services"].items()
        for port in service.get("ports", [])
    }

    assert sorted(published) == ["airflow-apiserver", "avepoint-simulator"]
    for name, (address, _, container_port) in published.items():
        assert ipaddress.ip_address(address).is_loopback, name
        assert int(container_port) == listening_port(stack, name)


def listening_port(stack: dict[str, Any], service: str) -> int:
    """Return the port that a service's program listens on, by its command or its own default."""
    match service:
        case "avepoint-simulator":
            arguments = words(stack["services"][service]["command"])
            return int(arguments[arguments.index("--port") + 1])
        case "airflow-apiserver":
            return conf.getint("api", "port")
        case "airflow-scheduler":
            return conf.getint("scheduler", "scheduler_health_check_server_port")
        case "postgres":
            return 5432
        case "redis":
            return 6379
    raise AssertionError(service)


def test_every_mounted_path_exists_and_is_read_only(stack: dict[str, Any]) -> None:
    """What the stack mounts of the checkout is there, and no container can change it."""
    mounted = []
    for name, service in stack["services"].items():
        for volume in service.get("volumes", []):
            source, target, *mode = volume.split(":")
            if source.startswith("."):
                assert (ROOT / source).exists(), f"{name}: {volume}"
                assert mode == ["ro"], f"{name}: {volume}"
                mounted.append((name, target))
            else:
                assert source in stack["volumes"], f"{name}: {volume}"

    assert sorted(mounted) == [(name, f"{AIRFLOW_HOME}/dags") for name in AIRFLOW_SERVICES]


# --- secrets --------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [None, ""], ids=["unset", "empty"])
@pytest.mark.parametrize("missing", REQUIRED)
def test_compose_refuses_to_start_without_a_secret(
    missing: str, value: str | None, variables: dict[str, str], tmp_path: Path
) -> None:
    """A secret that is unset or empty stops compose, which names it and the command that makes it."""
    rest = {name: secret for name, secret in variables.items() if name != missing}
    done = parse(write_variables(tmp_path / "variables", rest if value is None else {**rest, missing: value}))

    assert done.returncode != 0
    assert f"{missing} is missing a value: run python3 demo/compose_env.py" in done.stderr


def test_the_generated_variables_are_those_the_file_requires() -> None:
    """demo/compose_env.py makes each variable of the file, and none that nobody reads."""
    used = set(re.findall(r"(?<!\$)\$\{(\w+)", COMPOSE_FILE.read_text()))

    assert used == set(REQUIRED)


def secrets_in(stack: dict[str, Any]) -> set[str]:
    """Return whatever a stack's environment holds as a secret: by its name, in a URL or in a connection."""
    found = set()
    for service in stack["services"]:
        for name, value in environment(stack, service).items():
            if value.startswith("{"):
                found.add(json.loads(value)["password"])
            elif "://" in value:
                found.add(urllib.parse.urlsplit(value).password)
            elif re.search("PASSWORD|SECRET|KEY|TOKEN", name) and not name.endswith("_FILE"):
                found.add(value)
    return found - {None}


def test_the_file_holds_no_secret_but_the_simulators(
    stack: dict[str, Any], variables: dict[str, str], tmp_path: Path
) -> None:
    """Every secret of the stack comes from a variable, and changes with it."""
    other = compose_env.new_secrets()

    assert secrets_in(stack) == {SIMULATORS_OWN, *variables.values()}
    assert secrets_in(resolved(tmp_path, other)) == {SIMULATORS_OWN, *other.values()}


def test_the_secrets_have_the_forms_that_airflow_needs() -> None:
    """Airflow takes each secret, and those that stand in URLs and JSON need no escaping there."""
    made = compose_env.new_secrets()

    Fernet(made["AIRFLOW_FERNET_KEY"])
    # RFC 7518, section 3.2: a key as long as the hash, and Airflow signs with HS512.
    assert len(made["AIRFLOW_JWT_SECRET"].encode()) >= 64
    for name in sorted(made.keys() - {"AIRFLOW_FERNET_KEY"}):
        assert urllib.parse.quote(made[name], safe="") == made[name]
    assert not set(made.values()) & set(compose_env.new_secrets().values())


def run_env_script(checkout: Path) -> subprocess.CompletedProcess[str]:
    """Run a copy of the script in an empty checkout, with no package to import but the standard library."""
    script = checkout / "demo" / "compose_env.py"
    script.parent.mkdir(exist_ok=True)
    script.write_bytes((ROOT / "demo" / "compose_env.py").read_bytes())
    return subprocess.run(
        [sys.executable, "-I", "-S", str(script)], capture_output=True, text=True, timeout=60, check=False
    )


def test_the_env_file_is_complete_and_readable_by_its_owner_alone(tmp_path: Path) -> None:
    """One run of the script writes all that compose asks for, and shows no secret."""
    done = run_env_script(tmp_path)

    assert done.returncode == 0, done.stderr
    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600
    assert parse(tmp_path / ".env").returncode == 0
    written = dict(line.split("=", 1) for line in (tmp_path / ".env").read_text().splitlines())
    assert sorted(written) == REQUIRED
    assert not [secret for secret in written.values() if secret in done.stdout + done.stderr]


def test_an_env_file_is_never_overwritten(tmp_path: Path) -> None:
    """A second run fails, says why and leaves the file as it was."""
    (tmp_path / ".env").write_text("MINE=1\n")

    done = run_env_script(tmp_path)

    assert done.returncode == 1
    assert "exists and stays as it is" in done.stderr
    assert (tmp_path / ".env").read_text() == "MINE=1\n"


def test_git_ignores_the_env_file() -> None:
    """The secrets cannot be committed by accident."""
    assert {".env", "/.env"} & set((ROOT / ".gitignore").read_text().split())


# --- Airflow's settings ---------------------------------------------------------------------------


def options(stack: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Return every Airflow option that any service sets, as (section, option, value)."""
    found = set()
    for service in stack["services"]:
        for name, value in environment(stack, service).items():
            if name.startswith("AIRFLOW__"):
                _, section, option = name.lower().split("__")
                found.add((section, option, value))
    return sorted(found)


def option(stack: dict[str, Any], name: str) -> str:
    """Return the one value that the services give to an option, whatever its section."""
    (value,) = {value for _, option, value in options(stack) if option == name}
    return value


def reader_of(described: Mapping[str, Any]) -> Callable[[str, str], Any]:
    """Return Airflow's reader for an option; a "string" whose default is a number or a truth value is one."""
    default = str(described["default"])
    if described["type"] == "boolean" or default in ("True", "False"):
        return conf.getboolean
    if described["type"] == "integer" or default.isdecimal():
        return conf.getint
    assert described["type"] == "string"
    return conf.get


def test_every_airflow_option_is_known_and_takes_its_value(
    stack: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Airflow knows each option, has not deprecated it, and reads the value as the option's kind."""
    for section, name, value in options(stack):
        described = conf.configuration_description.get(section, {}).get("options", {}).get(name)
        assert described, f"[{section}] {name} is not an option of Airflow {airflow_version.version}"
        assert not described.get("version_deprecated"), f"[{section}] {name} is deprecated"
        monkeypatch.setenv(f"AIRFLOW__{section.upper()}__{name.upper()}", value)
        assert reader_of(described)(section, name) is not None


def test_every_service_of_airflow_shares_one_configuration(stack: dict[str, Any]) -> None:
    """No service loses an option or a connection of the others by having variables of its own."""
    common = environment(stack, "airflow-scheduler").items()
    own = {name: set(environment(stack, name)) - dict(common).keys() for name in AIRFLOW_SERVICES}

    assert [name for name in AIRFLOW_SERVICES if not common <= environment(stack, name).items()] == []
    assert {name: sorted(names) for name, names in own.items() if names} == {
        "airflow-apiserver": [
            "AIRFLOW_ADMIN_PASSWORD",
            "AIRFLOW__CORE__AUTH_MANAGER",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS",
        ],
        "airflow-init": ["PGDATABASE", "PGHOST", "PGPASSWORD", "PGUSER"],
        "airflow-worker": ["DUMB_INIT_SETSID"],
    }


def test_a_deferred_task_is_not_failed_for_a_quick_trigger(stack: dict[str, Any]) -> None:
    """The heartbeat interval is the one that keeps Airflow 3.3.2's deferral race rare."""
    assert ("workers", "min_heartbeat_interval", "1") in options(stack)


def test_the_executor_runs_on_celery(stack: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """The executor can be loaded by its name, and it is the one that the worker serves."""
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", option(stack, "executor"))

    executor, _ = ExecutorLoader.import_default_executor_cls()

    assert executor.__module__ == "airflow.providers.celery.executors.celery_executor"


def test_every_url_leads_to_a_service_of_the_stack(stack: dict[str, Any]) -> None:
    """The host of each URL is a service, and the port is the one it listens on."""
    seen = set()
    for service in stack["services"]:
        for value in environment(stack, service).values():
            for url in re.findall(r"[a-z0-9+]+://[^\s\",]+", value):
                parts = urllib.parse.urlsplit(url)
                assert parts.hostname in stack["services"], url
                assert parts.port == listening_port(stack, parts.hostname), url
                seen.add(parts.hostname)

    assert sorted(seen) == ["airflow-apiserver", "avepoint-simulator", "postgres", "redis"]


def test_airflow_signs_in_to_postgres_as_the_user_it_makes(stack: dict[str, Any]) -> None:
    """Both database URLs name the driver, and carry the user, password and database of the service."""
    postgres = environment(stack, "postgres")
    expected = ("postgresql+psycopg2", *(postgres[f"POSTGRES_{key}"] for key in ("USER", "PASSWORD", "DB")))

    for url in (option(stack, "sql_alchemy_conn"), option(stack, "result_backend").removeprefix("db+")):
        made = make_url(url)
        assert (made.drivername, made.username, made.password, made.database) == expected


@pytest.fixture(scope="module")
def api_routes() -> dict[str, Any]:
    """Return what the API server serves, by path: the execution API as one, the public API in full."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as above
        routes = [*create_app("execution").routes, *public_router.routes]
    return {path: route for route in routes if (path := getattr(route, "path", None))}


def test_the_execution_api_is_where_tasks_look_for_it(
    stack: dict[str, Any], api_routes: dict[str, Any]
) -> None:
    """The path of the execution API's URL is one that the API server serves."""
    path = urllib.parse.urlsplit(option(stack, "execution_api_server_url")).path

    assert path.rstrip("/") in api_routes


# --- commands -------------------------------------------------------------------------------------


def airflow_commands(stack: dict[str, Any]) -> Iterator[list[str]]:
    """Yield the arguments of each `airflow` call: the services' own, in their scripts, in health checks."""
    for name in AIRFLOW_SERVICES:
        service = stack["services"][name]
        command = words(service["command"])
        if command[0] == "bash":
            for line in command[2].splitlines():
                if line.startswith(("airflow ", "exec airflow ")):
                    yield shlex.split(line.removeprefix("exec "))[1:]
        else:
            yield command  # the image's entrypoint puts `airflow` before it
        kind, *check = service.get("healthcheck", {"test": ["NONE"]})["test"]
        if kind == "CMD" and check[0] == "airflow":
            yield check[1:]


def test_every_airflow_command_exists(stack: dict[str, Any]) -> None:
    """Airflow's own parser takes each command with its arguments."""
    commands = list(airflow_commands(stack))
    for arguments in commands:
        cli_parser.get_parser().parse_args(arguments)  # SystemExit where it does not

    assert sorted(" ".join(itertools.islice(arguments, 2)) for arguments in commands) == [
        *("api-server", "celery worker", "dag-processor", "db migrate", "jobs check", "jobs check"),
        *("scheduler", "triggerer"),
    ]


@pytest.mark.parametrize(
    ("service", "job"), [("airflow-dag-processor", "DagProcessorJob"), ("airflow-triggerer", "TriggererJob")]
)
def test_a_process_check_asks_for_its_own_job(service: str, job: str, stack: dict[str, Any]) -> None:
    """The check is about this service on this host, not about any that is alive somewhere."""
    _, _, *arguments = stack["services"][service]["healthcheck"]["test"]
    asked = cli_parser.get_parser().parse_args(arguments)

    assert (asked.job_type, asked.local) == (job, True)


def test_the_workers_check_is_a_celery_command(stack: dict[str, Any]) -> None:
    """Celery takes the check's arguments, finds the app, and asks the worker of this very container."""
    kind, script = stack["services"]["airflow-worker"]["healthcheck"]["test"]
    expanded = subprocess.run(
        ["/bin/sh", "-c", f"set -- {script}; printf '%s\\n' \"$@\""],
        env={"HOSTNAME": "a-container"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    program, *arguments = expanded.stdout.splitlines()
    context = celery_command.make_context(program, arguments)
    name, command, rest = celery_command.resolve_command(context, arguments[arguments.index("inspect") :])
    assert command is not None
    asked = command.make_context(name, rest, parent=context).params

    assert (kind, program, name) == ("CMD-SHELL", "celery", "inspect")
    assert find_app(context.params["app"]).main == "airflow.providers.celery.executors.celery_executor"
    assert (asked["command"], asked["destination"]) == ("ping", ["celery@a-container"])


def run_script(
    script: str, directory: Path, variables: Mapping[str, str], programs: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run a service's script with *programs* (name to shell text) in the place of those it calls."""
    programs = {"python": f'exec {shlex.quote(sys.executable)} "$@"', **programs}
    for name, text in programs.items():
        program = directory / name
        program.write_text(f"#!/bin/sh\n{text}\n")
        program.chmod(0o755)
    return subprocess.run(
        ["bash", "-ec", script],
        env={**variables, "PATH": f"{directory}{os.pathsep}{os.environ['PATH']}"},
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("password", ["from-the-env-file", "with \"quotes\", \\ and 'more'"])
def test_the_admin_signs_in_with_the_password_of_the_env_file(
    password: str, stack: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the password, Airflow reads it for its one user, from a file that only its owner can read."""
    users, passwords_file = (
        f"AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_{key}" for key in ("USERS", "PASSWORDS_FILE")
    )
    own = environment(stack, "airflow-apiserver")
    own["AIRFLOW_ADMIN_PASSWORD"] = password
    own[passwords_file] = own[passwords_file].replace(AIRFLOW_HOME, str(tmp_path))
    server = 'printf %s "$*:${AIRFLOW_ADMIN_PASSWORD-unset}"'
    done = run_script(shell_script(stack, "airflow-apiserver"), tmp_path, own, {"airflow": server})
    for name in (users, passwords_file):
        monkeypatch.setenv(name, own[name])

    assert (done.stdout, done.stderr) == ("api-server:unset", "")
    assert SimpleAuthManager.get_passwords() == {"admin": password}
    assert Path(own[passwords_file]).stat().st_mode & 0o777 == 0o600
    assert [(user.username, user.role) for user in SimpleAuthManager.get_users()] == [
        ("admin", SimpleAuthManagerRole.ADMIN.name.lower())
    ]


def test_the_auth_manager_is_the_one_that_the_users_are_set_up_for(
    stack: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The API server loads the auth manager whose users and passwords file are configured."""
    monkeypatch.setenv("AIRFLOW__CORE__AUTH_MANAGER", option(stack, "auth_manager"))

    assert conf.getimport("core", "auth_manager") is SimpleAuthManager
    assert not conf.getboolean("core", "simple_auth_manager_all_admins")


# Stands in for the driver: keeps the databases in a file, and takes CREATE DATABASE as Postgres does.
FAKE_PSYCOPG2 = """
import os
from pathlib import Path

STATE = Path(__file__).with_name("databases")


class Connection:
    autocommit = False

    def __init__(self):
        self.found = None

    def cursor(self):
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def close(self):
        pass

    def execute(self, sql):
        databases = STATE.read_text().split()
        if sql.startswith("CREATE DATABASE "):
            name = sql.removeprefix("CREATE DATABASE ")
            assert self.autocommit, "CREATE DATABASE cannot run inside a transaction block"
            assert name not in databases, f"database {name} already exists"
            STATE.write_text(" ".join([*databases, name]))
        else:
            name = sql.removeprefix("SELECT 1 FROM pg_database WHERE datname = ").strip("'")
            self.found = (1,) if name in databases else None

    def fetchone(self):
        return self.found


def connect(dsn):
    assert dsn == ""
    assert os.environ["PGHOST"] and os.environ["PGPASSWORD"]
    return Connection()
"""


def test_the_warehouse_is_made_once(stack: dict[str, Any], tmp_path: Path) -> None:
    """airflow-init makes the database that the warehouse connection names, and can run again."""
    (tmp_path / "psycopg2.py").write_text(FAKE_PSYCOPG2)
    (tmp_path / "databases").write_text("airflow")
    own = {**environment(stack, "airflow-init"), "PYTHONPATH": str(tmp_path)}
    for _ in range(2):
        done = run_script(shell_script(stack, "airflow-init"), tmp_path, own, {"airflow": "exit 0"})
        assert done.returncode == 0, done.stderr

    assert (tmp_path / "databases").read_text().split() == [
        own["PGDATABASE"],
        connection(stack, "avepoint_warehouse").schema,
    ]


def test_init_signs_in_as_the_user_of_postgres(stack: dict[str, Any]) -> None:
    """The PG* variables of airflow-init name the postgres service, its user, password and database."""
    init, postgres = environment(stack, "airflow-init"), environment(stack, "postgres")

    assert init["PGHOST"] == "postgres"
    for libpq, image in {"USER": "USER", "PASSWORD": "PASSWORD", "DATABASE": "DB"}.items():
        assert init[f"PG{libpq}"] == postgres[f"POSTGRES_{image}"]


def test_a_failed_migration_stops_the_stack(stack: dict[str, Any], tmp_path: Path) -> None:
    """airflow-init fails when the migration does, so that nothing starts on a half-made database."""
    done = run_script(
        shell_script(stack, "airflow-init"),
        tmp_path,
        environment(stack, "airflow-init"),
        {"airflow": "exit 3", "python": "echo went on"},
    )

    assert (done.returncode, done.stdout) == (3, "")


# --- health checks over HTTP ----------------------------------------------------------------------


def health_url(stack: dict[str, Any], service: str) -> urllib.parse.SplitResult:
    """Return the URL of a service's `curl` check, which is on the port that the service listens on."""
    kind, *curl = stack["services"][service]["healthcheck"]["test"]
    assert (kind, curl[:-1]) == ("CMD", ["curl", "--fail", "--silent"])
    url = urllib.parse.urlsplit(str(curl[-1]))
    assert (url.hostname, url.port) == ("localhost", listening_port(stack, service))
    return url


def status_of(url: str, form: Mapping[str, str] | None = None) -> int:
    return requests.request("POST" if form else "GET", url, data=form, timeout=10).status_code


def test_the_api_servers_check_is_a_route_of_it(stack: dict[str, Any], api_routes: dict[str, Any]) -> None:
    """The API server has the path, and serves it without a login."""
    route = api_routes[health_url(stack, "airflow-apiserver").path]

    assert (route.methods, route.dependencies) == ({"GET"}, [])


def test_the_schedulers_check_is_answered_by_its_health_server(stack: dict[str, Any]) -> None:
    """The scheduler's health server knows the path (503: no scheduler runs here), and is switched on."""
    server = HTTPServer(("127.0.0.1", 0), HealthServer)
    threading.Thread(target=server.handle_request, daemon=True).start()
    path = health_url(stack, "airflow-scheduler").path

    assert status_of(f"http://127.0.0.1:{server.server_port}{path}") == 503
    assert option(stack, "enable_health_check") == "true"
    server.server_close()


@pytest.fixture(scope="module")
def simulator_arguments(stack: dict[str, Any]) -> list[str]:
    """Return the simulator's arguments, after its program's name."""
    return words(stack["services"]["avepoint-simulator"]["command"])[1:]


@pytest.fixture(scope="module")
def simulator_url(simulator_arguments: list[str]) -> Iterator[str]:
    """Run the simulator as the stack does, but on a free port of the loopback; yield its URL."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    arguments = simulator_arguments.copy()
    arguments[arguments.index("--host") + 1] = "127.0.0.1"
    arguments[arguments.index("--port") + 1] = str(port)
    with subprocess.Popen(
        [sys.executable, "-m", "airflow_provider_avepoint.simulator", *arguments],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
    ) as server:
        deadline = time.monotonic() + 30
        while True:
            assert server.poll() is None, "the simulator ended"
            assert time.monotonic() < deadline, "the simulator does not listen"
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except ConnectionRefusedError:
                time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
        server.terminate()


def test_the_simulators_check_is_answered(stack: dict[str, Any], simulator_url: str) -> None:
    """The simulator answers the health check's path with 200."""
    assert status_of(f"{simulator_url}{health_url(stack, 'avepoint-simulator').path}") == 200


# --- the simulator and the connections ------------------------------------------------------------


def connection(stack: dict[str, Any], conn_id: str) -> Connection:
    """Return a connection as Airflow's environment backend reads it."""
    name = f"AIRFLOW_CONN_{conn_id.upper()}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(name, environment(stack, "airflow-worker")[name])
        found = EnvironmentVariablesBackend().get_connection(conn_id)
    assert isinstance(found, Connection)
    return found


def test_the_simulators_console_script_takes_its_arguments(
    stack: dict[str, Any], simulator_arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command is a script of the package; it listens to other containers and knows the connection."""
    real = argparse.ArgumentParser.parse_args

    def parse_and_stop(self: argparse.ArgumentParser, args: Sequence[str] | None = None) -> None:
        raise StopIteration(real(self, args))

    name = words(stack["services"]["avepoint-simulator"]["command"])[0]
    main = EntryPoint(name, PYPROJECT["project"]["scripts"][name], "console_scripts").load()
    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse_and_stop)
    monkeypatch.setattr(sys, "argv", [name, *simulator_arguments])
    with pytest.raises(StopIteration) as caught:
        main()
    parsed = caught.value.value
    avepoint = connection(stack, "avepoint_default")

    assert ipaddress.ip_address(parsed.host).is_unspecified
    assert (parsed.port, parsed.seed_demo) == (listening_port(stack, "avepoint-simulator"), True)
    assert (parsed.client_id, parsed.client_secret) == (avepoint.login, avepoint.password)


def test_the_avepoint_connection_is_one_that_the_provider_accepts(stack: dict[str, Any]) -> None:
    """The provider reads the predefined connection, and finds the simulator at both addresses."""
    made = connection(stack, "avepoint_default")
    settings = Settings.from_fields(
        conn_id="avepoint_default",
        host=made.host,
        port=made.port,
        login=made.login,
        password=made.password,
        extra=made.extra_dejson,
    )
    port = listening_port(stack, "avepoint-simulator")

    assert made.conn_type == "avepoint"
    assert settings.base_url == f"http://avepoint-simulator:{port}"
    assert urllib.parse.urlsplit(settings.identity_endpoint).netloc == f"avepoint-simulator:{port}"
    assert settings.client_secret == SIMULATORS_OWN


def test_the_simulator_grants_the_connection_a_token(stack: dict[str, Any], simulator_url: str) -> None:
    """The connection's credentials are good at its token URL, and others are not."""
    made = connection(stack, "avepoint_default")
    path = urllib.parse.urlsplit(made.extra_dejson["identity_endpoint"]).path
    form = {
        "grant_type": "client_credentials",
        "scope": "dynamics.readwrite.all",
        "client_id": str(made.login),
        "client_secret": str(made.password),
    }

    assert status_of(simulator_url + path, form) == 200
    assert status_of(simulator_url + path, {**form, "client_secret": "another"}) == 400


def test_the_warehouse_is_a_database_of_the_postgres_service(stack: dict[str, Any]) -> None:
    """The example DAGs' connection signs in to postgres as its user, beside Airflow's own database."""
    made = connection(stack, "avepoint_warehouse")
    postgres = environment(stack, "postgres")

    assert made.conn_type == "postgres"
    assert (made.host, made.port) == ("postgres", listening_port(stack, "postgres"))
    assert (made.login, made.password) == (postgres["POSTGRES_USER"], postgres["POSTGRES_PASSWORD"])
    assert made.schema not in (None, postgres["POSTGRES_DB"])


# --- the image ------------------------------------------------------------------------------------


def instructions(keyword: str) -> list[list[str]]:
    """Return the arguments of each instruction of the Dockerfile, without its --flags."""
    joined = re.sub(r"\\\n\s*", "", DOCKERFILE.read_text())
    found = [shlex.split(line)[1:] for line in joined.splitlines() if line.startswith(f"{keyword} ")]
    return [[word for word in arguments if not word.startswith("--")] for arguments in found]


def enters_the_build(path: str) -> bool:
    """Tell whether .dockerignore lets a path in: of the lines that match it or a parent, the last counts."""
    parents = [path, *map(str, Path(path).parents)]
    kept = True
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        if line and not line.startswith("#"):
            pattern = line.removeprefix("!").removeprefix("**/")
            names = [Path(parent).name for parent in parents] if "**/" in line else parents
            if any(fnmatch.fnmatch(name, pattern) for name in names):
                kept = line.startswith("!")
    return kept


def test_the_image_is_of_the_airflow_version_under_test() -> None:
    """The base image's tag is the version that these tests run on."""
    assert instructions("FROM") == [[f"apache/airflow:{airflow_version.version}"]]


def test_one_service_builds_the_image_and_none_pulls_it(stack: dict[str, Any]) -> None:
    """Every service of ours runs the image of this checkout, which is never asked of a registry."""
    ours = {name: stack["services"][name] for name in [*AIRFLOW_SERVICES, "avepoint-simulator"]}

    assert {s["image"] for s in ours.values()} == {f"avepoint-demo-airflow:{airflow_version.version}"}
    assert {name for name, service in ours.items() if "build" in service} == {"airflow-init"}
    assert {name: service["pull_policy"] for name, service in ours.items()} == {
        name: "build" if name == "airflow-init" else "never" for name in ours
    }


def test_the_image_is_built_from_all_that_the_package_needs() -> None:
    """What the Dockerfile copies exists, enters the build, and is what pyproject.toml builds a wheel of."""
    copied = [source for *sources, _ in instructions("COPY") for source in sources]
    project = PYPROJECT["project"]
    needed = {
        "pyproject.toml",
        project["readme"],
        *project["license-files"],
        *PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"],
    }

    assert sorted(copied) == sorted(needed)
    assert [source for source in copied if not (ROOT / source).exists()] == []
    assert [source for source in copied if not enters_the_build(source)] == []
    assert enters_the_build(PYPROJECT["tool"]["hatch"]["version"]["path"])


@pytest.mark.parametrize(
    "path", [".env", ".git/config", "dags/x.py", "airflow_provider_avepoint/__pycache__/x.pyc"]
)
def test_nothing_else_enters_the_build(path: str) -> None:
    """No secret, history or litter reaches the build, whatever the Dockerfile copies."""
    assert not enters_the_build(path)


def test_the_image_holds_the_package_and_what_the_dags_need() -> None:
    """The image installs the copied checkout with a real extra, beside an Airflow that must not move."""
    directory = instructions("COPY")[0][-1]
    (command,) = instructions("RUN")
    _, _, airflow, package, *providers = command

    assert airflow == "apache-airflow==${AIRFLOW_VERSION}"
    assert package == f"{directory.rstrip('/')}[simulator]"
    assert "simulator" in PYPROJECT["project"]["optional-dependencies"]
    assert providers == ["apache-airflow-providers-postgres", "apache-airflow-providers-sqlite"]
