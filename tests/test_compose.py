"""
Hold docker-compose.yaml, its Dockerfile and demo/compose_env.py against what they name.

No container engine is needed: the Compose specification's schema and podman-compose's parser read the file.
What Airflow's and Celery's programs make of it is theirs to test.
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
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from airflow import version as airflow_version
from airflow.configuration import conf
from cryptography.fernet import Fernet

from airflow_provider_avepoint.core.settings import Settings
from airflow_provider_avepoint.simulator import DEMO_CLIENT_ID, DEMO_CLIENT_SECRET

pytestmark = pytest.mark.system

ROOT = Path(__file__).resolve().parents[1]
COMPOSE_FILE = ROOT / "docker-compose.yaml"
DOCKERFILE = ROOT / "Dockerfile"
PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
#: Where each service listens, by its command or by its program's default.
PORTS = {"airflow-apiserver": 8080, "avepoint-simulator": 8090, "postgres": 5432, "redis": 6379}
AIRFLOW_SERVICES = [
    f"airflow-{name}" for name in ("apiserver", "dag-processor", "init", "scheduler", "triggerer", "worker")
]


def load_compose_env() -> ModuleType:
    """Import demo/compose_env.py, which is a script and in no package."""
    spec = importlib.util.spec_from_file_location("compose_env", ROOT / "demo" / "compose_env.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


compose_env = load_compose_env()


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
        check=False,
    )


def write_variables(path: Path, variables: Mapping[str, str]) -> Path:
    path.write_text("".join(f"{name}={value}\n" for name, value in variables.items()))
    return path


@pytest.fixture(scope="module")
def variables() -> dict[str, str]:
    """Return one set of generated secrets."""
    return dict(compose_env.new_secrets())


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, variables: dict[str, str]) -> dict[str, Any]:
    """Return the compose file as a parser resolves it: anchors merged, variables filled in."""
    done = parse(write_variables(tmp_path_factory.mktemp("compose") / "variables", variables))
    assert done.returncode == 0, done.stderr
    resolved: dict[str, Any] = yaml.safe_load(done.stdout)
    return resolved


def environment(stack: dict[str, Any], service: str) -> dict[str, str]:
    return {name: str(value) for name, value in stack["services"][service].get("environment", {}).items()}


def connection(stack: dict[str, Any], conn_id: str) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads(
        environment(stack, "airflow-worker")[f"AIRFLOW_CONN_{conn_id.upper()}"]
    )
    return fields


def test_the_file_satisfies_the_compose_specification(stack: dict[str, Any]) -> None:
    checker = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run([*checker, COMPOSE_FILE], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(stack["services"]) == sorted([*AIRFLOW_SERVICES, "avepoint-simulator", "postgres", "redis"])


def test_every_dependency_can_be_fulfilled(stack: dict[str, Any]) -> None:
    """What is waited for to be healthy has a check, and what is waited for to complete does end."""
    services = stack["services"]
    for name, service in services.items():
        assert ("healthcheck" in service) == (name != "airflow-init"), name
        for dependency, wanted in service.get("depends_on", {}).items():
            other = services[dependency]
            if wanted["condition"] == "service_healthy":
                assert "healthcheck" in other, f"{name} waits for {dependency}"
            else:
                assert wanted["condition"] == "service_completed_successfully"
                assert other["restart"] == "no", f"{name} waits for the end of {dependency}"


def test_ports_are_published_on_loopback_only(stack: dict[str, Any]) -> None:
    published = {
        name: port.rsplit(":", 2)
        for name, service in stack["services"].items()
        for port in service.get("ports", [])
    }

    assert sorted(published) == ["airflow-apiserver", "avepoint-simulator"]
    for name, (address, _, container_port) in published.items():
        assert ipaddress.ip_address(address).is_loopback, name
        assert int(container_port) == PORTS[name]


def test_what_is_mounted_of_the_checkout_exists_and_is_read_only(stack: dict[str, Any]) -> None:
    for name, service in stack["services"].items():
        for volume in service.get("volumes", []):
            source, _target, *mode = volume.split(":")
            if source.startswith("."):
                assert (ROOT / source).exists(), f"{name}: {volume}"
                assert mode == ["ro"], f"{name}: {volume}"
            else:
                assert source in stack["volumes"], f"{name}: {volume}"


def test_every_url_leads_to_a_service_of_the_stack(stack: dict[str, Any]) -> None:
    seen = set()
    for service in stack["services"]:
        for value in environment(stack, service).values():
            for url in re.findall(r"[a-z0-9+]+://[^\s\",]+", value):
                parts = urllib.parse.urlsplit(url)
                assert parts.port == PORTS[str(parts.hostname)], url
                seen.add(parts.hostname)

    assert seen == set(PORTS)


def test_compose_refuses_to_start_without_a_secret(variables: dict[str, str], tmp_path: Path) -> None:
    """Each variable is one that demo/compose_env.py makes; where one is empty, compose says what to run."""
    used = re.findall(r"(?<!\$)\$\{(\w+)(.*?)\}", COMPOSE_FILE.read_text())
    assert {name for name, _ in used} == set(variables)
    assert {rest for _, rest in used} == {":?run python3 demo/compose_env.py"}

    name, *_ = sorted(variables)
    done = parse(write_variables(tmp_path / "variables", variables | {name: ""}))

    assert done.returncode != 0
    assert f"{name} is missing a value: run python3 demo/compose_env.py" in done.stderr


def test_the_file_holds_no_secret_but_the_simulators(
    stack: dict[str, Any], variables: dict[str, str]
) -> None:
    found = set()
    for service in stack["services"]:
        for name, value in environment(stack, service).items():
            if value.startswith("{"):
                found.add(json.loads(value)["password"])
            elif "://" in value:
                found.add(urllib.parse.urlsplit(value).password)
            elif re.search("PASSWORD|SECRET|KEY|TOKEN", name) and not name.endswith("_FILE"):
                found.add(value)

    assert found - {None} == {DEMO_CLIENT_SECRET, *variables.values()}


def test_the_secrets_have_the_forms_that_airflow_needs() -> None:
    """Those that stand in URLs and JSON need no escaping there."""
    made = compose_env.new_secrets()

    Fernet(made["AIRFLOW_FERNET_KEY"])
    # RFC 7518, section 3.2: a key as long as the hash, and Airflow signs with HS512.
    assert len(made["AIRFLOW_JWT_SECRET"].encode()) >= 64
    for name in sorted(made.keys() - {"AIRFLOW_FERNET_KEY"}):
        assert urllib.parse.quote(made[name], safe="") == made[name]
    assert not set(made.values()) & set(compose_env.new_secrets().values())


def test_the_env_file_is_complete_private_and_never_overwritten(tmp_path: Path) -> None:
    """The script needs the standard library alone, and shows no secret."""
    script = tmp_path / "demo" / "compose_env.py"
    script.parent.mkdir()
    script.write_bytes((ROOT / "demo" / "compose_env.py").read_bytes())
    command = [sys.executable, "-I", "-S", str(script)]

    done = subprocess.run(command, capture_output=True, text=True, check=True)
    written = (tmp_path / ".env").read_text()
    again = subprocess.run(command, capture_output=True, text=True, check=False)

    values = dict(line.split("=", 1) for line in written.splitlines())
    assert values.keys() == compose_env.new_secrets().keys()
    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600
    assert not [secret for secret in values.values() if secret in done.stdout + done.stderr]
    assert (again.returncode, (tmp_path / ".env").read_text()) == (1, written)
    assert "exists and stays as it is" in again.stderr
    assert {".env", "/.env"} & set((ROOT / ".gitignore").read_text().split())


def test_every_airflow_option_is_known(stack: dict[str, Any]) -> None:
    for service in stack["services"]:
        for name in environment(stack, service):
            if name.startswith("AIRFLOW__"):
                _, section, option = name.lower().split("__")
                described = conf.configuration_description.get(section, {}).get("options", {}).get(option)
                assert described, f"{name} is no option of Airflow {airflow_version.version}"
                assert not described.get("version_deprecated"), f"{name} is deprecated"


def test_every_service_of_airflow_shares_one_configuration(stack: dict[str, Any]) -> None:
    """No service loses an option or a connection of the others by having variables of its own."""
    common = environment(stack, "airflow-scheduler").items()

    assert [name for name in AIRFLOW_SERVICES if not common <= environment(stack, name).items()] == []
    # At the default of 5 s, Airflow 3.3.2 may fail a task whose trigger fires at once.
    assert dict(common)["AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL"] == "1"


def test_who_signs_in_to_postgres_is_its_user(stack: dict[str, Any]) -> None:
    """Airflow, airflow-init and the example DAGs' warehouse, which is a database beside Airflow's own."""
    postgres, init = environment(stack, "postgres"), environment(stack, "airflow-init")
    user, password, database = (postgres[f"POSTGRES_{key}"] for key in ("USER", "PASSWORD", "DB"))
    warehouse = connection(stack, "avepoint_warehouse")
    for name in ("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "AIRFLOW__CELERY__RESULT_BACKEND"):
        assert init[name].endswith(f"postgresql+psycopg2://{user}:{password}@postgres:5432/{database}")

    assert {init[f"PG{key}"] for key in ("HOST", "USER", "PASSWORD", "DATABASE")} == {
        *("postgres", user, password, database)
    }
    assert (warehouse["login"], warehouse["password"], warehouse["host"]) == (user, password, "postgres")
    assert warehouse["schema"] != database
    assert f"CREATE DATABASE {warehouse['schema']}" in stack["services"]["airflow-init"]["command"][2]


def test_the_avepoint_connection_leads_to_the_simulator(stack: dict[str, Any]) -> None:
    """The provider takes the connection, and the simulator's command takes its client."""
    fields = connection(stack, "avepoint_default")
    settings = Settings.from_fields(
        conn_id="avepoint_default",
        host=fields["host"],
        port=None,
        login=fields["login"],
        password=fields["password"],
        extra=fields["extra"],
    )
    command = stack["services"]["avepoint-simulator"]["command"]
    name, *arguments = shlex.split(command) if isinstance(command, str) else command

    assert fields["conn_type"] == "avepoint"
    assert settings.base_url == "http://avepoint-simulator:8090"
    assert settings.identity_endpoint == "http://avepoint-simulator:8090/connect/token"
    assert (fields["login"], fields["password"]) == (DEMO_CLIENT_ID, DEMO_CLIENT_SECRET)
    assert name in PYPROJECT["project"]["scripts"]
    assert arguments == ["--host", "0.0.0.0", "--port", "8090", "--seed-demo"]


