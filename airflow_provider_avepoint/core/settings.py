"""Read and check a connection's fields before anything is sent: addresses, credentials, limits."""

from __future__ import annotations

import ipaddress
import json
import logging
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from airflow_provider_avepoint.core.errors import AvePointConfigError

log = logging.getLogger(__name__)

#: The id of the default connection.
DEFAULT_CONN_ID = "avepoint_default"
DEFAULT_TIMEOUT = 60.0
DEFAULT_CONCURRENCY = 8
MAX_CONCURRENCY = 32

# Hosts: docs/docs/Overview.md@c1b3210 of https://github.com/AvePoint/cloud-api, and its change log.
# fmt: off
REGIONS = (
    "au", "sg", "ca", "ne", "we", "fr", "de", "jp", "kr", "ch", "uk", "us", "uae", "za", "qa",
    "gov", "aos2",
    "gcp-au", "gcp-jp", "gcp-us", "gcp-we", "gcp-kr",
)
# fmt: on


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """One of AvePoint's clouds.

    :param identity_endpoint: the token URL of its identity service.
    :param host: the base URL of its API; None where each region has its own.
    :param console_url: the address of AvePoint Online Services; None where it is not documented.
    """

    identity_endpoint: str
    host: str | None = None
    console_url: str | None = None


# Identity hosts: the same page. The FedRAMP API host does not follow the pattern of the others.
ENVIRONMENTS = {
    "commercial": Environment(
        identity_endpoint="https://identity.avepointonlineservices.com/connect/token",
        console_url="https://www.avepointonlineservices.com",
    ),
    "us_government": Environment(
        identity_endpoint="https://identity-gov.avepointonlineservices.com/connect/token",
        host="https://graph-gov.avepointonlineservices.com",
        console_url="https://usgov.avepointonlineservices.com",
    ),
    "aos2": Environment(
        identity_endpoint="https://identity-aos2.avepointonlineservices.com/connect/token",
        host="https://graph-aos2.avepointonlineservices.com",
    ),
    "fedramp": Environment(
        identity_endpoint="https://identity.online15.net/connect/token",
        host="https://graphusgovapi.online15.net",
    ),
}
_ENVIRONMENT_OF_REGION = {"gov": "us_government", "aos2": "aos2"}

# Where AvePoint's own hosts are: the API is at their root.
_VENDOR_DOMAINS = (".avepointonlineservices.com", ".online15.net")

_USUAL_PORTS = {"https": 443, "http": 80}

# The client of a simulator that was started without a client of its own. The secret is known to all.
_SIMULATOR_CLIENT = {"demo-client": "demo-secret"}

