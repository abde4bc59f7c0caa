"""One request and its answer, the same by either driver."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest

from airflow_provider_avepoint.core.errors import AvePointPayloadError
from airflow_provider_avepoint.core.flow import NoAnswer, Request, Response
from airflow_provider_avepoint.transports import limits
from airflow_provider_avepoint.transports.lookup import explain_lookup

from .conftest import Fetch, settings
from .server import BODY, Server

SECRET = "s3cr3t-t0k3n"  # made up


def get(url: str, **fields: Any) -> Request:
    return Request(method="GET", url=url, **fields)


def only(answers: list[Response | NoAnswer]) -> Response | NoAnswer:
    (answer,) = answers
    return answer


def test_an_answer(fetch: Fetch, server: Server) -> None:
    answer = only(
        fetch(settings(server.url), get(f"{server.url}/jobs", headers={"Authorization": "Bearer t"}))
    )
    assert (200, b"{}") == (answer.status, answer.body)
    assert "application/json" == answer.headers["content-type"]
    (asked,) = server.asked
    assert ("GET", "/jobs", "Bearer t") == (asked.method, asked.path, asked.headers["authorization"])


QUERY = (
    ("startTime", "2026-11-22T05:00:00Z"),
    ("skiptoken", "a/b+c=d%2Fe&f"),
    ("name", "two words, ü"),
    ("empty", ""),
    ("again", "1"),
    ("again", "2"),
)


def test_a_query_is_encoded_once(fetch: Fetch, server: Server) -> None:
    fetch(settings(server.url), get(f"{server.url}/jobs", query=QUERY))
    path, _, query = server.asked[0].path.partition("?")
    assert ("/jobs", list(QUERY)) == (path, parse_qsl(query, keep_blank_values=True))


def test_a_path_is_left_as_it_is(fetch: Fetch, server: Server) -> None:
    fetch(settings(server.url), get(f"{server.url}/jobs/a%2Fb%20c%3Fd%25"))
    assert "/jobs/a%2Fb%20c%3Fd%25" == server.asked[0].path


def test_a_form(fetch: Fetch, server: Server) -> None:
    form = {"client_secret": "a+b&c=d ü%", "scope": "x.read.all"}
    fetch(settings(server.url), Request(method="POST", url=f"{server.url}/connect/token", form=form))
    (asked,) = server.asked
    assert ("POST", form) == (asked.method, dict(parse_qsl(asked.body.decode())))
    assert asked.headers["content-type"].startswith("application/x-www-form-urlencoded")


def test_a_json_body(fetch: Fetch, server: Server) -> None:
    """A query without filters is an empty object, and the query stays beside it."""
    bodies: list[dict[str, Any]] = [{"jobType": [7]}, {"jobModule": 0}, {}]
    url, page = f"{server.url}/jobs", (("pageIndex", "2"),)
    fetch(settings(server.url), *(Request(method="POST", url=url, json=body, query=page) for body in bodies))
    assert [("POST", "/jobs?pageIndex=2", "application/json")] * len(bodies) == [
        (asked.method, asked.path, asked.headers["content-type"]) for asked in server.asked
    ]
    assert bodies == [json.loads(asked.body) for asked in server.asked]


def test_no_body(fetch: Fetch, server: Server) -> None:
    fetch(settings(server.url), get(f"{server.url}/jobs"))
    (asked,) = server.asked
    assert b"" == asked.body
    assert "content-type" not in asked.headers


def test_connections_are_kept_alive(fetch: Fetch, server: Server) -> None:
    fetch(settings(server.url), get(f"{server.url}/jobs"), get(f"{server.url}/jobs"))
    assert 2 == len(server.asked)
    assert 1 == len({asked.client for asked in server.asked})


def test_redirects_are_not_followed(fetch: Fetch, server: Server) -> None:
    answer = only(
        fetch(settings(server.url), get(f"{server.url}/redirect", headers={"Authorization": "Bearer t"}))
    )
    assert 302 == answer.status
    assert ["/redirect"] == [asked.path for asked in server.asked]


def test_a_connection_that_breaks(fetch: Fetch, server: Server) -> None:
    """It is reported by its kind, never with the query in it, and the next request goes well."""
    for path in ("drop", "half", "garbage"):
        odd = get(f"{server.url}/{path}", query=(("q", SECRET),))
        broken, good = fetch(settings(server.url), odd, get(f"{server.url}/jobs"))
        assert NoAnswer is type(broken), path
        assert SECRET not in str(broken)
        assert str(broken)
        assert 200 == good.status


def test_nobody_listens(fetch: Fetch) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        assert NoAnswer is type(only(fetch(settings(url), get(url))))


def test_a_host_that_does_not_resolve_is_named(fetch: Fetch) -> None:
    """Without a name server nobody knows whether the host exists; the name is told all the same."""
    for own in (
        settings("https://nobody.invalid"),
        settings(proxies={"https": "http://u:p@nobody.invalid:3128"}),
    ):
        answer = only(fetch(own, get(f"{own.base_url}/jobs", query=(("q", SECRET),))))
        assert NoAnswer is type(answer)
        assert not answer.was_sent
        assert str(answer) in (
            "there is no host of the name nobody.invalid",
            "the name of the host nobody.invalid could not be looked up",
        )


def test_a_name_that_cannot_be_one_is_no_host(fetch: Fetch) -> None:
    own = settings(f"https://{'a' * 70}.example")
    answer = only(fetch(own, get(f"{own.base_url}/jobs")))
    assert NoAnswer is type(answer)
    assert "there is no host of the name aaaa" in str(answer)
    assert answer.is_no_host


def test_a_name_server_that_does_not_answer_says_nothing_of_the_host() -> None:
    try:
        raise OSError from socket.gaierror(socket.EAI_AGAIN, "later")
    except OSError as e:
        told = explain_lookup(e, "https://known.example/jobs")

    assert str(told) == "the name of the host known.example could not be looked up"
    assert told is not None
    assert not told.is_no_host
    assert explain_lookup(OSError(), "https://known.example") is None
    assert (
        explain_lookup(UnicodeEncodeError("latin-1", "ü", 0, 1, "a header"), "https://known.example") is None
    )


def test_a_server_that_says_nothing(fetch: Fetch, server: Server) -> None:
    answer = only(fetch(settings(server.url, timeout=0.2), get(f"{server.url}/silent")))
    assert NoAnswer is type(answer)
    assert "Timeout" in str(answer)


def test_a_compressed_body_comes_whole(fetch: Fetch, server: Server) -> None:
    answer = only(fetch(settings(server.url), get(f"{server.url}/compressed")))
    assert (200, BODY) == (answer.status, answer.body)


def test_a_server_that_says_a_byte_at_a_time(fetch: Fetch, server: Server) -> None:
    """Each comes within the timeout, and yet all of them may not take for ever."""
    answer = only(fetch(settings(server.url, timeout=0.1), get(f"{server.url}/drip")))
    assert NoAnswer is type(answer)
    assert "Timeout" in str(answer)


def test_a_whole_answer_may_take_ten_timeouts(server: Server) -> None:
    assert 5 == limits.find_longest(settings(server.url, timeout=0.5))


def test_a_server_that_never_ends(fetch: Fetch, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_BODY", 3 << 20)
    with pytest.raises(AvePointPayloadError, match="answered with more than 3 MiB"):
        fetch(settings(server.url), get(f"{server.url}/endless"))


# Credentials that are none of ours


@pytest.fixture
def netrc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "netrc"
    entries = [f"machine {host} login stray password {SECRET}" for host in ("localhost", "127.0.0.1")]
    path.write_text("\n".join([*entries, f"default login stray password {SECRET}", ""]))
    path.chmod(0o600)
    monkeypatch.setenv("NETRC", str(path))


@pytest.mark.usefixtures("netrc")
def test_netrc_is_never_used(fetch: Fetch, server: Server) -> None:
    for url in (f"http://localhost:{server.port}", server.url):
        server.asked.clear()
        fetch(
            settings(url),
            get(url),
            get(f"{url}/redirect"),
            get(url, headers={"Authorization": "Bearer t"}),
            Request(method="POST", url=url, form={"client_secret": "x"}),
        )
        signed = [asked.headers.get("authorization") for asked in server.asked]
        assert [None, None, "Bearer t", None] == signed, url


# Proxies


def through(server: Server, proxy: Server) -> str:
    """Say which way the last request took."""
    ways = {"proxy": [asked.path for asked in proxy.asked], "direct": [asked.path for asked in server.asked]}
    assert ways in ({"proxy": [f"{server.url}/jobs"], "direct": []}, {"proxy": [], "direct": ["/jobs"]})
    return "proxy" if proxy.asked else "direct"


#: The connection's proxies, the environment, whether it is trusted, and the way that is taken.
WAYS: list[tuple[dict[str, str], dict[str, str], bool, str]] = [
    ({}, {}, True, "direct"),
    ({"http": "{proxy}"}, {}, True, "proxy"),
    ({"http": "{proxy}"}, {}, False, "proxy"),
    ({}, {"http_proxy": "{proxy}"}, True, "proxy"),
    ({}, {"HTTP_PROXY": "{proxy}"}, True, "proxy"),
    ({}, {"all_proxy": "{proxy}"}, True, "proxy"),
    ({}, {"http_proxy": "{proxy}"}, False, "direct"),
    ({}, {"https_proxy": "{proxy}"}, True, "direct"),
    ({}, {"http_proxy": "{proxy}", "no_proxy": "127.0.0.1"}, True, "direct"),
    ({}, {"http_proxy": "{proxy}", "no_proxy": "elsewhere.example"}, True, "proxy"),
    ({"http": "{proxy}"}, {"http_proxy": "http://127.0.0.1:9"}, True, "proxy"),
    ({"http": "{proxy}"}, {"http_proxy": "http://127.0.0.1:9", "no_proxy": "elsewhere"}, True, "proxy"),
    ({}, {"http_proxy": "127.0.0.1:{port}"}, True, "proxy"),
    ({"http": "127.0.0.1:{port}"}, {}, True, "proxy"),
    ({"https": "http://127.0.0.1:9"}, {"http_proxy": "{proxy}"}, True, "direct"),
]


def test_proxies(fetch: Fetch, server: Server, proxy: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection's own, else the environment's where it is trusted."""

    def fill(values: dict[str, str]) -> dict[str, str]:
        return {name: value.format(proxy=proxy.url, port=proxy.port) for name, value in values.items()}

    for own, environment, trust_env, expected in WAYS:
        server.asked.clear()
        proxy.asked.clear()
        with monkeypatch.context() as patch:
            for name, value in fill(environment).items():
                patch.setenv(name, value)
            chosen = settings(server.url, proxies=fill(own), trust_env=trust_env)
            answer = only(fetch(chosen, get(f"{server.url}/jobs")))
        row = (own, environment, trust_env)
        assert isinstance(answer, Response), (row, answer)
        assert expected == through(server, proxy), row


