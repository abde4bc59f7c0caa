from __future__ import annotations

import json
import shlex
from dataclasses import replace
from typing import Any

import pytest

from airflow_provider_avepoint.core.errors import AvePointConfigError
from airflow_provider_avepoint.core.settings import ENVIRONMENTS, REGIONS, Settings

from .tables import each_row

SECRET = "hunter2-secret"  # made up
COMMERCIAL = "https://identity.avepointonlineservices.com/connect/token"
DEFAULT = Settings(
    base_url="https://graph-us.avepointonlineservices.com",
    identity_endpoint=COMMERCIAL,
    client_id="client",
    client_secret=SECRET,
)


LOOPBACK = {"extra": {"identity_endpoint": "http://localhost:5000/connect/token"}}


def read(*, extra: dict[str, Any] | None = None, **fields: Any) -> Settings:
    connection = {"conn_id": "c1", "login": "client", "password": SECRET, **fields}
    if "host" not in fields:
        extra = {"region": "us"} | (extra or {})
    return Settings.from_fields(extra=extra, **connection)


def test_the_least_that_is_needed() -> None:
    assert DEFAULT == read()
    assert DEFAULT == read(host="https://graph-us.avepointonlineservices.com")
    assert (None, None, 8, 60.0, True, {}, True) == (
        DEFAULT.location,
        DEFAULT.page_size,
        DEFAULT.max_concurrency,
        DEFAULT.timeout,
        DEFAULT.verify,
        DEFAULT.proxies,
        DEFAULT.trust_env,
    )


@each_row("region", REGIONS)
def test_regions(region: str) -> None:
    settings = read(extra={"region": region})
    assert f"https://graph-{region}.avepointonlineservices.com" == settings.base_url
    identity = {"gov": "identity-gov", "aos2": "identity-aos2"}.get(region, "identity")
    assert f"https://{identity}.avepointonlineservices.com/connect/token" == settings.identity_endpoint


@each_row(
    ("environment", "host", "identity"),
    [
        ("us_government", "graph-gov.avepointonlineservices.com", "identity-gov.avepointonlineservices.com"),
        ("aos2", "graph-aos2.avepointonlineservices.com", "identity-aos2.avepointonlineservices.com"),
        ("fedramp", "graphusgovapi.online15.net", "identity.online15.net"),
    ],
)
def test_environments_with_one_host(environment: str, host: str, identity: str) -> None:
    settings = read(host=None, extra={"environment": environment})
    assert (f"https://{host}", f"https://{identity}/connect/token") == (
        settings.base_url,
        settings.identity_endpoint,
    )


def test_every_environment_is_known() -> None:
    assert {"commercial", "us_government", "aos2", "fedramp"} == set(ENVIRONMENTS)


def test_an_environment_of_its_own_beside_a_host() -> None:
    settings = read(host="https://graph.example", extra={"environment": "fedramp"})
    assert "https://identity.online15.net/connect/token" == settings.identity_endpoint


@each_row(
    ("fields", "expected"),
    [
        ({"host": "https://graph.example/"}, "https://graph.example"),
        ({"host": " https://graph.example "}, "https://graph.example"),
        ({"host": "https://graph.example/prefix/"}, "https://graph.example/prefix"),
        ({"host": "https://graph.example", "port": 8443}, "https://graph.example:8443"),
        ({"host": "https://graph.example:444", "port": 8443}, "https://graph.example:444"),
        ({"host": "https://graph.example", "port": 443}, "https://graph.example"),
        ({"host": "https://graph.example", "port": 0}, "https://graph.example"),
        ({"host": "https://[2001:db8::1]", "port": 8443}, "https://[2001:db8::1]:8443"),
        (LOOPBACK | {"host": "http://localhost:5000"}, "http://localhost:5000"),
        (LOOPBACK | {"host": "http://avepoint.localhost:5000"}, "http://avepoint.localhost:5000"),
        (LOOPBACK | {"host": "http://127.0.0.1", "port": 5000}, "http://127.0.0.1:5000"),
        (LOOPBACK | {"host": "http://127.1.2.3"}, "http://127.1.2.3"),
        (LOOPBACK | {"host": "http://[::1]:5000"}, "http://[::1]:5000"),
        ({"host": "http://simulator:5000", "extra": {"insecure_http": True}}, "http://simulator:5000"),
        ({"host": "http://simulator:5000", "extra": {"insecure_http": "True"}}, "http://simulator:5000"),
    ],
)
def test_addresses(fields: dict[str, Any], expected: str) -> None:
    assert expected == read(**fields).base_url


