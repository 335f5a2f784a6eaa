"""Who we are for a tracking server, from where MLflow itself looks: two variables, else its credentials file."""

from __future__ import annotations

import configparser
import os
from pathlib import Path

VARIABLES = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")


def credentials() -> tuple[str, str] | None:
    """Return user name and password for tracking servers; None where nobody set them."""
    user, password = (os.environ.get(name) for name in VARIABLES)
    if user and password:
        return user, password
    file = Path.home() / ".mlflow" / "credentials"
    # Without interpolation: a password may hold a percent sign.
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read(file, encoding="utf-8")
        user, password = (parser["mlflow"][name.lower()] for name in VARIABLES)
        return user, password
    except (KeyError, OSError, configparser.Error, UnicodeDecodeError):
        return None  # as MLflow does: then the server decides
