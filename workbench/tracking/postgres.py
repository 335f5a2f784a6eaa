"""A PostgreSQL address: asked for an answer in seconds, and never shown with its password."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit, urlunsplit

from workbench.errors import StoreError

SECONDS = 5
PREFIX = "postgresql"


def connect(uri: str) -> Any:
    """Return an open connection to the database at `uri`.

    Passwords may come from PGPASSWORD or ~/.pgpass, as in every program of PostgreSQL. Raises
    `StoreError` in one line for a missing driver, an unreachable server and a wrong password.
    """
    try:
        import psycopg2
    except ImportError as error:
        raise StoreError(
            "the driver psycopg2 is missing", where=shown(uri), do="pip install 'workbench[postgres]'"
        ) from error
    try:
        # A limit: a firewall may drop packets silently, and the driver itself would wait for minutes.
        return psycopg2.connect(plain(uri), connect_timeout=SECONDS)
    except psycopg2.Error as error:
        raise StoreError(_reason(str(error)), where=shown(uri), do=_advice(str(error))) from error


def plain(uri: str) -> str:
    """Return the address without SQLAlchemy's name of a driver (`postgresql+psycopg2://`)."""
    scheme, colon, rest = uri.partition("://")
    return f"{scheme.partition('+')[0]}{colon}{rest}"


def with_driver(uri: str) -> str:
    """Return the address with the driver that is a part of the extra; SQLAlchemy's default is another one."""
    return (
        uri.replace("postgresql://", "postgresql+psycopg2://", 1) if uri.startswith("postgresql://") else uri
    )


def shown(uri: str) -> str:
    """Return an address as it may be printed: without its password."""
    parts = urlsplit(uri)
    if parts.password is None:
        return uri
    # Only the password goes: user, host and port are what somebody needs to find a mistake.
    return urlunsplit(parts._replace(netloc=parts.netloc.replace(f":{parts.password}@", ":***@", 1)))


def _reason(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return "the database cannot be opened: " + (
        lines[0].rpartition("failed: ")[2] if lines else "no reason given"
    )


def _advice(text: str) -> str:
    if "password" in text:
        return "set PGPASSWORD, or a line in ~/.pgpass"
    if "does not exist" in text:
        return "an administrator makes it: createuser, createdb"
    return "is it running there, and does it listen on that port?"
