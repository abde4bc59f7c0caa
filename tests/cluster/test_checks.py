"""The cluster's run sees what it looks for: a gate that ended wrongly, and a secret that got out."""

from __future__ import annotations

import base64
import json
import zlib
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
import sqlalchemy as sa
from cryptography.fernet import Fernet

from cluster.database import Database, TaskEnd
from cluster.gates import ABSENT, BAD, LATE, WELL, Gate
from cluster.outcomes import GATE, RECORD, Outcomes
from cluster.secrets import Search, check_files, check_requests
from cluster.wire import Sent

FATES = {"well": WELL, "late": LATE, "bad": BAD, "absent": ABSENT}
GATES = [
    Gate(organization=name, conn_id="some", fate=fate, started_at=datetime(2026, 1, 1, tzinfo=UTC))
    for name, fate in FATES.items()
]
SECRET = 'cs"Zm9v~~~???>>>YmFy/+&=\\é%xyz'
TOKEN = "t0ken-" + "abcdefghijklmnopqrstuvwxyz_ABCDEFGHIJKLMNOPQRSTUVWXYZ" * 4


def end(*ends: str, was_deferred: bool = False) -> TaskEnd:
    return TaskEnd(state=ends[-1] if ends else None, ends=ends, tries=1, was_deferred=was_deferred)


class Witness:
    """What Airflow's database says after a run in which all is well, until a test changes it."""

    def __init__(self) -> None:
        waited = {"was_deferred": True}
        states = ("success", "success", "failed", "failed")
        behind = ("success", "success", "upstream_failed", "upstream_failed")
        self.ends = {
            GATE: {
                number: end(state, **(waited if number % 2 else {})) for number, state in enumerate(states)
            },
            RECORD: {number: end(state) for number, state in enumerate(behind)},
        }
        self.verdicts = {0: {"passed"}, 1: {"passed"}, 2: {"failed"}, 3: {"missed"}}
        self.records = [("well", 1), ("late", 1)]

    def task_ends(self, _dag_id: str, task_id: str) -> dict[int, TaskEnd]:
        return self.ends[task_id]

    def reasons(self, _dag_id: str, _task_id: str) -> dict[int, set[str]]:
        return self.verdicts

    def complaints(self, directory: Path) -> list[str]:
        """Return what the run complains about."""
        records = directory / "records.jsonl"
        lines = [{"organization_id": name, "try_number": number} for name, number in self.records]
        records.write_text("".join(json.dumps(line) + "\n" for line in lines))
        return list(Outcomes(GATES, self, records).complaints())


def test_a_gate_that_ended_otherwise_is_named(tmp_path: Path) -> None:
    assert Witness().complaints(tmp_path) == []

    opened, never_waited, other_reason, ran_behind, ran_twice = (Witness() for _ in range(5))
    opened.ends[GATE][2] = end("success")
    never_waited.ends[GATE][1] = end("success")
    other_reason.verdicts[3] = {"missed", "passed"}
    ran_behind.records.append(("bad", 1))
    ran_twice.records.append(("well", 1))
    assert opened.complaints(tmp_path) == ["Gate 2 (badly) ended as success, not as failed once."]
    assert never_waited.complaints(tmp_path) == ["Gate 1 (late, well) has never waited on a triggerer."]
    assert other_reason.complaints(tmp_path) == [
        "Gate 3 (never (no job)) was judged ['missed', 'passed'] in its tries, not missed alone."
    ]
    assert ran_behind.complaints(tmp_path) == ["Gate 2 (badly): the task behind it ran 1 times."]
    assert ran_twice.complaints(tmp_path) == [
        "Gate 0 (well): the task behind it ran 2 times in 1 tries.",
        "The task behind well ran 2 times in its try 1.",
    ]


def test_a_secret_in_a_file_is_reported_and_so_is_a_place_that_the_search_does_not_see(
    tmp_path: Path,
) -> None:
    """As it is, in JSON, in a URL, in base64; what is only its beginning is none."""
    forms = {
        "plain": f"before {SECRET}!",
        "json": json.dumps({"password": SECRET}),
        "url": f"http://user:{quote(SECRET, safe='')}@proxy",
        "base64": base64.b64encode(f"user:{SECRET}".encode()).decode(),
        "token": f"Bearer {TOKEN[:50]}…",
        "nothing": f"{SECRET[:-1]} {TOKEN[:30]}",
    }
    for name, text in forms.items():
        (tmp_path / name).write_text(f"before\n{text}\nbehind\n")

    found = {each.path.name for each in Search({"it": SECRET}, [TOKEN]).find(tmp_path)}
    complaints = list(check_files(tmp_path, {}, [], mark="mark-of-organisations", places=["plain"]))

    assert found == forms.keys() - {"nothing"}
    assert complaints == ["The search is blind: it does not find 'mark-of-organisations' in plain."]


@pytest.mark.parametrize(
    ("more", "complaints"),
    [
        ([], []),
        (["Cookie: " + SECRET], ["In the other headers stood ['client secret'], not []."]),
        (
            ["X: 1\r\nReferer: /?token=" + TOKEN],
            ["A token travelled elsewhere than in a header Authorization."],
        ),
    ],
    ids=["where they belong", "a secret in a header", "a token elsewhere"],
)
def test_a_secret_may_travel_to_one_place_only(more: list[str], complaints: list[str]) -> None:
    requests = [
        Sent(
            b"POST /connect/token HTTP/1.1\r\nHost: a\r\n\r\n", f"client_secret={quote_plus(SECRET)}".encode()
        ),
        Sent(f"GET /jobs HTTP/1.1\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode(), b""),
        *(Sent(f"GET / HTTP/1.1\r\n{header}\r\n\r\n".encode(), b"") for header in more),
    ]

    found = list(check_requests(requests, {"client secret": SECRET}, [TOKEN], used={"client secret"}))

    assert found == complaints


def test_a_database_is_dumped_with_what_is_packed_or_encrypted_in_it(tmp_path: Path) -> None:
    """A trigger's arguments are decrypted; a connection's stay as they are, since secrets belong there."""
    url = f"sqlite:///{tmp_path / 'airflow.db'}"
    key = Fernet.generate_key()
    encrypted = Fernet(key).encrypt(SECRET.encode()).decode()
    values = {
        "trigger": encrypted,
        "connection": encrypted,
        "serialized_dag": zlib.compress(SECRET.encode()),
    }
    with sa.create_engine(url, poolclass=sa.pool.NullPool).begin() as connection:
        for table, value in values.items():
            connection.exec_driver_sql(f'CREATE TABLE "{table}" (kwargs)')
            connection.exec_driver_sql(f'INSERT INTO "{table}" VALUES (?)', (value,))

    Database(url, key.decode()).dump(tmp_path / "dump")

    found = Search({"it": SECRET}).find(tmp_path / "dump")
    assert {"serialized_dag.txt", "trigger.txt"} == {each.path.name for each in found}
