"""Who gets an answer: every route asks for Airflow's login, and every answer stays where it belongs."""

from __future__ import annotations

import json
import threading
from base64 import b64encode
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote

import httpx
import jwt
import pytest
from fastapi.routing import APIRoute
from sqlalchemy import text

from airflow_provider_avepoint.core.policy import Policy
from airflow_provider_avepoint.core.verdict import judge
from airflow_provider_avepoint.ledger.store import Ledger
from airflow_provider_avepoint.page import reading
from airflow_provider_avepoint.page.app import create_app
from airflow_provider_avepoint.simulator.server import ServerThread
from tests.page.conftest import CONN_ID, PATIENCE, SECRET, Site, Tokens
from tests.report import histories
from tests.report.histories import DAY, NOW, SCRIPT, job, nights

pytestmark = pytest.mark.usefixtures("now")


def list_paths(site: Site) -> list[str]:
    routes = list(site.app.routes)
    assert all(isinstance(route, APIRoute) for route in routes)  # no mount: it would have no authentication
    return [route.path.replace("{key}", "0" * 20) for route in routes]


def test_every_route_asks_for_airflows_login(site: Site, ledger: Ledger, tokens: Tokens) -> None:
    own = jwt.decode(tokens.make(), options={"verify_signature": False})
    foreign = jwt.encode(own, SECRET[::-1], algorithm="HS512")
    unsigned = jwt.encode(own, "", algorithm="none")
    headers = [
        {},
        {"Authorization": f"Bearer {tokens.make(expiration_time_in_seconds=-3600)}"},
        {"Authorization": f"Bearer {foreign}"},
        {"Authorization": f"Bearer {unsigned}"},
        {"Authorization": "Bearer"},
        {"Authorization": "Basic YWRtaW46YWRtaW4="},
        {"Cookie": f"_token={foreign}"},
    ]
    paths = list_paths(site)

    assert {"/", "/index.html", "/page.js", "/uplot.js", "/api/v1/posture", "/api/v1/openapi.json"} <= {
        *paths
    }
    own_cookie = {"Cookie": f"_token={tokens.make()}"}
    with httpx.Client(base_url=site.url, timeout=PATIENCE) as anyone:
        for path in paths:
            for header in headers:
                answer = anyone.get(path, headers=header)
                assert answer.status_code in (401, 403), (path, header)
                assert answer.headers["cache-control"] == "no-store"
                anyone.cookies.clear()
            assert site.client.get(path).status_code in (200, 404), path
            assert anyone.get(path, headers=own_cookie).status_code in (200, 404), path


def test_no_route_takes_anything_but_get(site: Site) -> None:
    for path in list_paths(site):
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            assert site.client.request(method, path).status_code == 405, (method, path)


def test_every_answer_keeps_browsers_from_elsewhere(site: Site, ledger: Ledger) -> None:
    for path in [*list_paths(site), "/nothing-here", "/docs", "/redoc", "/openapi.json", "/../secret"]:
        answer = site.client.get(path)

        rules = answer.headers.get_list("content-security-policy")
        assert len(rules) == 1, path
        assert "default-src 'none'" in rules[0]
        assert "script-src 'self';" in rules[0]
        assert "frame-ancestors 'self'" in rules[0]
        assert answer.headers.get_list("cache-control") == ["no-store"]
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert site.client.get("/docs").status_code == 404


def test_a_frame_without_a_session_says_so_in_words(site: Site) -> None:
    for path in ("/", "/index.html", "/run.html?dag_id=%3Cb%3E"):
        answer = httpx.get(site.url + path)
        assert answer.status_code == 401
        assert "Your session has ended" in answer.text
        assert answer.headers["content-type"].startswith("text/html")
        address = quote(path.partition("?")[0], safe="")
        assert f'href="/api/v2/auth/login?next={address}"' in answer.text
        # No file comes without a session, so the style is in place, and the policy names that style alone.
        style = answer.text.partition("<style>")[2].partition("</style>")[0]
        digest = b64encode(sha256(style.encode()).digest()).decode()
        assert f"style-src 'self' 'sha256-{digest}';" in answer.headers["content-security-policy"]


