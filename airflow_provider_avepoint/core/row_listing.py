"""A listing of rows that are no jobs, page after page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from airflow_provider_avepoint.core.client import Client
from airflow_provider_avepoint.core.flow import Flow, Pairs
from airflow_provider_avepoint.core.listing import Listing
from airflow_provider_avepoint.core.objects import JsonObject
from airflow_provider_avepoint.core.pages import Answer, find_rows, read_page
from airflow_provider_avepoint.core.products.vocabulary import ListEndpoint, Product


class RowListing(Listing[JsonObject]):
    """The rows of a list, each once. Rows that differ in any field are two rows, also of one id.

    :param client: the connection.
    :param product: the product.
    :param endpoint: the product's endpoint for the list.
    :param what: what a row is, for messages.
    :param ids: the ids in the endpoint's path, by name.
    """

    def __init__(
        self, client: Client, product: Product, endpoint: ListEndpoint, what: str, **ids: str
    ) -> None:
        super().__init__(client, endpoint.paging, f"{what} list of {product.label}")
        self._product = product
        self._endpoint = endpoint
        self._what = what
        self._path = endpoint.path.format(**{name: quote(value, safe="") for name, value in ids.items()})
        self._seen: set[int] = set()

    def _ask(self, paging: Pairs) -> Flow[Answer]:
        endpoint = self._endpoint
        if endpoint.method == "GET":
            return self._client.get(self._path, paging, endpoint.permission, self._product.name)
        nothing: Mapping[str, Any] = {}
        return self._client.post(self._path, paging, nothing, endpoint.permission, self._product.name)

    def _receive(self, answer: Answer) -> Iterator[JsonObject]:
        rows = [
            JsonObject(self._product, self._what, row)
            for row in find_rows(self._product, self._endpoint.envelope, answer, may_be_null=False)
        ]
        keys = tuple(row.key for row in rows)
        new = {key: row for key, row in zip(keys, rows, strict=True) if key not in self._seen}
        self._seen |= new.keys()
        page = read_page(self._endpoint.envelope, answer, keys, asked_size=self._page_size)
        self._pager.receive(page, len(new))
        return iter(new.values())