_EXTRAS = frozenset(
    {
        "region",
        "environment",
        "identity_endpoint",
        "certificate",
        "private_key",
        "pfx_path",
        "location",
        "page_size",
        "max_concurrency",
        "insecure_http",
        "single_tenant",
        "allow_restore",
        "verify",
        "proxies",
        "timeout",
        "trust_env",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """A connection's fields, read and checked. Secrets are not in the repr.

    :param base_url: scheme, host and port of the API, without a trailing slash.
    :param identity_endpoint: the token URL.
    :param client_id: the id of the app registration.
    :param client_secret: the app registration's secret, or the passphrase of the private key or PFX file.
    :param certificate: the certificate in PEM.
    :param private_key: the certificate's private key in PEM.
    :param pfx_path: the path of a PFX file that holds certificate and private key.
    :param location: the Multi-Geo location to ask for where a call names none.
    :param single_tenant: the app registration reaches one tenant and one location of Microsoft 365 or Google
        Workspace, so all rows without an organisation are of that tenant.
    :param allow_restore: whether a task may start a restore; everything else only reads.
    :param page_size: rows in a page to start with; None takes the product's largest page.
    :param max_concurrency: how many pages to fetch at the same time.
    :param timeout: seconds to connect, and seconds between two bytes of an answer; a whole answer may take
        ten times as long.
    :param verify: check TLS certificates: True, False, or the path of a CA bundle.
    :param proxies: proxy URL by scheme (``{"https": "http://proxy:3128"}``).
    :param trust_env: take proxies and CA bundles from the environment.
    :param console_url: the address of AvePoint Online Services; None where it is not known.
    """

    base_url: str
    identity_endpoint: str
    client_id: str
    client_secret: str | None = field(default=None, repr=False)
    certificate: str | None = field(default=None, repr=False)
    private_key: str | None = field(default=None, repr=False)
    pfx_path: str | None = None
    location: str | None = None
    single_tenant: bool = False
    allow_restore: bool = False
    page_size: int | None = None
    max_concurrency: int = DEFAULT_CONCURRENCY
    timeout: float = DEFAULT_TIMEOUT
    verify: bool | str = True
    proxies: Mapping[str, str] = field(default_factory=dict, repr=False)
    trust_env: bool = True
    console_url: str | None = field(default=None, compare=False)

    @classmethod
    def from_fields(
        cls,
        *,
        conn_id: str,
        conn_type: str | None = None,
        host: str | None = None,
        port: int | None = None,
        login: str | None = None,
        password: str | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> Settings:
        """Read the fields of an Airflow connection.

        :param conn_id: the connection's id, for messages.
        :param conn_type: the connection's type; None or an empty text where it has none.
        :param host: the full base URL; empty where *extra* has a region or an environment with one host.
        :param port: added to *host* where *host* has none.
        :param login: the client id.
        :param password: the client secret, or the passphrase of the private key or PFX file.
        :param extra: the extras as an object; empty texts count as absent.
        :raises AvePointConfigError: a field is missing or cannot be used; the message names the field.
        """
        reader = _Reader(conn_id, {k: v for k, v in (extra or {}).items() if v not in (None, "")})
        if unknown := sorted(reader.extra.keys() - _EXTRAS):
            log.warning(
                "Connection %r: extra %s is not known to this provider and is ignored.",
                conn_id,
                ", ".join(unknown),
            )
        if conn_type and conn_type.strip().casefold() != "avepoint":
            raise reader.error(
                "conn_type",
                f"is {conn_type!r}, so its credentials are not AvePoint's; give it the type avepoint",
            )
        region = reader.region()
        name = reader.choice("environment", ENVIRONMENTS) or "commercial"
        if region is not None:
            own = _ENVIRONMENT_OF_REGION.get(region, "commercial")
            if name not in (own, "commercial"):
                raise reader.error("region", f"{region} belongs to the environment {own}, not {name}")
            name = own  # the form sends commercial where the user chose no environment
        environment = ENVIRONMENTS[name]
        insecure = reader.boolean("insecure_http", default=False)
        regional = f"https://graph-{region}.avepointonlineservices.com" if region else None
        if not host:
            host = regional or environment.host
            if host is None:
                raise reader.error(
                    "host", "is empty; give the full base URL, or set the extra 'region' (such as us)"
                )
        if not login:
            raise reader.error("login", "is empty; it is the client id of the app registration")
        base_url = reader.address("host", host, port=port, insecure=insecure)
        reader.check_host(base_url, regional, login)
        settings = cls(
            base_url=base_url,
            identity_endpoint=reader.address(
                "identity_endpoint",
                reader.text("identity_endpoint") or environment.identity_endpoint,
                insecure=insecure,
            ),
            client_id=login,
            client_secret=password or None,
            certificate=reader.text("certificate"),
            private_key=reader.text("private_key"),
            pfx_path=reader.text("pfx_path"),
            location=reader.text("location"),
            single_tenant=reader.boolean("single_tenant", default=False),
            allow_restore=reader.boolean("allow_restore", default=False),
            page_size=reader.integer("page_size", 1, 10_000),
            max_concurrency=reader.integer("max_concurrency", 1, MAX_CONCURRENCY) or DEFAULT_CONCURRENCY,
            timeout=reader.seconds("timeout", DEFAULT_TIMEOUT),
            verify=reader.verify(),
            proxies=reader.proxies(),
            trust_env=reader.boolean("trust_env", default=True),
            console_url=None if reader.text("identity_endpoint") else environment.console_url,
        )
        reader.check_credentials(settings)
        return settings


class _Reader:
    """Reads the extras of one connection; each error names the connection and the field."""

    def __init__(self, conn_id: str, extra: Mapping[str, Any]) -> None:
        self.conn_id = conn_id
        self.extra = extra

    def error(self, name: str, problem: str) -> AvePointConfigError:
        return AvePointConfigError(f"Connection {self.conn_id!r}: {name} {problem}.")

    def text(self, name: str) -> str | None:
        value = self.extra.get(name)
        if value is not None and not isinstance(value, str):
            raise self.error(name, "is not text")
        return value

    def choice(self, name: str, known: Any) -> str | None:
        value = self.text(name)
        if value is not None and value not in known:
            raise self.error(name, f"is {value!r}, which is not one of {', '.join(known)}")
        return value

    def region(self) -> str | None:
        value = self.text("region")
        name = None if value is None else value.strip().casefold()
        if name and name not in REGIONS:
            raise self.error("region", f"is {value!r}, which is not one of {', '.join(REGIONS)}")
        return name or None

    def check_host(self, base_url: str, regional: str | None, login: str) -> None:
        """Check the address of the API against the other fields, and warn of what is odd.

        :param base_url: the address.
        :param regional: the address of the region that the connection names; None where it names none.
        :param login: the client id.
        """
        parts = urlsplit(base_url)
        hostname = (parts.hostname or "").rstrip(".")
        if regional not in (None, base_url):
            log.warning(
                "Connection %r: host and region are both set; host holds, so the API is asked at %s, not at "
                "%s. Clear one of them.",
                self.conn_id,
                base_url,
                regional,
            )
        if parts.path and hostname.endswith(_VENDOR_DOMAINS):
            raise self.error(
                "host", f"is {base_url!r}; AvePoint's hosts have no path, leave {parts.path!r} out"
            )
        if parts.path:
            log.warning(
                "Connection %r: host has the path %r; every request goes below this path.",
                self.conn_id,
                parts.path,
            )
        if _is_loopback(hostname) and not self.text("identity_endpoint"):
            fields = {
                "conn_type": "avepoint",
                "host": base_url,
                "login": login,
                "password": _SIMULATOR_CLIENT.get(login, "the client secret"),
                "extra": {"identity_endpoint": f"{base_url}/connect/token"},
            }
            line = f"AIRFLOW_CONN_{self.conn_id.upper()}={shlex.quote(json.dumps(fields))}"
            # No full stop after the line: people copy to its end.
            raise AvePointConfigError(
                f"Connection {self.conn_id!r}: identity_endpoint is empty, and host is this machine: "
                f"AvePoint's own identity service would get the credentials. For a simulator:\nexport {line}"
            )

    def boolean(self, name: str, *, default: bool) -> bool:
        value = self.extra.get(name, default)
        if isinstance(value, bool):
            return value
        if isinstance(value, str) and value.casefold() in ("true", "false"):
            return value.casefold() == "true"
        raise self.error(name, f"is {value!r}; give true or false")

    def integer(self, name: str, least: int, most: int) -> int | None:
        value = self.extra.get(name)
        if value is None:
            return None
        try:
            number = int(value) if not isinstance(value, (bool, float)) else -1
        except (TypeError, ValueError):
            number = -1
        if not least <= number <= most:
            raise self.error(name, f"is {value!r}; give a whole number from {least} to {most}")
        return number

    def seconds(self, name: str, default: float) -> float:
        value = self.extra.get(name, default)
        try:
            number = float(value) if not isinstance(value, bool) else 0.0
        except (TypeError, ValueError):
            number = 0.0
        if not 0 < number <= 3600:
            raise self.error(name, f"is {value!r}; give seconds, more than 0 and at most 3600")
        return number

    def verify(self) -> bool | str:
        value = self.extra.get("verify", True)
        if isinstance(value, str) and value.casefold() not in ("true", "false"):
            return value
        return self.boolean("verify", default=True)

    def proxies(self) -> dict[str, str]:
        value = self.extra.get("proxies", {})
        if isinstance(value, str) and value.lstrip().startswith("{"):  # the form sends objects as JSON text
            try:
                value = json.loads(value)
            except ValueError:
                raise self.error("proxies", "is not the JSON object that it looks like") from None
        if isinstance(value, str):
            return {"http": value, "https": value}
        if isinstance(value, Mapping) and all(isinstance(url, str) for url in value.values()):
            return dict(value)
        raise self.error("proxies", "is neither a proxy URL nor an object of scheme and proxy URL")

    def address(self, name: str, value: str, *, insecure: bool, port: int | None = None) -> str:
        """Check a base URL and return it without a trailing slash."""
        if "@" in value:  # the value may hold a password, so the message does not show it
            raise self.error(name, "carries a user name; credentials belong in login and password")
        try:
            parts = urlsplit(value.strip())
            own_port = parts.port
        except ValueError:
            raise self.error(name, f"is {value!r}, which is not a URL") from None
        if parts.scheme not in ("https", "http") or not parts.hostname:
            raise self.error(
                name, f"is {value!r}; give a full URL such as https://graph-us.avepointonlineservices.com"
            )
        if parts.query or parts.fragment:
            raise self.error(name, f"is {value!r}; leave out everything from ? or # on")
        if parts.scheme == "http" and not insecure and not _is_loopback(parts.hostname):
            raise self.error(
                name,
                f"is {value!r}: plain http would send the credentials readable for anyone on the way; "
                "use https, or set the extra 'insecure_http' to true for a test server",
            )
        is_usual = port in (None, 0, _USUAL_PORTS[parts.scheme])
        netloc = parts.netloc if own_port or is_usual else f"{parts.netloc}:{port}"
        return f"{parts.scheme}://{netloc}{parts.path.rstrip('/')}"

    def check_credentials(self, settings: Settings) -> None:
        if settings.pfx_path and (settings.certificate or settings.private_key):
            raise self.error("pfx_path", "and certificate/private_key are both set; give one of them")
        if bool(settings.certificate) != bool(settings.private_key):
            missing = "private_key" if settings.certificate else "certificate"
            raise self.error(missing, "is empty; a certificate needs both 'certificate' and 'private_key'")
        if not (settings.client_secret or settings.certificate or settings.pfx_path):
            raise self.error(
                "password", "is empty; give the client secret, or certificate and private_key, or pfx_path"
            )


def _is_loopback(hostname: str) -> bool:
    if hostname == "localhost" or hostname.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(hostname).is_loopback
    except ValueError:
        return False
