"""Airflow's connection, as the settings of the API's client."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from airflow.providers.common.compat.connection import get_async_connection
from airflow.providers.common.compat.sdk import AirflowNotFoundException, BaseHook, Connection
from asgiref.sync import sync_to_async

from airflow_provider_avepoint.core.client import Client
from airflow_provider_avepoint.core.errors import AvePointConfigError
from airflow_provider_avepoint.core.settings import Settings
from airflow_provider_avepoint.credentials import build_credential


def find_connection(conn_id: str, get: Callable[[str], Connection] | None = None) -> Connection:
    """Return the Airflow connection of this id.

    :param conn_id: the id of the connection.
    :param get: a hook's own ``get_connection``; None: Airflow's.
    :raises AvePointConfigError: there is none.
    """
    try:
        return BaseHook.get_connection(conn_id) if get is None else get(conn_id)
    except AirflowNotFoundException:
        raise _connection_not_found(conn_id) from None


def open_client(connection: Connection, extra: Mapping[str, Any]) -> Client:
    """Return the calls of the API for a connection; files are read, and keys derived.

    :param connection: the Airflow connection.
    :param extra: the connection's extras.
    :raises AvePointConfigError: a field cannot be used; the message names it.
    """
    settings = read_settings(connection, extra)
    return Client.build(settings, build_credential(settings))


def read_settings(connection: Connection, extra: Mapping[str, Any]) -> Settings:
    """Read and check the fields of a connection.

    :param connection: the Airflow connection.
    :param extra: the connection's extras.
    :raises AvePointConfigError: a field cannot be used; the message names it.
    """
    settings = Settings.from_fields(
        conn_id=connection.conn_id,
        conn_type=connection.conn_type,
        host=connection.host,
        port=connection.port,
        login=connection.login,
        password=connection.password,
        extra=extra,
    )
    if isinstance(settings.verify, str) and not Path(settings.verify).exists():
        raise AvePointConfigError(
            f"Connection {connection.conn_id!r}: verify: there is no file {settings.verify} here; it must "
            "exist on every worker and triggerer."
        )
    return settings


async def afind_connection(conn_id: str) -> Connection:
    """Return a connection without holding up the event loop.

    ``dag.test()`` finds connections of the database by the blocking call only.

    :param conn_id: the id of the connection.
    :raises AvePointConfigError: there is none of this id.
    """
    try:
        return await get_async_connection(conn_id)
    except AirflowNotFoundException:
        return await sync_to_async(find_connection)(conn_id)


def _connection_not_found(conn_id: str) -> AvePointConfigError:
    variable = f"AIRFLOW_CONN_{conn_id.upper()}"
    if os.environ.get(variable):
        return AvePointConfigError(
            f"avepoint_conn_id: Airflow cannot read the environment variable {variable} of the "
            f"connection {conn_id!r}: write it as JSON, with AvePoint's own fields in extra, "
            '{"conn_type": "avepoint", "login": "…", "password": "…", "extra": {"region": "us"}}.'
        )
    return AvePointConfigError(
        f"avepoint_conn_id: there is no connection {conn_id!r}; add one of type avepoint, or set the "
        f"environment variable {variable}."
    )
