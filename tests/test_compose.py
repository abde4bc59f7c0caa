"""
Hold docker-compose.yaml, its Dockerfile and demo/compose_env.py against what they name.

No container engine is needed: the Compose specification's schema and podman-compose's parser read the
file; the commands, options, paths, ports and variables in it are looked up in Airflow and in the checkout.
"""

from __future__ import annotations

import importlib.util
import ipaddress
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
import urllib.parse
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from airflow import version as airflow_version
from airflow.cli import cli_parser
from airflow.configuration import conf
from cryptography.fernet import Fernet

from airflow_provider_avepoint.core.settings import Settings
from demo.postgres import Postgres

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import ModuleType

pytestmark = pytest.mark.no_cover

ROOT = Path(__file__).resolve().parents[1]
COMPOSE_FILE = ROOT / "docker-compose.yaml"
DOCKERFILE = ROOT / "Dockerfile"
PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
AIRFLOW_HOME = "/opt/airflow"  # of the official image
SIMULATORS_OWN = "demo-secret"  # the one secret that the file may hold
#: What each service with a port listens on.
PORTS = {
    "airflow-apiserver": conf.getint("api", "port"),
    "airflow-scheduler": conf.getint("scheduler", "scheduler_health_check_server_port"),
    "avepoint-simulator": 8090,
    "postgres": 5432,
    "redis": 6379,
}


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