def instructions(keyword: str) -> list[list[str]]:
    """Return the arguments of each instruction of the Dockerfile, without its --flags."""
    joined = re.sub(r"\\\n\s*", "", DOCKERFILE.read_text())
    found = [shlex.split(line)[1:] for line in joined.splitlines() if line.startswith(f"{keyword} ")]
    return [[word for word in arguments if not word.startswith("--")] for arguments in found]


def test_one_service_builds_the_image_and_none_pulls_it(stack: dict[str, Any]) -> None:
    """The image is of the Airflow under test, and never asked of a registry."""
    ours = {name: stack["services"][name] for name in [*AIRFLOW_SERVICES, "avepoint-simulator"]}

    assert instructions("FROM") == [[f"apache/airflow:{airflow_version.version}"]]
    assert {s["image"] for s in ours.values()} == {f"avepoint-demo-airflow:{airflow_version.version}"}
    assert {name for name, service in ours.items() if "build" in service} == {"airflow-init"}
    assert {name: service["pull_policy"] for name, service in ours.items()} == {
        name: "build" if name == "airflow-init" else "never" for name in ours
    }


def test_the_image_is_built_from_all_that_the_package_needs() -> None:
    """What the wheel is built of is copied; .dockerignore lets it in, and nothing else."""
    copied = {source for *sources, _ in instructions("COPY") for source in sources}
    directory = instructions("COPY")[0][-1]
    project = PYPROJECT["project"]
    wheel = PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    needed = {"pyproject.toml", project["readme"], *project["license-files"], *wheel}
    ignored = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
    ((_, _, airflow, package, *_providers),) = instructions("RUN")

    assert copied == needed
    assert ignored[0] in {"*", "**"}
    assert needed <= {line.removeprefix("!") for line in ignored if line.startswith("!")}
    assert airflow == "apache-airflow==${AIRFLOW_VERSION}"
    assert package == f"{directory.rstrip('/')}[simulator]"
    assert "simulator" in project["optional-dependencies"]
