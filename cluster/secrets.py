"""Search what Airflow has written for secrets, in every form that they may have been written in."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, quote_plus

from cluster.wire import Sent

# Shorter pieces of a secret would be found by chance.
_SHORTEST = 12
# How much of a token is enough to know it by: logs cut long values.
_TOKEN_LENGTH = 40
_ESCAPE = re.compile(rb"%..")


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """Where a secret was found; *form* is how it was written there."""

    secret: str
    form: str
    path: Path


class Search:
    """Looks for secrets in files.

    :param secrets: what must not be found, by a name that may be shown.
    :param tokens: bearer tokens, which nobody has named.
    """

    def __init__(self, secrets: Mapping[str, str], tokens: Iterable[str] = ()) -> None:
        named = [(name, piece) for name, secret in secrets.items() for piece in _pieces(secret)]
        named += [(f"token {n}", token[:_TOKEN_LENGTH]) for n, token in enumerate(sorted(tokens), 1)]
        self._needles: dict[bytes, tuple[str, str]] = {}
        for name, piece in named:
            for form, needle in _forms(piece):
                if len(needle) >= _SHORTEST:
                    self._needles.setdefault(needle, (name, form))

    def find(self, *places: Path) -> list[Finding]:
        """Return every secret that is in a file of *places* (files or directories), once a file.

        :raises subprocess.CalledProcessError: a place cannot be read.
        """
        grep = ["grep", "--recursive", "--text", "--fixed-strings", "--only-matching", "--with-filename"]
        done = subprocess.run(
            [*grep, "--null", "--file=-", "--", *map(str, places)],
            input=b"\n".join(self._needles),
            env={**os.environ, "LC_ALL": "C"},
            capture_output=True,
            check=False,
        )
        if done.returncode > 1:  # 1 is that there is nothing
            raise subprocess.CalledProcessError(done.returncode, "grep", stderr=done.stderr)
        found = (line.partition(b"\0") for line in done.stdout.splitlines())
        return sorted({Finding(*self._needles[needle], Path(os.fsdecode(path))) for path, _, needle in found})

    def find_in(self, data: bytes) -> set[str]:
        """Return the names of the secrets that are in *data*."""
        return {name for needle, (name, _) in self._needles.items() if needle in data}


def check_files(
    home: Path, secrets: Mapping[str, str], tokens: Iterable[str], *, mark: str, places: Iterable[str]
) -> Iterator[str]:
    """Yield a sentence for each secret that stands in a file.

    :param mark: a word that is no secret, and that stands in each of *places*, files or directories of
        *home*: where it is not found, nothing else would be either, and that is said.
    """
    marked = {finding.path for finding in Search({"mark": mark}).find(home)}
    for place in places:
        if not any(path.is_relative_to(home / place) for path in marked):
            yield f"The search is blind: it does not find {mark!r} in {place}."
    for finding in Search(secrets, tokens).find(home):
        yield f"The {finding.secret} stands in {finding.path.relative_to(home)}, {finding.form}."


def check_requests(
    requests: Sequence[Sent], secrets: Mapping[str, str], tokens: Iterable[str], *, used: AbstractSet[str]
) -> Iterator[str]:
    """Yield a sentence for each secret that travelled where it must not, and for each that did not travel.

    The client secret belongs in the body of a token request, the proxy's password in the header for it, a
    token in the header ``Authorization``, and nothing else into any request.

    :param used: the secrets that have to have travelled, by name.
    """
    search = Search(secrets)
    heads = b"".join(request.head for request in requests)
    for_proxy, others = _split(heads, b"proxy-authorization:")
    bearers, others = _split(others, b"authorization: bearer ")
    logins = b"\n".join(request.body for request in requests if b"/connect/token " in request.head)
    bodies = b"\n".join(request.body for request in requests if b"/connect/token " not in request.head)
    for place, data, due in (
        ("the headers for the proxy", for_proxy, used & {"proxy password"}),
        ("the headers Authorization", bearers, set()),
        ("the other headers", others, set()),
        ("the token requests", logins, used & {"client secret"}),
        ("the other requests' bodies", bodies, set()),
    ):
        if (found := search.find_in(data)) != due:
            yield f"In {place} stood {sorted(found)}, not {sorted(due)}."
    elsewhere = b"\n".join((for_proxy, others, logins, bodies))
    issued = [token.encode() for token in tokens]
    # Not each of them: who had asked for one may have been killed before it was used.
    if not any(token in bearers for token in issued):
        yield "No token travelled in a header Authorization: the requests were not seen."
    for token in issued:
        if token in elsewhere:
            yield "A token travelled elsewhere than in a header Authorization."


def _split(heads: bytes, start: bytes) -> tuple[bytes, bytes]:
    """Return the header lines that begin with *start*, and all others."""
    split: tuple[list[bytes], list[bytes]] = ([], [])
    for line in heads.split(b"\r\n"):
        split[not line.lower().startswith(start)].append(line)
    chosen, others = split
    return b"\r\n".join(chosen), b"\r\n".join(others)


def _pieces(secret: str) -> list[str]:
    """Return what is looked for of a secret: all of it, or each of its lines by itself."""
    return [line for line in secret.splitlines() if not line.startswith("-----")]


def _forms(text: str) -> list[tuple[str, bytes]]:
    """Return *text* as it may be written, none of which has a line break."""
    raw = text.encode()
    forms = [
        ("as it is", raw),
        ("in JSON", json.dumps(text)[1:-1].encode()),
        ("in JSON, not ASCII", json.dumps(text, ensure_ascii=False)[1:-1].encode()),
        ("in JSON in JSON", json.dumps(json.dumps(text))[3:-3].encode()),
        ("as Python writes it", repr(text)[1:-1].encode()),
        ("in a URL", quote(text, safe="").encode()),
        ("in a URL, slashes kept", quote(text).encode()),
        ("in a form", quote_plus(text).encode()),
        ("in hex", raw.hex().encode()),
    ]
    forms += [
        (f"{name}, lower case", _ESCAPE.sub(lambda escape: escape[0].lower(), form))
        for name, form in forms
        if name.startswith("in a URL")
    ]
    for offset in range(3):
        # What does not depend on the bytes before and behind it.
        encoded = base64.b64encode(bytes(offset) + raw)
        core = encoded[-(-offset * 8 // 6) : (offset + len(raw)) * 8 // 6]
        forms += [("in base64", core), ("in base64 for URLs", core.replace(b"+", b"-").replace(b"/", b"_"))]
    return forms