@each_row(
    ("extra", "expected"),
    [
        ({"location": "NAM"}, {"location": "NAM"}),
        ({"location": ""}, {}),
        ({"location": None}, {}),
        ({"page_size": 1}, {"page_size": 1}),
        ({"page_size": "500"}, {"page_size": 500}),
        ({"page_size": 10_000}, {"page_size": 10_000}),
        ({"page_size": ""}, {}),
        ({"max_concurrency": 1}, {"max_concurrency": 1}),
        ({"max_concurrency": "32"}, {"max_concurrency": 32}),
        ({"timeout": 5}, {"timeout": 5.0}),
        ({"timeout": "0.5"}, {"timeout": 0.5}),
        ({"timeout": 3600}, {"timeout": 3600.0}),
        ({"verify": False}, {"verify": False}),
        ({"verify": "false"}, {"verify": False}),
        ({"verify": "TRUE"}, {"verify": True}),
        ({"verify": "/etc/ca.pem"}, {"verify": "/etc/ca.pem"}),
        ({"proxies": {"https": "http://proxy:3128"}}, {"proxies": {"https": "http://proxy:3128"}}),
        (
            {"proxies": "http://proxy:3128"},
            {"proxies": {"http": "http://proxy:3128", "https": "http://proxy:3128"}},
        ),
        (
            {"proxies": ' {"https": "http://proxy:3128"}'},
            {"proxies": {"https": "http://proxy:3128"}},
        ),
        ({"trust_env": False}, {"trust_env": False}),
        ({"trust_env": "false"}, {"trust_env": False}),
        (
            {"identity_endpoint": "https://id.example/connect/token"},
            {"identity_endpoint": "https://id.example/connect/token"},
        ),
        (
            {"identity_endpoint": "http://127.0.0.1:5000/connect/token"},
            {"identity_endpoint": "http://127.0.0.1:5000/connect/token"},
        ),
        ({"certificate": "C", "private_key": "K"}, {"certificate": "C", "private_key": "K"}),
        ({"pfx_path": "/app.pfx"}, {"pfx_path": "/app.pfx"}),
    ],
)
def test_extras(extra: dict[str, Any], expected: dict[str, Any]) -> None:
    assert replace(DEFAULT, **expected) == read(extra=extra)


@pytest.mark.parametrize(
    "extra", [{"certificate": "C", "private_key": "K"}, {"pfx_path": "/app.pfx"}], ids=["pem", "pfx"]
)
@pytest.mark.parametrize("password", [None, ""])
def test_a_certificate_needs_no_password(extra: dict[str, Any], password: str | None) -> None:
    assert read(password=password, extra=extra).client_secret is None


@each_row(
    ("field", "fields"),
    [
        ("host", {"host": None}),
        ("host", {"host": "", "extra": {"environment": "commercial"}}),
        ("host", {"host": "graph-us.avepointonlineservices.com"}),
        ("host", {"host": "ftp://graph.example"}),
        ("host", {"host": "https://"}),
        ("host", {"host": "https:///path"}),
        ("host", {"host": "https://graph.example?x=1"}),
        ("host", {"host": "https://graph.example#x"}),
        ("host", {"host": "https://graph.example:port"}),
        ("host", {"host": "https://graph.example:99999"}),
        ("host", {"host": "https://[::1"}),
        ("host", {"host": "https://me:pw@graph.example"}),
        ("host", {"host": "https://graph-us.avepointonlineservices.com/backup/m365"}),
        ("host", {"host": "https://GRAPHUSGOVAPI.online15.net./x/"}),
        ("conn_type", {"conn_type": "http"}),
        ("conn_type", {"conn_type": "postgres"}),
        ("identity_endpoint", {"host": "http://127.0.0.1", "port": 5000}),
        ("identity_endpoint", {"host": "https://[::1]:5000", "extra": {"identity_endpoint": ""}}),
        ("region", {"extra": {"region": "us-east"}}),
        ("host", {"host": "http://graph.example"}),
        ("host", {"host": "http://127.0.0.1.example"}),
        ("host", {"host": "http://localhost.example"}),
        ("host", {"host": "http://10.0.0.1"}),
        ("login", {"login": None}),
        ("login", {"login": ""}),
        ("password", {"password": None}),
        ("password", {"password": ""}),
        ("region", {"extra": {"region": "moon"}}),
        ("region", {"extra": {"region": 5}}),
        ("environment", {"extra": {"environment": "US_GOVERNMENT"}}),
        ("region", {"extra": {"region": "us", "environment": "fedramp"}}),
        ("environment", {"extra": {"environment": ["aos2"]}}),
        ("identity_endpoint", {"extra": {"identity_endpoint": "id.example/connect/token"}}),
        ("identity_endpoint", {"extra": {"identity_endpoint": "http://id.example/connect/token"}}),
        ("identity_endpoint", {"extra": {"identity_endpoint": 5}}),
        ("certificate", {"extra": {"certificate": 5, "private_key": "K"}}),
        ("certificate", {"extra": {"private_key": "K"}}),
        ("private_key", {"extra": {"certificate": "C"}}),
        ("private_key", {"extra": {"certificate": "C", "private_key": ["K"]}}),
        ("pfx_path", {"extra": {"pfx_path": 5}}),
        ("pfx_path", {"extra": {"pfx_path": "/a", "certificate": "C", "private_key": "K"}}),
        ("pfx_path", {"extra": {"pfx_path": "/a", "private_key": "K"}}),
        ("location", {"extra": {"location": 5}}),
        *(("page_size", {"extra": {"page_size": bad}}) for bad in (0, -1, 10_001, "many", 1.5, True, [], {})),
        *(("max_concurrency", {"extra": {"max_concurrency": bad}}) for bad in (0, 33, "8.5", False, 8.0)),
        *(("timeout", {"extra": {"timeout": bad}}) for bad in (0, -1, 3601, "soon", True, "nan", "inf", [])),
        ("verify", {"extra": {"verify": 1}}),
        ("verify", {"extra": {"verify": []}}),
        ("proxies", {"extra": {"proxies": 5}}),
        ("proxies", {"extra": {"proxies": "{https: http://proxy}"}}),
        ("proxies", {"extra": {"proxies": '{"https": 3128}'}}),
        ("proxies", {"extra": {"proxies": ["http://proxy"]}}),
        ("proxies", {"extra": {"proxies": {"https": 3128}}}),
        ("trust_env", {"extra": {"trust_env": "perhaps"}}),
        ("trust_env", {"extra": {"trust_env": 1}}),
        ("insecure_http", {"extra": {"insecure_http": "yes"}}),
    ],
)
def test_refusals_name_connection_and_field(field: str, fields: dict[str, Any]) -> None:
    with pytest.raises(AvePointConfigError) as caught:
        read(**fields)
    assert f"Connection 'c1': {field} " in str(caught.value)
    assert SECRET not in str(caught.value)


