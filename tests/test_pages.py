"""What the README and the pages show is what is here: code that runs, files that exist, the code's tables."""

from __future__ import annotations

import json
import re
import runpy
import shlex
import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from airflow.cli.cli_parser import get_parser

import airflow_provider_avepoint
from airflow_provider_avepoint import exceptions
from airflow_provider_avepoint.core import errors
from airflow_provider_avepoint.core.settings import Settings
from airflow_provider_avepoint.core.verdict import Reason
from airflow_provider_avepoint.gates import PolicyOperator
from airflow_provider_avepoint.get_provider_info import get_provider_info
from airflow_provider_avepoint.simulator import Simulator
from airflow_provider_avepoint.simulator.control_schema import JobSpec
from docs.generated import PARTS, expand, include
from docs.links import URLS, find_dead_addresses, find_dead_links, find_dead_plain_links, list_addresses
from docs.llms import list_pages
from tests.projects import run_tests
from tests.versions import needs_airflow

ROOT = Path(__file__).parent.parent
#: Where ``make compat`` runs this, the package is not in the checkout.
PACKAGE = Path(airflow_provider_avepoint.__file__).parent
DOCS = ROOT / "docs"
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text()
    for path in (ROOT / "README.md", *sorted(DOCS.glob("*.md")), *sorted(DOCS.glob("guides/*.md")))
}
BLOCKS = [
    (page, kind, text)
    for page, source in PAGES.items()
    for kind, text in re.findall(r"^```([^\n]+)\n(.*?)^```$", source, re.DOTALL | re.MULTILINE)
]
#: What Sphinx checks itself when it builds the pages.
DIRECTIVES = {"{eval-rst}", "{include}", "{literalinclude}", "{toctree}"}
#: Whose code other tests run: tests/operators/test_list_jobs_files.py, tests/report, tests/ledger.
TESTED_ELSEWHERE = {("docs/files.md", "python"), ("docs/ledger.md", "sql")}
#: The example of a tested DAG, which tests/test_testing.py runs.
TESTS = {"conftest", "test_load_warehouse"}
EXAMPLES = sorted(path for path in DOCS.glob("examples/*.py") if path.stem not in TESTS)
#: Programs of other projects that a reader is told to start.
OTHERS = {"curl", "docker", "mkdir", "pytest", "python3", "sleep", "source"}


def blocks(language: str) -> list[tuple[str, str]]:
    return [
        (page, text)
        for page, kind, text in BLOCKS
        if kind == language and (page, kind) not in TESTED_ELSEWHERE
    ]


def table(page: str, heading: str) -> list[list[str]]:
    """Return the rows of the first table of a page after a heading, cell by cell."""
    lines = PAGES[page].split(heading, 1)[1].splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("|"))
    rows = []
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows[2:]


