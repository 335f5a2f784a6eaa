"""MLflow's server over a database and a place of artifacts: checked before it starts, without a word of a secret.

Passwords reach the server in its environment and in files that their owner alone can read; a command line can be
read by everybody on a machine, and a log often is.
"""

from __future__ import annotations

import importlib.util
import os
import secrets
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from workbench.errors import InputError, StoreError
from workbench.files import replacing_private
from workbench.security.loopback import is_loopback
from workbench.tracking import postgres, server_authorization

ADMIN = "admin"
ADMIN_PASSWORD = "MLFLOW_AUTH_ADMIN_PASSWORD"  # MLflow's own name of it
PERMISSION = "EDIT"  # of every user on every study: log and read, neither delete nor hand out rights
S3_SECONDS = 5
# A password is hashed slowly on purpose; without a memory ten clients at once wait for nothing else.
REMEMBERED_SECONDS = 60


@dataclass(frozen=True)
class ServerPlan:
    """A server to start: `database` is an address of SQLAlchemy, `artifacts` a folder or `s3://bucket/path`."""

    database: str
    artifacts: str
    host: str
    port: int
    folder: Path  # the server's own files
    authenticated: bool = True
    workers: int = 2

    @property
    def url(self) -> str:
        """The address for clients on this machine."""
        host = "127.0.0.1" if self.host in ("0.0.0.0", "::") else self.host
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    def check(self) -> None:
        """Raise `InputError` in one line for whatever would keep the server from working."""
        if not self.authenticated and not is_loopback(self.host):
            raise InputError(
                f"{self.host} without authentication would let everybody in",
                where="--host",
                expected="127.0.0.1 or a server with authentication",
                do="leave out --no-auth",
            )
        if self.authenticated and importlib.util.find_spec("flask_wtf") is None:
            raise InputError(
                "authentication needs Flask-WTF",
                where="workbench server",
                do="pip install 'workbench[server]'",
            )
        if self.database.startswith(postgres.PREFIX):
            postgres.connect(self.database).close()
        if self.artifacts.startswith("s3://"):
            check_bucket(self.artifacts)

    def command(self) -> list[str]:
        """Return the server's command line, free of secrets: addresses go through the environment."""
        words = [sys.executable, "-m", "mlflow", "server", "--host", self.host, "--port", str(self.port)]
        words += ["--workers", str(self.workers)]
        return words + (["--app-name", "basic-auth"] if self.authenticated else [])

    def environment(self) -> dict[str, str]:
        """Return the server's own variables; makes the files that hold its secrets where they are missing."""
        address, password = without_password(postgres.with_driver(self.database))
        found = {"MLFLOW_BACKEND_STORE_URI": address, "MLFLOW_ARTIFACTS_DESTINATION": self.artifacts}
        if password:
            found["PGPASSWORD"] = password
        if self.authenticated:
            found["MLFLOW_FLASK_SERVER_SECRET_KEY"] = kept_secret(self.folder / "secret-key")
            found[ADMIN_PASSWORD] = admin_password(self.folder)
            found["MLFLOW_AUTH_CONFIG_PATH"] = str(self._settings(address))
            # The server asks `server_authorization`, and does not stand in the folder from which this program was found.
            home = str(Path(__file__).resolve().parents[2])
            found["PYTHONPATH"] = os.pathsep.join(filter(None, (home, os.environ.get("PYTHONPATH"))))
        return found

    def _settings(self, address: str) -> Path:
        """Write what MLflow reads of authentication; users are kept in the database of the runs."""
        # Users beside the runs where several servers share a database, else in a file of this server.
        users = address if address.startswith(postgres.PREFIX) else f"sqlite:///{self.folder / 'users.db'}"
        path = self.folder / "auth.ini"
        lines = (
            "[mlflow]",
            f"default_permission = {PERMISSION}",
            # MLflow reads this file with interpolation: a single percent sign would be taken for a reference.
            f"database_uri = {users}".replace("%", "%%"),
            f"admin_username = {ADMIN}",
            f"auth_cache_ttl_seconds = {REMEMBERED_SECONDS}",
            f"authorization_function = {server_authorization.FUNCTION}",
        )
        with replacing_private(path) as file:  # whole: a server at work may be reading it
            file.write("\n".join(lines) + "\n")
        return path


def without_password(address: str) -> tuple[str, str | None]:
    """Return a database's address without its password, and the password."""
    parts = urlsplit(address)
    if parts.password is None:
        return address, None
    user, _, host = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{user.partition(':')[0]}@{host}")), unquote(parts.password)


def admin_password(folder: Path) -> str:
    """Return the administrator's password: from the environment, else from a file made on the first start."""
    return os.environ.get(ADMIN_PASSWORD) or kept_secret(folder / "admin-password")


def kept_secret(path: Path) -> str:
    """Return the secret in `path`, which is made, readable by its owner alone, where it is missing."""
    try:
        found = path.read_text(encoding="utf-8").strip()
        if found:
            return found
    except FileNotFoundError:
        pass
    except OSError as error:
        raise StoreError(f"cannot be read: {error.strerror}", where=path) from error
    # Made once and kept: sessions and passwords must outlive a restart of the server.
    made = secrets.token_urlsafe(24)
    with replacing_private(path) as file:
        file.write(made + "\n")
    return made


def check_bucket(address: str) -> None:
    """Raise `StoreError` unless the bucket of `s3://bucket/path` answers and knows us.

    Another service than Amazon's is named by MLFLOW_S3_ENDPOINT_URL; keys come from where boto3 looks.
    """
    endpoint = os.environ.get("MLFLOW_S3_ENDPOINT_URL")
    where = f"{address} at {endpoint}" if endpoint else address
    try:
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError, ClientError
    except ImportError as error:
        raise StoreError("boto3 is missing", where=where, do="pip install 'workbench[s3]'") from error
    # One try: a wrong name of a host would otherwise be asked for a minute before anybody hears of it.
    patience = Config(connect_timeout=S3_SECONDS, read_timeout=S3_SECONDS, retries={"max_attempts": 1})
    try:
        boto3.client("s3", endpoint_url=endpoint, config=patience).head_bucket(
            Bucket=urlsplit(address).netloc
        )
    except (BotoCoreError, ClientError, ValueError) as error:
        raise StoreError(
            f"the bucket cannot be used: {error}",
            where=where,
            do="see docs/machines.md for the variables it needs",
        ) from error
