"""`workbench server`: a store for many machines, MLflow's server on PostgreSQL with user names and passwords."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import click

from workbench.commands.common_options import debug_option, store_option
from workbench.commands.ui import MLFLOW_VARIABLES, require_free, stop, wait_until_up
from workbench.errors import InputError, StoreError
from workbench.files import replacing_private
from workbench.security.children import guarded
from workbench.tracking import server as server_setup
from workbench.tracking.store import Store, find_store
from workbench.train.signals import orderly_end

DATABASE = "WORKBENCH_DATABASE"


@click.command()
@click.option(
    "--database",
    metavar="URI",
    help=f"postgresql://user@host/name; else ${DATABASE}, else the project's SQLite file.",
)
@click.option("--artifacts", metavar="PLACE", help="A folder or s3://bucket/path; else the project's.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", type=click.IntRange(1, 65535), default=5000, show_default=True, help="Port to listen on."
)
@click.option("--workers", type=click.IntRange(min=1), default=2, show_default=True, help="Server processes.")
@click.option("--no-auth", is_flag=True, help="Let everybody on this machine in; for 127.0.0.1 only.")
@click.option("--add-user", metavar="NAME", help="Add a user to the running server instead of starting one.")
@store_option("The project's folder of records, if not the usual one.")
@debug_option("Show the server's own output, and tracebacks.")
@orderly_end()
def server(
    database: str | None,
    artifacts: str | None,
    host: str,
    port: int,
    workers: int,
    no_auth: bool,
    add_user: str | None,
    store: str | None,
    debug: bool,
) -> None:
    """Serve runs of many machines until Ctrl-C; the log and the secrets are in mlruns/server/."""
    place = find_store(store)
    plan = server_setup.ServerPlan(
        database=_database(database, place),
        artifacts=_artifacts(artifacts, place),
        host=host,
        port=port,
        folder=place.root / "server",
        authenticated=not no_auth,
        workers=workers,
    )
    if add_user:
        _add_user(plan, add_user)
        return
    plan.check()
    require_free(port, "--port", host)
    _serve(plan, debug)


def _database(given: str | None, store: Store) -> str:
    if given and server_setup.without_password(given)[1]:
        raise InputError(
            "holds a password, which everybody on this machine can read there",
            where="--database",
            do=f"set PGPASSWORD, a line in ~/.pgpass, or the whole address in {DATABASE}",
        )
    found = given or os.environ.get(DATABASE)
    if found is None:
        store.root.mkdir(parents=True, exist_ok=True)
        return f"sqlite:///{store.database}"
    if not found.startswith(("postgresql://", "postgresql+psycopg2://", "sqlite:///")):
        raise InputError(
            "is not a database that is known here",
            where=given or DATABASE,
            expected="postgresql://user@host/name",
        )
    return found


def _artifacts(given: str | None, store: Store) -> str:
    """Return the place of artifacts; a folder is made, so that a wrong one is refused here."""
    if given and given.startswith("s3://"):
        return given.rstrip("/")
    if given and "://" in given:
        raise InputError(
            f"{given!r} is not a place of artifacts",
            where="--artifacts",
            expected="a folder or s3://bucket/path",
        )
    folder = Path(given).expanduser().resolve() if given else store.artifacts
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError(13, "Permission denied")
    except OSError as error:
        raise StoreError(f"artifacts cannot be written there: {error.strerror}", where=folder) from error
    return folder.as_uri()


def _serve(plan: server_setup.ServerPlan, debug: bool) -> None:
    environment = {**os.environ, **MLFLOW_VARIABLES, **plan.environment()}
    log = plan.folder / "server.log"
    with replacing_private(log):
        pass  # an empty one: the server's own words are appended
    with log.open("ab") as file:
        output = None if debug else file
        process = guarded(  # what it makes, users.db with its password digests, is for its owner alone
            plan.command(), environment, stdout=output, stderr=output, cwd=plan.folder, umask=0o077
        )
    try:
        wait_until_up(process, f"{plan.url}/health", "the server", last=lambda: f": {_last(log)}")
        for line in _welcome(plan):
            click.echo(line)
        while process.poll() is None:
            time.sleep(0.2)
        raise StoreError(f"the server ended by itself: {_last(log)}", where=log)
    except KeyboardInterrupt:
        click.echo("stopped")
    finally:
        stop([process])


def _welcome(plan: server_setup.ServerPlan) -> list[str]:
    shown, _ = server_setup.without_password(plan.database)
    lines = [f"MLflow     {plan.url}", f"database   {shown}", f"artifacts  {plan.artifacts}"]
    if plan.authenticated:
        known = server_setup.ADMIN_PASSWORD in os.environ
        where = f"${server_setup.ADMIN_PASSWORD}" if known else plan.folder / "admin-password"
        lines.append(f"user       {server_setup.ADMIN}, its password is in {where}")
    if not server_setup.is_loopback(plan.host):
        lines.append(
            "note: passwords travel in clear over http; put a server with TLS in front, or use a tunnel"
        )
    lines.append(f"Clients: workbench run experiments/quickstart.py --store {plan.url}")
    return [*lines, "Ctrl-C stops it."]


def _add_user(plan: server_setup.ServerPlan, name: str) -> None:
    """Hand a new user to the running server; the password is typed unseen, or a line of standard input."""
    import requests

    asked = sys.stdin.isatty()
    password = (
        click.prompt(f"password for {name}", hide_input=True, err=True) if asked else sys.stdin.readline()
    )
    who = (server_setup.ADMIN, server_setup.admin_password(plan.folder))
    body = {"username": name, "password": password.rstrip("\n")}
    try:
        answer = requests.post(f"{plan.url}/api/2.0/mlflow/users/create", json=body, auth=who, timeout=10)
    except requests.RequestException as error:
        raise StoreError(
            "no server answers", where=plan.url, do="start it first: `workbench server`"
        ) from error
    if not answer.ok:
        refusal = (
            answer.json().get("message", "")
            if "json" in answer.headers.get("Content-Type", "")
            else answer.text
        )
        raise StoreError(f"the server refuses: {refusal[:200] or answer.reason}", where=plan.url)
    click.echo(f"user {name} added; it sets MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD")


def _last(log: Path) -> str:
    """Return the line that says most of why a server ended: the last that names an error."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    refusal = [line for line in lines if "Error" in line or "error" in line]
    return (refusal or lines or ["it said nothing"])[-1][:300]
