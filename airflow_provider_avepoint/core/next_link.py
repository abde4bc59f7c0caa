"""Read a next link: a rule of security, since what a server sends decides where a token goes."""

from __future__ import annotations

from urllib.parse import parse_qsl, unquote, urlsplit

from airflow_provider_avepoint.core.flow import Pairs
from airflow_provider_avepoint.core.products.vocabulary import Paging
from airflow_provider_avepoint.core.text import one_line

_Address = tuple[str, str | None, int | None]
_USUAL_PORTS = {"https": 443, "http": 80}


def read_next_link(link: object, base_url: str, paging: Paging) -> Pairs:
    """Return the query of a next link. Of the link nothing else is used: the token goes to *base_url* only.

    The documents show five forms: a whole URL, a path with a query, a query with its question mark and
    without it, and an opaque token.

    :param link: as the server sent it.
    :param base_url: the connection's address.
    :param paging: names the parameters of a bare query, and the one that takes a token.
    :raises ValueError: it cannot be read, has no query, or leads to another scheme, host or port; the text
        goes on after "the server".
    """
    if not isinstance(link, str):
        raise ValueError(f"sent a next link that is a {type(link).__name__}")  # noqa: TRY004  # a wire value
    try:
        link.encode()  # lone surrogates cannot be sent
        parts = urlsplit(link)
        address = (parts.hostname, parts.port)
    except ValueError:
        raise ValueError("sent a next link that cannot be read") from None
    query = parts.query
    if _is_bare_query(link, paging):
        query = link
    elif parts.netloc or "://" in link:
        own = urlsplit(base_url)
        scheme = parts.scheme or own.scheme
        if not _is_same_address((scheme, *address), (own.scheme, own.hostname, own.port)):
            raise ValueError(
                "sent a next link to another address than the connection's "
                f"({one_line(f'{scheme}://{parts.hostname}', 100)}); it is not followed, "
                "because the token goes to the connection's own host only: check the connection's host"
            )
    elif "?" not in link and not link.startswith("/"):
        return ((paging.token, unquote(link)),)
    pairs = tuple(parse_qsl(query, keep_blank_values=True))
    if not pairs:
        raise ValueError("sent a next link without a query")
    return pairs


def _is_bare_query(link: str, paging: Paging) -> bool:
    """Tell whether *link* is a query without its question mark: a token too may hold an equals sign."""
    if "?" in link or "/" in link.partition("=")[0]:
        return False
    names = (paging.index, paging.size, paging.token)
    own = {name.casefold() for name in names if name is not None}
    return any(name.lstrip("$").casefold() in own for name, _ in parse_qsl(link, keep_blank_values=True))


def _is_same_address(one: _Address, other: _Address) -> bool:
    return _spell_out(one) == _spell_out(other)


def _spell_out(address: _Address) -> _Address:
    scheme, host, port = address
    return scheme, host, port or _USUAL_PORTS.get(scheme)
