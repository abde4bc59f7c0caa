"""The search finds a secret however it was written down, so that what it does not find is not there."""

from __future__ import annotations

import base64
import json
import re
import zlib
from urllib.parse import quote, quote_plus, urlencode

import pytest
import sqlalchemy as sa
from cryptography.fernet import Fernet

from cluster.accounts import Accounts
from cluster.database import Database
from cluster.secrets import Finding, Search, check_files, check_requests
from cluster.wire import Sent

pytestmark = pytest.mark.system

SECRET = 'cs"Zm9v~~~???>>>YmFy/+&=\\é%xyz'
TOKEN = "t0ken-" + "abcdefghijklmnopqrstuvwxyz_ABCDEFGHIJKLMNOPQRSTUVWXYZ" * 4
PROXY_PASSWORD = "px@Zm9vYmFyYmF6:/"
MARK = "mark-of-organisations"
OTHER = "0ther-" + "0123456789" * 8
PEM = (
    "-----BEGIN PRIVATE KEY-----\n"
    + "\n".join([64 * "k", 64 * "e", 20 * "y"])
    + "\n-----END PRIVATE KEY-----\n"
)


def _lower_escapes(text: str) -> str:
    return re.sub("%..", lambda escape: escape[0].lower(), text)


def as_basic_login(secret: str) -> str:
    return "Proxy-Authorization: Basic " + base64.b64encode(f"user:{secret}".encode()).decode()


FORMS = [
    (f"the secret is {SECRET}!", "as it is"),
    (json.dumps({"password": SECRET}), "in JSON"),
    (json.dumps({"password": SECRET}, ensure_ascii=False), "in JSON, not ASCII"),
    (json.dumps(json.dumps({"password": SECRET})), "in JSON in JSON"),
    (repr({"password": SECRET, "quote": "'"}), "as Python writes it"),
    (f"http://user:{quote(SECRET, safe='')}@proxy", "in a URL"),
    (f"?password={quote(SECRET)}", "in a URL, slashes kept"),
    (urlencode({"password": SECRET}), "in a URL"),
    (f"http://user:{_lower_escapes(quote(SECRET, safe=''))}@proxy", "in a URL, lower case"),
    (SECRET.encode().hex(), "in hex"),
    (base64.b64encode(SECRET.encode()).decode(), "in base64"),
    (base64.b64encode(f"x{SECRET}yz".encode()).decode(), "in base64"),
    (as_basic_login(SECRET), "in base64"),
    (base64.urlsafe_b64encode(f"user:{SECRET}".encode()).decode(), "in base64 for URLs"),
]


def test_a_secret_is_found_in_each_form_it_may_be_written_in(tmp_path):
    for number, (written, form) in enumerate(FORMS):
        place = tmp_path / str(number)
        place.mkdir()
        (place / "task.log").write_bytes(b"\0\xff before\n" + written.encode() + b"\nbehind\n")
        found = Search({"client secret": SECRET}).find(place)
        assert {("client secret", place / "task.log")} == {(each.secret, each.path) for each in found}
        assert form in {each.form for each in found}


def test_a_key_is_found_whatever_stands_between_its_lines(tmp_path):
    for between in ("\n", "\\n", " ", "", "\r\n"):
        (tmp_path / "log").write_text(PEM.replace("\n", between))
        assert [Finding("private key", "as it is", tmp_path / "log")] == Search({"private key": PEM}).find(
            tmp_path
        )


def test_the_key_of_an_account_is_found_from_one_line_of_it(tmp_path):
    """In its encrypted form and in clear; what the certificate shows as well is not taken for it."""
    accounts = Accounts("127.0.0.1:1")
    certificate = accounts.connections()["avepoint_certificate"]["extra"]["certificate"]
    (tmp_path / "certificate").write_text(certificate.replace("\n", ""))
    for name in ("private key", "private key, decrypted"):
        (tmp_path / name).write_text(accounts.secrets[name].splitlines()[-3])

    found = Search(accounts.secrets).find(tmp_path)

    assert {(name, tmp_path / name) for name in ("private key", "private key, decrypted")} == {
        (each.secret, each.path) for each in found
    }


def test_the_beginning_of_a_token_is_enough(tmp_path):
    (tmp_path / "log").write_text(f"Bearer {TOKEN[:50]}…")

    assert [Finding("token 2", "as it is", tmp_path / "log")] == Search({}, [TOKEN, OTHER]).find(tmp_path)