def parse(directory: Path, variables: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Read the compose file as `podman-compose config` does, with these variables alone."""
    env_file = directory / "variables"
    env_file.write_text("".join(f"{name}={value}\n" for name, value in variables.items()))
    return subprocess.run(
        [
            *(sys.executable, "-m", "podman_compose", "--env-file", str(env_file), "--file", COMPOSE_FILE),
            # It asks its engine for a version, and here for nothing else: Python has one to tell.
            *("--podman-path", sys.executable, "config"),
        ],
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def variables() -> dict[str, str]:
    """Return one set of generated secrets."""
    return dict(compose_env.new_secrets())


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory, variables: dict[str, str]) -> dict[str, Any]:
    """Return the services as a parser resolves them: anchors merged, variables filled in."""
    done = parse(tmp_path_factory.mktemp("compose"), variables)
    assert done.returncode == 0, done.stderr
    resolved: dict[str, Any] = yaml.safe_load(done.stdout)["services"]
    return resolved


def environment(services: dict[str, Any], service: str) -> dict[str, str]:
    return {name: str(value) for name, value in services[service].get("environment", {}).items()}


def words(command: str | list[str]) -> list[str]:
    return shlex.split(command) if isinstance(command, str) else command


def connection(services: dict[str, Any], conn_id: str) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(
        environment(services, "airflow-worker")[f"AIRFLOW_CONN_{conn_id.upper()}"]
    )
    return made


def test_the_file_satisfies_the_compose_specification() -> None:
    checker = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run([*checker, COMPOSE_FILE], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


def test_every_dependency_can_be_fulfilled(services: dict[str, Any]) -> None:
    """What is waited for to be healthy has a check; what is waited for to complete does end."""
    for name, service in services.items():
        assert "healthcheck" in service or service["restart"] == "no", name
        for dependency, wanted in service.get("depends_on", {}).items():
            ends = services[dependency].get("restart") == "no"
            assert ends == (wanted["condition"] == "service_completed_successfully"), f"{name}: {dependency}"


def test_ports_are_published_on_loopback_only(services: dict[str, Any]) -> None:
    for name, service in services.items():
        for published in service.get("ports", []):
            address, _, port = published.rsplit(":", 2)
            assert ipaddress.ip_address(address).is_loopback, name
            assert int(port) == PORTS[name], name


def test_every_mounted_path_exists_and_is_read_only(services: dict[str, Any]) -> None:
    mounts = {volume for service in services.values() for volume in service.get("volumes", [])}
    of_the_checkout = {volume for volume in mounts if volume.startswith(".")}

    assert of_the_checkout == {f"./dags:{AIRFLOW_HOME}/dags:ro"}
    assert (ROOT / "dags").is_dir()


def test_every_url_leads_to_a_service_and_its_port(services: dict[str, Any]) -> None:
    """In the variables, and in the health checks, which ask the service itself."""
    for name, service in services.items():
        told = [*environment(services, name).values(), *words(service.get("healthcheck", {}).get("test", []))]
        for url in re.findall(r"[a-z0-9+]+://[^\s\",]+", " ".join(told)):
            parts = urllib.parse.urlsplit(url)
            host = name if parts.hostname == "localhost" else parts.hostname
            assert parts.port == PORTS[str(host)], url


def test_compose_refuses_to_start_without_a_secret(variables: dict[str, str], tmp_path: Path) -> None:
    """A variable that is unset or empty stops compose, which names the command that makes it."""
    used = set(
        re.findall(r"(?<!\$)\$\{(\w+)(?::\?run python3 demo/compose_env\.py)?\}", COMPOSE_FILE.read_text())
    )
    unguarded = re.findall(r"(?<!\$)\$\{\w+\}", COMPOSE_FILE.read_text())
    done = parse(tmp_path, {**variables, REQUIRED[0]: ""})

    assert (used, unguarded) == (set(REQUIRED), [])
    assert done.returncode != 0
    assert f"{REQUIRED[0]} is missing a value: run python3 demo/compose_env.py" in done.stderr


def test_the_file_holds_no_secret_but_the_simulators(
    services: dict[str, Any], variables: dict[str, str]
) -> None:
    """A secret is known by its name, or stands in a URL or a connection."""
    found = set()
    for service in services:
        for name, value in environment(services, service).items():
            if value.startswith("{"):
                found.add(json.loads(value)["password"])
            elif "://" in value:
                found.add(urllib.parse.urlsplit(value).password)
            elif re.search("PASSWORD|SECRET|KEY|TOKEN", name) and not name.endswith("_FILE"):
                found.add(value)

    assert found - {None} == {SIMULATORS_OWN, *variables.values()}


def test_the_secrets_have_the_forms_that_airflow_needs() -> None:
    """Airflow takes each secret, and those that stand in URLs and JSON need no escaping there."""
    made = compose_env.new_secrets()

    Fernet(made["AIRFLOW_FERNET_KEY"])
    # RFC 7518, section 3.2: a key as long as the hash, and Airflow signs with HS512.
    assert len(made["AIRFLOW_JWT_SECRET"].encode()) >= 64
    for name in sorted(made.keys() - {"AIRFLOW_FERNET_KEY"}):
        assert urllib.parse.quote(made[name], safe="") == made[name]
    assert not set(made.values()) & set(compose_env.new_secrets().values())


def test_the_env_file_is_its_owner_s_alone_and_never_overwritten(tmp_path: Path) -> None:
    """The script needs no package, shows no secret, and git ignores what it writes."""
    script = tmp_path / "demo" / "compose_env.py"
    script.parent.mkdir()
    script.write_bytes((ROOT / "demo" / "compose_env.py").read_bytes())
    env_file = tmp_path / ".env"
    first, second = (
        subprocess.run([sys.executable, "-I", "-S", str(script)], capture_output=True, text=True, check=False)
        for _ in range(2)
    )

    written = dict(line.split("=", 1) for line in env_file.read_text().splitlines())
    assert (first.returncode, second.returncode) == (0, 1), first.stderr
    assert "exists and stays as it is" in second.stderr
    assert env_file.stat().st_mode & 0o777 == 0o600
    assert sorted(written) == REQUIRED
    assert not [
        secret for secret in written.values() if secret in first.stdout + first.stderr + second.stderr
    ]
    assert {".env", "/.env"} & set((ROOT / ".gitignore").read_text().split())


def test_every_airflow_option_is_known(services: dict[str, Any]) -> None:
    names = {name for service in services for name in environment(services, service)}
    for name in sorted(names):
        if name.startswith("AIRFLOW__"):
            _, section, option = name.lower().split("__")
            described = conf.configuration_description.get(section, {}).get("options", {}).get(option)
            assert described, f"[{section}] {option} is not an option of Airflow {airflow_version.version}"
            assert not described.get("version_deprecated"), f"[{section}] {option} is deprecated"


def airflow_commands(services: dict[str, Any]) -> Iterator[list[str]]:
    """Yield the arguments of each `airflow` call: the services' own, in their scripts, in health checks."""
    for service in services.values():
        command = words(service.get("command", []))
        if command[:1] == ["bash"]:
            for line in command[2].splitlines():
                if line.strip().startswith(("airflow ", "exec airflow ")):
                    yield shlex.split(line.strip().removeprefix("exec "))[1:]
        elif command and command[0] != "avepoint-simulator":
            yield command  # the image's entrypoint puts `airflow` before it
        kind, *check = service.get("healthcheck", {"test": ["NONE"]})["test"]
        if kind == "CMD" and check[0] == "airflow":
            yield check[1:]


def test_every_airflow_command_exists(services: dict[str, Any]) -> None:
    """Airflow's own parser takes each command with its arguments."""
    commands = list(airflow_commands(services))
    for arguments in commands:
        cli_parser.get_parser().parse_args(arguments)  # SystemExit where it does not

    assert sorted(" ".join(arguments[:2]) for arguments in commands) == [
        *("api-server", "celery worker", "dag-processor", "dags reserialize", "dags unpause", "db migrate"),
        *("jobs check", "jobs check", "scheduler", "triggerer"),
    ]


def test_the_connections_lead_to_the_simulator_and_to_postgres(services: dict[str, Any]) -> None:
    """The provider accepts the first; the others are databases beside Airflow's own, which init makes."""
    avepoint, warehouse, ledger = (
        connection(services, f"avepoint_{name}") for name in ("default", "warehouse", "ledger")
    )
    settings = Settings.from_fields(
        conn_id="avepoint_default",
        port=None,
        **{name: avepoint[name] for name in ("host", "login", "password", "extra")},
    )
    postgres = environment(services, "postgres")

    assert (avepoint["conn_type"], settings.client_secret) == ("avepoint", SIMULATORS_OWN)
    assert f"--port {PORTS['avepoint-simulator']} --seed-demo" in " ".join(
        words(services["avepoint-simulator"]["command"])
    )
    for database in (warehouse, ledger):
        assert (database["login"], database["password"]) == (
            postgres["POSTGRES_USER"],
            postgres["POSTGRES_PASSWORD"],
        )
        assert f'"{database["schema"]}"' in services["airflow-init"]["command"][2]


@pytest.mark.system
def test_init_makes_the_ledger_and_switches_its_dag_on_once(services: dict[str, Any], tmp_path: Path) -> None:
    """The script of airflow-init itself, run twice; in between a user pauses the DAG."""
    script = services["airflow-init"]["command"][2].replace("$$", "$")
    variables = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
        "PYTHONPATH": str(ROOT),
    }

    def run(*command: str) -> str:
        done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def is_paused() -> str:
        details = run("airflow", "dags", "details", "avepoint_job_ledger", "--output", "json")
        return str(json.loads(details.splitlines()[-1])[0]["is_paused"])

    seen = []
    with Postgres() as postgres:
        address = postgres.connection()
        names = {"PGHOST": "host", "PGPORT": "port", "PGUSER": "login", "PGDATABASE": "schema"}
        variables |= {name: str(address[field]) for name, field in names.items()}
        for _ in range(2):
            run("bash", "-ec", script)
            seen.append(is_paused())
            run("airflow", "dags", "pause", "--yes", "avepoint_job_ledger")
        databases = run("psql", "--tuples-only", "--no-align", "--command", "SELECT datname FROM pg_database")

    assert seen == ["False", "True"]
    assert {"warehouse", "ledger"} <= set(databases.split())


