"""What the control API has set for the endpoints beside jobs and licences, in the simulator's memory.

A value is served as it was set, so it can have every contradiction of the documents.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import times
from .control_schema import ReadingChange, Refused
from .encoding import VendorError, invalid_parameter
from .paging import parameter
from .products.base import Reading

_Key = tuple[str | None, ...]
# Fields of the control API → the path parameters that they stand for.
_PATH_FIELDS = {
    "organization_id": "customerId",
    "tenant_id": "tenantId",
    "profile_id": "scanProfileId",
}


class ReadingValues:
    """The values of one endpoint, by location or by the ids in its path.

    :param reading: the endpoint.
    :param clock: the server's clock.
    """

    def __init__(self, reading: Reading, clock: times.Clock) -> None:
        self._reading = reading
        self._clock = clock
        self._values: dict[_Key, Any] = {}
        self._usual: _Key = tuple(each.casefold() for each in reading.defaults.values()) or (None,)

    def set(self, change: ReadingChange, location: str | None) -> dict[str, Any]:
        """Set a value; return it with the endpoint's name.

        :param change: the value, and what it belongs to.
        :param location: the Multi-Geo code; None for the central location.
        :raises Refused: the endpoint has no such location or id in its path.
        """
        reading = self._reading
        given = {name for name in _PATH_FIELDS if getattr(change, name) is not None}
        for name in sorted(given):
            if _PATH_FIELDS[name] not in reading.defaults:
                raise Refused(f"the path of {reading.name} has no {name}")
        if change.location is not None and not reading.filters:
            raise Refused(f"{reading.name} has no locations")
        if reading.defaults:
            ids = {field: getattr(change, name) for name, field in _PATH_FIELDS.items()}
            key = tuple((ids[name] or usual).casefold() for name, usual in reading.defaults.items())
        else:
            key = (location,)
        self._values[key] = change.value
        return {"name": reading.name, "value": change.value}

    def find(self, path: Mapping[str, str], location: Any, *, is_everywhere: bool) -> Any:
        """Return the value for a request.

        :param path: the parameters in the path.
        :param location: the location that is asked for; None for the central one.
        :param is_everywhere: whether the rows of all locations are asked for.
        :raises VendorError: there is no such customer, tenant or scan profile (404).
        """
        reading = self._reading
        if reading.defaults:
            key: _Key = tuple(path[name].casefold() for name in reading.defaults)
            if key != self._usual and key not in self._values:
                name = next(iter(reading.defaults))
                raise VendorError(
                    404, f"There is no '{'/'.join(path.values())}'.", code="NotFound", field=name
                )
        else:
            key = (location,)
        if is_everywhere and self._are_lists():
            return [row for rows in self._values.values() for row in rows]
        known = self._values.get(key, self._values.get(self._usual, ...))
        return reading.initial(self._clock.now()) if known is ... else known

    def select(self, rows: Any, query: Mapping[str, str], body: Mapping[str, Any]) -> Any:
        """Return the rows that a request asks for; a value that is no list of objects stays as it is.

        :param rows: the value.
        :param query: the query parameters that the server heeds.
        :param body: the JSON body that the server heeds.
        :raises VendorError: a parameter is wrong.
        """
        bounds = [self._read_bound(query, name) for name in self._reading.window]
        if not (isinstance(rows, list) and all(isinstance(row, dict) for row in rows)):
            return rows
        for name, key in self._reading.row_filters.items():
            wanted = parameter(query, name)
            rows = [row for row in rows if wanted is None or row.get(key, wanted) == wanted]
        if self._reading.time_key is not None:
            rows = [row for row in rows if _is_within(row.get(self._reading.time_key), *bounds)]
        if self._reading.wanted is not None:
            name, key = self._reading.wanted
            ids = next((value for given, value in body.items() if given.casefold() == name.casefold()), None)
            if ids is not None and not isinstance(ids, list):
                raise invalid_parameter(name, f"{name} is no list.")
            folded = {str(each).casefold() for each in ids or ()}
            rows = [row for row in rows if not folded or str(row.get(key)).casefold() in folded]
        return rows

    def _are_lists(self) -> bool:
        return bool(self._values) and all(isinstance(each, list) for each in self._values.values())

    @staticmethod
    def _read_bound(query: Mapping[str, str], name: str) -> int | None:
        text = parameter(query, name)
        try:
            return None if text is None else times.parse_iso(text)
        except ValueError as error:
            raise invalid_parameter(name, str(error)) from error


def _is_within(shown: Any, after: int | None, before: int | None) -> bool:
    """Tell whether a row's time lies in a window, both ends included; a time in another form does."""
    try:
        moment = times.parse_iso(shown)
    except (TypeError, ValueError):
        return True
    return (after is None or moment >= after) and (before is None or moment <= before)
