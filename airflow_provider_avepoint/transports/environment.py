"""Find the proxy and the CA bundle in a connection or the environment. Both drivers use it."""

from __future__ import annotations

import os
from urllib.parse import urlsplit
from urllib.request import (  # type: ignore[attr-defined]  # documented, missing in the stubs
    getproxies_environment,
    proxy_bypass_environment,
)

import certifi

from airflow_provider_avepoint.core.settings import Settings


def find_proxy(settings: Settings, url: str) -> str | None:
    """Return the proxy of the connection, else the proxy of the environment if it is trusted, else None.

    The drivers do not find it themselves: requests prefers the environment, and aiohttp reads .netrc too.

    :param settings: the connection.
    :param url: the URL of the request.
    """
    parts = urlsplit(url)
    if settings.proxies or not settings.trust_env:
        proxy = settings.proxies.get(parts.scheme)
    else:
        proxies = getproxies_environment()
        is_bypassed = proxy_bypass_environment(parts.netloc, proxies)
        proxy = None if is_bypassed else proxies.get(parts.scheme) or proxies.get("all")
    return f"http://{proxy}" if proxy and "://" not in proxy else proxy


def find_ca_bundle(settings: Settings) -> str | None:
    """Return the path of the certificates to trust; None if the connection switches the check off.

    :param settings: the connection.
    """
    if settings.verify is False:
        return None
    if isinstance(settings.verify, str):
        return settings.verify
    variables = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE") if settings.trust_env else ()
    return next(filter(None, map(os.environ.get, variables)), None) or certifi.where()
