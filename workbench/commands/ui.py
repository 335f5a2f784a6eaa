"""`workbench ui`: the MLflow UI and TensorBoard on this machine, both stopped by Ctrl-C."""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import click

from workbench.errors import InputError, StoreError
from workbench.security.children import guarded
from workbench.security.loopback import require_loopback
from workbench.tracking.store import Store, find_store
from workbench.train.signals import orderly_end

START_SECONDS = 90


@click.command()
@click.option("--store", metavar="URI", help="Where the records are.")
@click.option("--port", type=int, default=5000, show_default=True, help="Port of the MLflow UI.")
@click.option("--tensorboard-port", type=int, default=6006, show_default=True, help="Port of TensorBoard.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address; only this machine's own.")
@click.option("--debug", is_flag=True, help="Show the servers' own output.")
@orderly_end()
def ui(store: str | None, port: int, tensorboard_port: int, host: str, debug: bool) -> None:
    """Start both UIs on 127.0.0.1, print the addresses of the right pages, stop both on Ctrl-C."""
    require_loopback(host, "`workbench ui` (MLflow's pages and TensorBoard)", where="--host", port=port)
    place = find_store(store)
    if not place.journals.is_dir():
        raise StoreError("no records yet", where=place.root, do="run an experiment first")
    for number, option in ((port, "--port"), (tensorboard_port, "--tensorboard-port")):
        require_free(number, option)
    output = None if debug else subprocess.DEVNULL
    servers = [
        _start(mlflow_command(place, port), output),
        _start(board_command(place, tensorboard_port), output),
    ]
    try:
        for server, number, name in zip(servers, (port, tensorboard_port), ("MLflow", "TensorBoard")):
            wait_until_up(server, number, name)
        click.echo(f"MLflow       http://127.0.0.1:{port}{mlflow_page(place)}")
        click.echo(f"TensorBoard  http://127.0.0.1:{tensorboard_port}/#hparams")
        click.echo("Ctrl-C stops both.")
        while all(server.poll() is None for server in servers):
            time.sleep(0.2)
        raise StoreError("a server ended by itself", where="workbench ui", do="see --debug")
    except KeyboardInterrupt:
        click.echo("stopped")
    finally:
        stop(servers)


def require_free(port: int, option: str, host: str = "127.0.0.1") -> None:
    """Raise `InputError` where a port is taken, or `host` is not an address of this machine."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise InputError(f"port {port} is in use", where=option, do="choose another port") from error
        reason = error.strerror or str(error)
        raise InputError(f"cannot listen on {host}, port {port}: {reason}", where=option) from error


def mlflow_command(store: Store, port: int) -> list[str]:
    """Return the command of an MLflow server on this machine's store."""
    artifacts = store.artifacts.resolve().as_uri()
    words = ["-m", "mlflow", "server", "--backend-store-uri", store.uri, "--default-artifact-root", artifacts]
    return [sys.executable, *words, "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]


def board_command(store: Store, port: int) -> list[str]:
    """Return the command of a TensorBoard over the store's runs."""
    words = ["-m", "tensorboard.main", "--logdir", str(store.tensorboard), "--host", "127.0.0.1"]
    return [sys.executable, *words, "--port", str(port), "--reload_interval", "5"]


def _start(command: list[str], output: int | None) -> subprocess.Popen[bytes]:
    environment = {
        **os.environ,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # else MLflow starts eight more processes
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "PATH": os.pathsep.join((os.path.dirname(sys.executable), os.environ.get("PATH", ""))),
    }
    return guarded(command, environment, stdout=output, stderr=output)


def wait_until_up(server: subprocess.Popen[bytes], port: int, name: str) -> None:
    """Wait until a server answers; raises `StoreError` when it ends or stays silent."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise StoreError(f"{name} ended with status {server.returncode}", do="see `workbench ui --debug`")
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=2)
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise StoreError(f"{name} does not answer within {START_SECONDS} s", do="see `workbench ui --debug`")


def mlflow_page(store: Store) -> str:
    """Return the path of the page that shows the newest study's runs as curves and settings."""
    from workbench.tracking.store import connect

    if not store.is_local or not store.database.exists():
        return "/"
    with connect(store.database) as connection:
        row = connection.execute(
            "SELECT experiment_id FROM runs WHERE lifecycle_stage = 'active' ORDER BY start_time DESC LIMIT 1"
        ).fetchone()
    if row is None:
        return "/"
    return f"/#/experiments/{row[0]}/runs?compareRunsMode=CHART&workflowType=machine_learning"


def stop(servers: list[subprocess.Popen[bytes]]) -> None:
    """End the servers and what they started, by their own process groups."""
    for server in servers:
        if server.poll() is None:
            os.killpg(server.pid, signal.SIGTERM)
    for server in servers:
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