@each_row(
    "host",
    [
        f"https://me:{SECRET}@graph.example",
        f"me:{SECRET}@graph.example",
        f"https://me:{SECRET}@[::1",
        f"ftp://me:{SECRET}@graph.example",
        f"https://me:{SECRET}@graph.example:port",
    ],
)
@each_row("field", ["host", "identity_endpoint"])
def test_a_password_in_an_address_is_not_repeated(host: str, field: str) -> None:
    with pytest.raises(AvePointConfigError) as caught:
        read(**({"host": host} if field == "host" else {"extra": {field: host}}))
    assert SECRET not in str(caught.value)


@each_row("region", ["US", " us", "Us ", "uS\n"])
@each_row("conn_type", ["avepoint", "AvePoint ", "", None])
def test_a_region_is_read_whatever_its_letters(region: str, conn_type: str | None) -> None:
    assert DEFAULT == read(extra={"region": region}, conn_type=conn_type)
    assert read(extra={"region": "GCP-JP"}).base_url == "https://graph-gcp-jp.avepointonlineservices.com"


@each_row(
    ("host", "region", "named"),
    [
        ("https://graph-us.avepointonlineservices.com/", "US", None),
        ("https://graph.avepointonlineservices.com", None, None),
        ("https://graph.avepointonlineservices.com", "au", "host and region are both set"),
        ("https://graph-us.avepointonlineservices.com", "au", "not at https://graph-au."),
        ("https://proxy.example/avepoint", None, "host has the path '/avepoint'"),
    ],
)
def test_an_odd_host_is_warned_of(
    caplog: pytest.LogCaptureFixture, host: str, region: str | None, named: str | None
) -> None:
    caplog.clear()
    assert host.rstrip("/") == read(host=host, extra={"region": region}).base_url
    said = [record.getMessage() for record in caplog.records]
    assert [named is not None] * len(said) == [str(named) in each for each in said]
    assert (named is not None) == bool(said)


def test_a_simulator_without_its_token_url_is_refused_with_a_line_to_copy() -> None:
    with pytest.raises(AvePointConfigError) as caught:
        read(host="http://127.0.0.1:5000", login="demo-client")

    line = str(caught.value).partition("\nexport ")[2]
    (assignment,) = shlex.split(line)
    name, _, value = assignment.partition("=")
    fields = json.loads(value)
    assert ("AIRFLOW_CONN_C1", "demo-secret") == (name, fields["password"])
    assert "http://127.0.0.1:5000" == Settings.from_fields(conn_id="c1", **fields).base_url
    assert SECRET not in str(caught.value)


def test_no_secret_in_the_repr() -> None:
    extra = {"certificate": f"C{SECRET}", "private_key": f"K{SECRET}", "proxies": f"http://u:{SECRET}@proxy"}
    for shown in (repr(read(extra=extra)), str(read(extra=extra)), f"{read(extra=extra)}"):
        assert SECRET not in shown
        assert "client" in shown


def test_unknown_extras_are_reported_by_name_only(caplog: pytest.LogCaptureFixture) -> None:
    assert DEFAULT == read(extra={"pagesize": SECRET, "verfy": False})
    (record,) = caplog.records
    assert "Connection 'c1': extra pagesize, verfy is not known" in record.getMessage()
    assert SECRET not in caplog.text
