"""
Write the secrets of docker-compose.yaml into `.env`, once: `python3 demo/compose_env.py`.

Standard library only, so that it runs before anything is installed.
"""

from __future__ import annotations

import base64
import os
import secrets
import sys
from pathlib import Path

ENV_FILE = Path(__file__).resolve().parent.parent / ".env"


def new_secrets() -> dict[str, str]:
    """Return a fresh value for each variable of docker-compose.yaml, none of which needs escaping there."""
    return {
        # The form of cryptography's Fernet.generate_key().
        "AIRFLOW_FERNET_KEY": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        # At least 64 bytes: a shorter key is weaker than the HS512 signature made with it.
        "AIRFLOW_JWT_SECRET": secrets.token_urlsafe(64),
        "AIRFLOW_API_SECRET_KEY": secrets.token_urlsafe(32),
        "AIRFLOW_POSTGRES_PASSWORD": secrets.token_urlsafe(24),
        "AIRFLOW_ADMIN_PASSWORD": secrets.token_urlsafe(15),
    }


def write_env(path: Path) -> None:
    """
    Create *path* with fresh secrets, readable by its owner alone.

    :raises FileExistsError: *path* is there already; it is left as it is, for a running stack depends on it.
    """
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.writelines(f"{name}={value}\n" for name, value in new_secrets().items())


def main() -> int:
    """Write `.env` at the top of the checkout; return the exit status."""
    try:
        write_env(ENV_FILE)
    except FileExistsError:
        print(f"{ENV_FILE} exists and stays as it is; delete it to get new secrets.", file=sys.stderr)
        return 1
    print(f"Wrote {ENV_FILE}: sign in as admin with its AIRFLOW_ADMIN_PASSWORD.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