def test_the_files_hold_no_script_and_no_style_in_place(site: Site) -> None:
    """The policy for the content would let neither run."""
    for path in ("/", "/run.html"):
        page = site.client.get(path).text
        assert "<style" not in page
        assert " style=" not in page
        assert " onclick=" not in page
        assert page.count("<script") == page.count('<script type="module" src=') + page.count("<script src=")
        assert "http://" not in page
        assert "https://" not in page


def test_the_openapi_document_describes_what_comes(site: Site, ledger: Ledger) -> None:
    histories.fill_ordinary(ledger)
    document = site.get("/api/v1/openapi.json")

    assert {*document["paths"]} == {
        "/api/v1/posture",
        "/api/v1/licenses",
        "/api/v1/scopes/{key}",
        "/api/v1/verdicts",
    }
    assert all({*methods} == {"get"} for methods in document["paths"].values())
    described = document["components"]["schemas"]["ScopeAnswer"]["properties"]
    assert {*site.get("/api/v1/posture")["scopes"][0]} == {*described}


def test_hostile_texts_stay_texts(site: Site, ledger: Ledger) -> None:
    histories.fill_hostile(ledger)

    posture = site.get("/api/v1/posture")
    keys = [scope["key"] for scope in posture["scopes"]]

    assert len({*keys}) == len(keys) == len(histories.NAMES)
    assert any(SCRIPT in scope["name"] for scope in posture["scopes"])
    for key in keys:
        detail = site.get(f"/api/v1/scopes/{key}")
        assert len(detail["jobs"]) == 3
        assert len(detail["verdicts"]) == 1
        assert "javascript:" not in json.dumps(detail)
    for path in ("/api/v1/posture", "/api/v1/licenses", "/api/v1/verdicts"):
        answer = site.client.get(path)
        assert answer.headers["content-type"] == "application/json"
        assert "\u202e" not in answer.text
        assert "\0" not in answer.text