def names(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def test_every_block_is_of_a_kind_that_is_checked() -> None:
    kinds = {(page, kind.split()[0]) for page, kind, _ in BLOCKS}
    checked = {"bash", "dockerfile", "ini", "json", "python", *DIRECTIVES}
    plain = {("docs/architecture.md", "text")}  # the picture of tests/test_architecture.py

    assert {each for each in kinds if each[1] not in checked} <= TESTED_ELSEWHERE | plain


def test_the_first_dag_is_a_file() -> None:
    """But for its docstring, which the README's text stands for."""
    source = (ROOT / "dags" / "avepoint_quickstart.py").read_text()

    assert source.endswith(blocks("python")[0][1])


@pytest.mark.parametrize(
    ("page", "code"), blocks("python")[1:], ids=[page for page, _ in blocks("python")[1:]]
)
def test_python_runs(
    page: str,
    code: str,
    simulator: Simulator,
    connect: Callable[..., str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Against a simulator with something to show."""
    connect()
    simulator.add_job("dynamics365", state="failed", organization_name="Contoso", started_ago=600)

    exec(compile(code.replace("2026-11-01", "2026-01-01"), page, "exec"), {})

    assert capsys.readouterr().out.strip()


def test_json_is_a_connection_or_its_extra() -> None:
    for page, text in blocks("json"):
        connection = json.loads(text)
        if connection.pop("conn_type", None) == "avepoint":
            settings = Settings.from_fields(conn_id=page, **connection)
            assert settings.base_url == "https://graph-us.avepointonlineservices.com"
        else:
            assert connection["config"]["tag"] == "all"


@needs_airflow("3.2", "providers add commands")
def test_commands_exist() -> None:
    """Each is a target of the Makefile, a console script of the package, or another tool's."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    scripts = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"])
    for line in "".join(text for _, text in blocks("bash")).splitlines():
        command, *arguments = shlex.split(line)
        if command == "make":
            assert arguments[0] in targets
        elif command == "pip":
            assert arguments[0] == "install"
            assert any("airflow-provider" in each for each in arguments), line
        elif command == "export":
            for name, _, value in (each.partition("=") for each in arguments):
                assert name.startswith("AIRFLOW_")
                if name.startswith("AIRFLOW_CONN_"):
                    connection = json.loads(value)
                    assert connection.pop("conn_type") == "avepoint"
                    assert Settings.from_fields(conn_id=line, **connection)
        elif command == "curl":
            assert JobSpec.model_validate_json(arguments[arguments.index("-d") + 1])
        elif command == "airflow":
            get_parser().parse_args(arguments[: arguments.index(">")] if ">" in arguments else arguments)
        else:
            assert command in {*scripts, *OTHERS}


def test_the_quickstart_connects_as_the_simulator_says(simulator: Simulator) -> None:
    connection = shlex.quote(json.dumps(simulator.connection).replace(simulator.url, "http://127.0.0.1:8090"))

    assert 2 == PAGES["docs/quickstart.md"].count(f"export AIRFLOW_CONN_AVEPOINT_DEFAULT={connection}\n")


def test_what_is_generated_is_filled_in() -> None:
    """Each part stands on a page, and no argument is without a meaning."""
    marks = {name for text in PAGES.values() for name in re.findall(r"<!-- generated: (\w+)", text)}
    written = {page: expand(text) for page, text in PAGES.items()}

    assert marks == PARTS.keys()
    assert not [page for page, text in written.items() if "<!-- generated" in text]
    assert not re.findall(r"^\| `\w+` \|.*\|  \|$", written["docs/operators.md"], re.MULTILINE)
    assert "| `retries` |" not in written["docs/operators.md"]  # Airflow's own are Airflow's to explain
    assert "| `region` |" not in written["docs/connection.md"]
    assert "`extra`: `region`" in written["docs/connection.md"]
    assert "| `product` | required |" in written["docs/gate.md"]


def test_a_page_for_plain_readers_has_its_code() -> None:
    """``llms.txt`` leads to pages in which nothing is left to include."""
    for page, text in PAGES.items():
        assert "include}" not in include(text, (ROOT / page).parent), page
    assert "AvePointBackupSensor(" in include(PAGES["docs/guides/guard-a-load.md"], DOCS / "guides")


def test_every_page_is_in_the_list_of_pages() -> None:
    listed = [name for _, pages in list_pages(PAGES["docs/index.md"]) for name in pages]

    assert sorted(f"docs/{name}.md" for name in listed) == sorted(PAGES.keys() - {"README.md"})


def test_every_reason_and_error_is_explained() -> None:
    explained = [
        {name for row in table(page, heading) for name in names(row[0])}
        for page, heading in (
            ("docs/gate.md", "## The reasons"),
            ("docs/troubleshooting.md", "## The gate is shut"),
            ("docs/troubleshooting.md", "## The task ends with an error"),
        )
    ]
    reasons = {reason.value for reason in Reason}
    raised = {name for name in exceptions.__all__ if name.startswith("AvePoint")}

    assert explained[0] == reasons
    assert explained[1] == reasons - {"passed", "excluded"}
    assert raised | {"on_breach"} == {name.partition("=")[0] for name in explained[2]} | {"on_breach"}
    assert set(errors.__all__) - {"AvePointError"} <= explained[2]


def test_what_a_log_is_said_to_say_is_said() -> None:
    """The texts in quotes that are this package's own, whatever lines they are broken into."""
    sources = "".join(path.read_text() for path in PACKAGE.rglob("*.py"))
    sources = re.sub(r'"\s*\n\s*f?"', "", sources)
    quoted = re.findall(r"[“\"]([^“\"`]{12,}?)(?: …)?[”\"]", PAGES["docs/troubleshooting.md"])
    airflow_says = {"Bad Request"}

    assert len(quoted) > 3
    for text in set(quoted) - airflow_says:
        assert text.removesuffix(".") in sources, text


def test_files_that_are_named_exist() -> None:
    for page, text in PAGES.items():
        for path in re.findall(r"`((?:dags|airflow_provider_avepoint)/[\w/.]*)`", text):
            root = PACKAGE.parent if path.startswith(PACKAGE.name) else ROOT
            assert (root / path).exists(), (page, path)


def test_the_readme_is_one_page_and_lives_on_pypi() -> None:
    """``make docs`` looks each address up."""
    (integration,) = get_provider_info()["integrations"]
    guides = {f"{URLS['Documentation']}guides/{path.stem}.html" for path in DOCS.glob("guides/*.md")}

    assert len(PAGES["README.md"].splitlines()) < 150
    assert all(re.match("https://", address) for address in list_addresses())
    assert {*integration["how-to-guide"]} == guides


def test_a_dead_link_is_found(tmp_path: Path) -> None:
    """Of a page, an anchor, a published page, a file of the repository; and what is loaded from elsewhere."""
    links = {
        "other.html#there": None,
        "#here": None,
        "other.html#away": "no such anchor",
        "gone.html": "no such file",
        f"{URLS['Documentation']}other.html": None,
        f"{URLS['Documentation']}gone.html": "no such file",
        f"{URLS['Source']}/blob/main/Makefile": None,
        f"{URLS['Source']}/blob/main/Makefiles": "no such file in the repository",
        "https://example.com/": None,
        "mailto:somebody@example.com": None,
        "file:///etc/hosts": "a path of one machine",
    }
    body = "".join(f'<a href="{link}">link</a>' for link in links)
    loads = (
        '<script src="//cdn.example/x.js"></script><img srcset="other.html 1x, https://cdn.example/x.png 2x">'
        "<style>@import url(https://cdn.example/x.css)</style>"
    )
    (tmp_path / "index.html").write_text(f'{loads}<p id="here"></p>{body}')
    (tmp_path / "other.html").write_text('<p id="there"></p>')

    found = list(find_dead_links(tmp_path))

    dead = {link: problem for link, problem in links.items() if problem} | dict.fromkeys(
        ("//cdn.example/x.js", "https://cdn.example/x.png", "https://cdn.example/x.css"),
        "loaded from elsewhere",
    )
    assert sorted(found) == sorted(f"index.html: {link}: {problem}" for link, problem in dead.items())
    (tmp_path / "_sources").mkdir()
    (tmp_path / "_sources" / "a.md.txt").write_text("[A](a.md.txt#x), [B](b.md.txt), [C](https://c.example)")
    (tmp_path / "llms.txt").write_text("- [A](_sources/a.md.txt): a\n- [B](b.html): b\n")
    assert list(find_dead_plain_links(tmp_path)) == [
        "llms.txt: b.html: no such file",
        "_sources/a.md.txt: b.md.txt: no such file",
    ]
    assert list(find_dead_addresses(["docs/x.md", f"{URLS['Documentation']}gone.html"], tmp_path)) == [
        "docs/x.md: not absolute",
        f"{URLS['Documentation']}gone.html: no such file",
    ]


@pytest.mark.system
@needs_airflow("3.2", "gives DAG.test() such states")
def test_the_examples_run_as_a_user_runs_them(tmp_path: Path) -> None:
    """In a directory and an Airflow home of their own."""
    pytest.importorskip("airflow.providers.apprise", reason="make docs installs the notifiers")
    shutil.copytree(DOCS / "examples", tmp_path / "project", ignore=shutil.ignore_patterns("test_*"))
    shutil.copy(ROOT / "tests" / "examples_of_pages.py", tmp_path / "project" / "test_examples.py")

    assert "4 passed" in run_tests(tmp_path, seconds=600)


def load_gates(path: Path) -> list[Any]:
    """Return the gates that an example names."""
    return [value for value in runpy.run_path(str(path)).values() if isinstance(value, PolicyOperator)]


def test_the_gates_of_the_examples_open_and_shut(simulator: Simulator, connect: Callable[..., str]) -> None:
    """Each is shut while a scope that it names has no backup, and open when all have a good one."""
    connect()
    scopes: dict[str, list[dict[str, Any]]] = {
        "guard_a_load": [{"organization_id": each} for each in ("contoso", "fabrikam")],
        "guard_a_delete": [{"workload": "sharepoint_online"}],
        "microsoft_365": [{"workload": each} for each in ("exchange_online", "sharepoint_online", "teams")],
    }
    for name, expected in scopes.items():
        (gate,) = load_gates(DOCS / "examples" / f"{name}.py")
        gate.deferrable = False
        gate.timeout = gate.poke_interval = 0
        for scope in expected:
            with pytest.raises(Exception, match=r"missed|stale"):
                gate.execute({})
            simulator.add_job(gate.product, state="success", started_ago=3600, **scope)

        assert gate.execute({})["passed"] is True
        simulator.reset()


def test_the_examples_are_on_the_pages() -> None:
    shown = {
        Path(found).name for text in PAGES.values() for found in re.findall(r"\{literalinclude\} (\S+)", text)
    }

    assert {path.name for path in DOCS.glob("examples/*.py")} <= shown


def test_the_site_is_what_make_docs_builds() -> None:
    steps = yaml.safe_load((ROOT / ".readthedocs.yaml").read_text())["build"]["jobs"]["build"]["html"]

    assert steps[0] == "make docs"
    assert steps[-1].startswith("cp -r docs/_build/html ")


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(
            path,
            id=path.stem,
            marks=needs_airflow("3.0", "airflow.sdk") if "from airflow.sdk" in path.read_text() else (),
        )
        for path in EXAMPLES
    ],
)
def test_an_example_holds_a_dag(path: Path) -> None:
    if path.stem == "alert":
        pytest.importorskip("airflow.providers.apprise", reason="make docs installs the notifiers")
        pytest.importorskip("airflow.providers.slack", reason="make docs installs the notifiers")

    assert path.stem == runpy.run_path(str(path))["dag"].dag_id