def test_a_proxy_of_an_unknown_kind(fetch: Fetch, server: Server) -> None:
    answer = only(fetch(settings(server.url, proxies={"http": "gopher://127.0.0.1:70"}), get(server.url)))
    assert NoAnswer is type(answer)


# Certificates


#: The connection's choice, the environment, whether it is trusted, and whether the server is.
CHECKS: list[tuple[bool | str, dict[str, str], bool, bool]] = [
    (True, {}, True, False),
    (False, {}, True, True),
    ("{bundle}", {}, True, True),
    ("{folder}", {}, True, False),
    (True, {"REQUESTS_CA_BUNDLE": "{bundle}"}, True, True),
    (True, {"CURL_CA_BUNDLE": "{bundle}"}, True, True),
    (True, {"REQUESTS_CA_BUNDLE": "{bundle}"}, False, False),
    (False, {"REQUESTS_CA_BUNDLE": "{other}"}, True, True),
    ("{bundle}", {"REQUESTS_CA_BUNDLE": "{other}"}, True, True),
    ("{other}", {"REQUESTS_CA_BUNDLE": "{bundle}"}, True, False),
    (True, {"REQUESTS_CA_BUNDLE": "{missing}"}, True, False),
    ("{missing}", {}, True, False),
    ("{odd}", {}, True, False),
]


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_certificates(
    fetch: Fetch, tls_server: Server, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection's own choice goes before the environment's; what cannot be checked is not answered."""
    import certifi

    (tmp_path / "odd.pem").write_text("hello")
    (tmp_path / "folder").mkdir()
    places = {
        "bundle": bundle,
        "other": certifi.where(),
        "missing": tmp_path / "none.pem",
        "odd": tmp_path / "odd.pem",
        "folder": tmp_path / "folder",
    }
    for own, environment, trust_env, is_answered in CHECKS:
        verify = own.format(**places) if isinstance(own, str) else own
        with monkeypatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, value.format(**places))
            chosen = settings(tls_server.url, verify=verify, trust_env=trust_env)
            answer = only(fetch(chosen, get(tls_server.url)))
        row = (own, environment, trust_env)
        assert (Response if is_answered else NoAnswer) is type(answer), (row, answer)