def test_the_configuration_says_which_tenants_may_be_seen(
    site: Site, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    for tenant in ("contoso", "fabrikam", "with, comma"):
        jobs = [job(night) for night in nights(5)]
        ledger.save_jobs(tenant, jobs, NOW)
        ledger.save_verdict(tenant, judge(jobs, Policy(product="dynamics365", max_age=DAY), NOW).as_dict())

    def see() -> tuple[list[str], list[str]]:
        scopes = site.get("/api/v1/posture")["scopes"]
        verdicts = site.get("/api/v1/verdicts")["verdicts"]
        return sorted(each["tenant"] for each in scopes), sorted(each["tenant"] for each in verdicts)

    everyone = ["contoso", "fabrikam", "with, comma"]
    assert see() == (everyone, everyone)
    hidden = next(
        scope["key"] for scope in site.get("/api/v1/posture")["scopes"] if scope["tenant"] == "fabrikam"
    )
    monkeypatch.setenv("AIRFLOW__AVEPOINT__PAGE_TENANTS", " contoso ,, nobody ")
    assert see() == (["contoso"], ["contoso"])
    assert "nobody: the ledger holds nothing of this tenant." in site.get("/api/v1/posture")["attention"]
    assert site.get(f"/api/v1/scopes/{hidden}", 404)["problem"] == "no_scope"
    assert site.get("/api/v1/verdicts?tenant=fabrikam")["verdicts"] == []
    monkeypatch.setenv("AIRFLOW__AVEPOINT__PAGE_TENANTS", '["with, comma"]')
    assert see() == (["with, comma"], ["with, comma"])


def test_a_wrong_option_is_named(site: Site, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    for option, value in (
        ("PAGE_CACHE_SECONDS", "soon"),
        ("PAGE_CACHE_SECONDS", "0"),
        ("PAGE_CACHE_SECONDS", "1e9"),
        ("PAGE_TENANTS", "[1"),
        ("PAGE_TENANTS", " , "),
        ("LEDGER_CONN_ID", "no_such_connection"),
    ):
        with monkeypatch.context() as patch:
            patch.setenv(f"AIRFLOW__AVEPOINT__{option}", value)
            answer = site.get("/api/v1/posture", 503)

        assert answer["problem"] == "misconfigured"
        assert option.lower() in answer["sentence"]


def test_without_a_ledger_the_page_says_where_it_looked_and_how_to_get_one(
    site: Site, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask(*says: str) -> list[str]:
        answer = site.get("/api/v1/posture", 503)
        assert answer["problem"] == "no_ledger"
        assert all(said in answer["sentence"] for said in ("There is no ledger yet", *says))
        assert str(database.parent) not in answer["sentence"]
        return answer["steps"]

    for _ in range(2):
        steps = ask(f"no file {database.name}", f"connection '{CONN_ID}'")
        assert len(steps) == 2  # the connection is there
        assert "avepoint_job_ledger" in steps[0]
        assert not database.exists()  # reading makes none
    database.touch()
    ask("no tables", f"connection '{CONN_ID}'")
    assert database.stat().st_size == 0
    monkeypatch.setenv("AIRFLOW__AVEPOINT__LEDGER_CONN_ID", "")
    monkeypatch.setenv("AIRFLOW_HOME", str(database.parent))
    steps = ask("ledger_conn_id is not set")
    assert len(steps) == 3
    assert "connection to PostgreSQL" in steps[0]


def test_the_ledger_of_another_release_is_left_alone(site: Site, ledger: Ledger) -> None:
    for revision, problem in (("9999", "newer_ledger"), ("0001", "older_ledger")):
        with ledger._engine.begin() as connection:
            connection.execute(text(f"UPDATE avepoint_ledger_version SET version_num = '{revision}'"))

        assert site.get("/api/v1/posture", 503)["problem"] == problem


def test_a_ledger_that_hangs_gives_a_sentence(
    site: Site, tokens: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = threading.Event()
    monkeypatch.setattr(reading, "read_snapshot", lambda _tenants: go.wait(PATIENCE))
    server = ServerThread(create_app(0.2), host="127.0.0.1", port=0)
    server.start()
    try:
        header = {"Authorization": f"Bearer {tokens.make()}"}
        answer = httpx.get(f"{server.url}/api/v1/posture", headers=header, timeout=PATIENCE)
    finally:
        go.set()
        server.stop()

    assert answer.status_code == 503
    assert answer.json() == {
        "problem": "no_answer",
        "sentence": "The ledger does not answer in time.",
        "steps": [],
    }


def test_a_database_that_fails_gives_a_sentence_without_its_address(site: Site, database: Path) -> None:
    database.write_bytes(b"no database at all" * 100)

    answer = site.client.get("/api/v1/posture")

    assert answer.status_code == 503
    assert answer.json()["problem"] == "no_answer"
    assert "retry-after" in answer.headers
    assert str(database) not in answer.text


def test_the_verdicts_of_a_run_and_of_a_mapped_task(site: Site, ledger: Ledger) -> None:
    jobs = [job(night) for night in nights(5)]
    evidence = judge(jobs, Policy(product="dynamics365", max_age=DAY), NOW).as_dict()
    for run in ("manual__1", "manual__2"):
        for index in (-1, 0, 1):
            ledger.save_verdict(
                "contoso",
                evidence,
                {"dag_id": "load", "run_id": run, "task_id": "gate", "map_index": index, "try_number": 1},
            )
    ledger.save_verdict("contoso", evidence)

    def count(query: str) -> int:
        return len(site.get(f"/api/v1/verdicts?{query}")["verdicts"])

    assert count("") == 7
    assert count("dag_id=load&run_id=manual__1") == 3
    assert count("dag_id=load&run_id=manual__1&task_id=gate&map_index=0") == 1
    assert count("dag_id=load&run_id=manual__1&map_index=-1") == 1
    assert count("dag_id=load%27%20OR%201=1--") == 0
    shut = judge([], Policy(product="dynamics365", max_age=DAY), NOW - DAY).as_dict()
    ledger.save_verdict(
        "contoso",
        shut,
        {"dag_id": "load", "run_id": "manual__2", "task_id": "gate", "map_index": 2, "try_number": 1},
    )
    limited = site.get("/api/v1/verdicts?limit=2")
    assert (len(limited["verdicts"]), limited["is_complete"]) == (2, False)
    # A gate that is shut is not hidden by newer ones that passed.
    assert [each["passed"] for each in limited["verdicts"]] == [False, True]
    assert (limited["total"], limited["not_passed"]) == (8, 1)
    rest = site.get("/api/v1/verdicts?limit=50&offset=2")
    assert (len(rest["verdicts"]), rest["total"], rest["is_complete"]) == (6, 8, True)


def test_what_the_address_asks_for_wrongly_is_named(site: Site, ledger: Ledger) -> None:
    for route, wrong in (
        ("verdicts", "map_index=%7BMAP_INDEX%7D"),
        ("verdicts", "map_index=-2"),
        ("verdicts", "limit=0"),
        ("verdicts", "limit=999999999999999999999"),
        ("verdicts", "offset=-1"),
        ("verdicts", "tenant=%00"),  # PostgreSQL keeps no such text
        ("verdicts", "dag_id=a%00b"),
        ("posture", "tenant=a%00"),
    ):
        answer = site.get(f"/api/v1/{route}?{wrong}", 422)
        assert answer["problem"] == "wrong_request"
        assert answer["sentence"].endswith(f": {wrong.partition('=')[0]}.")


def test_verdicts_of_tenants_that_the_page_hides_are_not_denied(
    site: Site, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    evidence = judge([], Policy(product="dynamics365", max_age=DAY), NOW).as_dict()
    task = {"dag_id": "load", "run_id": "1", "task_id": "gate", "map_index": -1, "try_number": 1}
    ledger.save_verdict("fabrikam", evidence, task)
    monkeypatch.setenv("AIRFLOW__AVEPOINT__PAGE_TENANTS", "contoso")

    answer = site.get("/api/v1/verdicts?dag_id=load&run_id=1")

    assert (answer["verdicts"], answer["total"], answer["hidden"]) == ([], 0, 1)
    assert "fabrikam" not in json.dumps(answer)


def test_the_posture_of_a_tenant_or_product_alone(site: Site, ledger: Ledger) -> None:
    for tenant, product in (
        ("contoso", "dynamics365"),
        ("contoso", "salesforce"),
        ("fabrikam", "salesforce"),
    ):
        ledger.save_jobs(tenant, [job(night, product=product) for night in nights(5)], NOW)
        histories.save_drill(ledger, DAY, tenant=tenant)

    def ask(query: str) -> list[tuple[str, str]]:
        answer = site.get(f"/api/v1/posture?{query}")
        assert sum(answer["counts"].values()) == len(answer["scopes"])
        assert (answer["loaded_until"] is None) is (not answer["scopes"])
        assert {each["tenant"] for each in answer["restores"]} <= {"contoso", "fabrikam"}
        return sorted((each["tenant"], each["product"]) for each in answer["scopes"])

    assert len(ask("")) == 3
    assert ask("tenant=fabrikam") == [("fabrikam", "salesforce")]
    assert ask("product=salesforce") == [("contoso", "salesforce"), ("fabrikam", "salesforce")]
    assert ask("tenant=contoso&product=salesforce") == [("contoso", "salesforce")]
    assert ask("tenant=nobody") == []
    alone = site.get("/api/v1/posture?tenant=fabrikam")["restores"]
    assert [each["tenant"] for each in alone] == ["fabrikam"]