def test_nothing_is_found_where_nothing_is(tmp_path):
    (tmp_path / "log").write_text(f"{SECRET[:-1]} {TOKEN[:30]} {PEM[:60]}")

    assert [] == Search({"client secret": SECRET, "private key": PEM}, [TOKEN]).find(tmp_path)


def test_a_secret_in_a_file_is_reported_and_so_is_a_place_that_the_search_does_not_see(tmp_path):
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "task.log").write_text(f"{MARK} {SECRET}")
    (tmp_path / "xcom.txt").write_text("something else")
    secrets = {"client secret": SECRET}

    complaints = list(check_files(tmp_path, secrets, [TOKEN], mark=MARK, places=["logs", "xcom.txt"]))

    assert [
        f"The search is blind: it does not find '{MARK}' in xcom.txt.",
        "The client secret stands in logs/task.log, as it is.",
    ] == complaints


LOGIN = Sent(
    b"POST /connect/token HTTP/1.1\r\nHost: a\r\n\r\n", f"client_secret={quote_plus(SECRET)}".encode()
)
PAGE = Sent(f"GET /jobs HTTP/1.1\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode(), b"")
BY_PROXY = Sent(f"GET /jobs HTTP/1.1\r\n{as_basic_login(PROXY_PASSWORD)}\r\n\r\n".encode(), b"")


JOURNEYS = [
    ([LOGIN, PAGE, BY_PROXY], []),
    (
        [LOGIN, PAGE],
        ["In the headers for the proxy stood [], not ['proxy password']."],
    ),
    ([PAGE, BY_PROXY], ["In the token requests stood [], not ['client secret']."]),
    ([LOGIN, BY_PROXY], ["No token travelled in a header Authorization: the requests were not seen."]),
    (
        [LOGIN, PAGE, BY_PROXY, Sent(f"GET / HTTP/1.1\r\nprivate_key: {64 * 'k'}\r\n\r\n".encode(), b"")],
        ["In the other headers stood ['private key'], not []."],
    ),
    (
        [
            LOGIN,
            PAGE,
            BY_PROXY,
            Sent(f"GET / HTTP/1.1\r\nCookie: {SECRET}\r\n\r\n".encode(), b""),
        ],
        ["In the other headers stood ['client secret'], not []."],
    ),
    (
        [LOGIN, PAGE, BY_PROXY, Sent(b"POST /jobs HTTP/1.1\r\n\r\n", SECRET.encode())],
        ["In the other requests' bodies stood ['client secret'], not []."],
    ),
    (
        [LOGIN, PAGE, BY_PROXY, Sent(f"GET /?token={TOKEN} HTTP/1.1\r\n\r\n".encode(), b"")],
        ["A token travelled elsewhere than in a header Authorization."],
    ),
]


def test_a_secret_may_travel_to_one_place_only_and_has_to():
    secrets = {"client secret": SECRET, "proxy password": PROXY_PASSWORD, "private key": PEM}
    used = {"client secret", "proxy password"}

    for requests, complaints in JOURNEYS:
        assert complaints == list(check_requests(requests, secrets, [TOKEN], used=used))


def test_a_database_is_dumped_with_what_is_packed_or_encrypted_in_it(tmp_path):
    """A trigger's arguments are decrypted; a connection's stay as they are, since secrets belong there."""
    url = f"sqlite:///{tmp_path / 'airflow.db'}"
    key = Fernet.generate_key()
    encrypted = Fernet(key).encrypt(SECRET.encode()).decode()
    with sa.create_engine(url, poolclass=sa.pool.NullPool).begin() as connection:
        for table in ("trigger", "connection", "serialized_dag"):
            connection.exec_driver_sql(f'CREATE TABLE "{table}" (kwargs)')
        for table, value in [
            ("trigger", encrypted),
            ("connection", encrypted),
            ("serialized_dag", zlib.compress(SECRET.encode())),
        ]:
            connection.exec_driver_sql(f'INSERT INTO "{table}" VALUES (?)', (value,))

    Database(url, key.decode()).dump(tmp_path / "dump")

    found = Search({"it": SECRET}).find(tmp_path / "dump")
    assert {"serialized_dag.txt", "trigger.txt"} == {each.path.name for each in found}