def instructions(keyword: str) -> list[list[str]]:
    """Return the arguments of each instruction of the Dockerfile, without its --flags."""
    joined = re.sub(r"\\\n\s*", "", DOCKERFILE.read_text())
    found = [shlex.split(line)[1:] for line in joined.splitlines() if line.startswith(f"{keyword} ")]
    return [[word for word in arguments if not word.startswith("--")] for arguments in found]


def test_the_image_is_of_the_airflow_under_test_and_never_pulled(services: dict[str, Any]) -> None:
    """One service builds the image, all of ours run it."""
    version = airflow_version.version
    ours = {name: service for name, service in services.items() if name not in ("postgres", "redis")}

    assert instructions("FROM") == [[f"apache/airflow:{version}"]]
    assert {service["image"] for service in ours.values()} == {f"avepoint-demo-airflow:{version}"}
    assert {name for name, service in ours.items() if "build" in service} == {"airflow-init"}
    assert {name for name, service in ours.items() if service["pull_policy"] != "never"} == {"airflow-init"}


def test_the_image_is_built_from_all_that_the_package_needs() -> None:
    """What the Dockerfile copies is what a wheel is built of, and .dockerignore lets in nothing else."""
    copied = [source for *sources, _ in instructions("COPY") for source in sources]
    let_in = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    project = PYPROJECT["project"]
    needed = {
        "pyproject.toml",
        project["readme"],
        *project["license-files"],
        *PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"],
    }

    assert sorted(copied) == sorted(let_in) == sorted(needed)
    assert "*" in (ROOT / ".dockerignore").read_text().splitlines()
    (command,) = instructions("RUN")
    assert command[2:4] == [
        "apache-airflow==${AIRFLOW_VERSION}",
        f"{instructions('COPY')[0][-1].rstrip('/')}[simulator]",
    ]
