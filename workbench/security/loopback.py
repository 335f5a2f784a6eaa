"""Who may be listened to: everything listens on this machine alone, unless what is served asks who is there."""

from __future__ import annotations

import ipaddress

from workbench.errors import InputError


def is_loopback(host: str) -> bool:
    """Tell whether only this machine can reach a server at `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def require_loopback(host: str, what: str, *, where: str, port: int | str = "PORT") -> None:
    """Raise `InputError` where `what`, which knows no users and passwords, would be reached from elsewhere."""
    if not is_loopback(host):
        raise InputError(
            f"{what} asks nobody for a password, so it does not listen on {host}",
            where=where,
            expected="127.0.0.1",
            do=f"reach it from elsewhere through SSH: ssh -L {port}:127.0.0.1:{port} this-machine",
        )
