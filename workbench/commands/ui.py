"""`workbench ui`: MLflow's pages, TensorBoard and the reports on this machine, all stopped by Ctrl-C."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import click

from workbench.commands import ui_reports
from workbench.commands.common_options import STORE, TRUST_CODE, debug_option
from workbench.commands.ui_board import BoardOptions, BoardPage, board_of, newest_study
from workbench.errors import InputError, StoreError
from workbench.security.children import guarded
from workbench.security.loopback import require_loopback
from workbench.tracking.store import Store, find_store
from workbench.tracking.sync_thread import reason
from workbench.train.signals import orderly_end
from workbench.views.links import MLFLOW_PORT, REPORT_PORT, TENSORBOARD_PORT, report_link

START_SECONDS = 90
REFRESH_SECONDS = 5.0  # as often as TensorBoard looks for news
MLFLOW_VARIABLES = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # else MLflow starts eight more processes
}


class Ports(NamedTuple):
    """Where the pages are to be."""

    mlflow: int
    tensorboard: int
    report: int


@click.command()
@click.argument("what", nargs=-1, metavar="[STUDY_OR_RUN]...")
@click.option("--address", is_flag=True, help="Print what mlflow.set_tracking_uri wants, and start nothing.")
@click.option(
    "--errors", is_flag=True, help="Show images of the worst errors of the chosen runs in TensorBoard."
)
@click.option(
    "--learning-rate", is_flag=True, help="Show their learning rate, step by step, as their specs say."
)
@click.option("--projector", is_flag=True, help="Show embeddings of images of their data in the projector.")
@click.option(
    "--open/--no-open", "browse", default=None, help="Open MLflow's page.  [default: on a terminal]"
)
@STORE
@click.option("--port", type=int, default=MLFLOW_PORT, show_default=True, help="Port of the MLflow UI.")
@click.option(
    "--tensorboard-port", type=int, default=TENSORBOARD_PORT, show_default=True, help="Port of TensorBoard."
)
@click.option("--report-port", type=int, default=REPORT_PORT, show_default=True, help="Port of the reports.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address; only this machine's own.")
@TRUST_CODE
@debug_option("Show the servers' own output.")
@orderly_end()
def ui(
    what: tuple[str, ...],
    address: bool,
    errors: bool,
    learning_rate: bool,
    projector: bool,
    browse: bool | None,
    store: str | None,
    port: int,
    tensorboard_port: int,
    report_port: int,
    host: str,
    trust_code: bool,
    debug: bool,
) -> None:
    """Start MLflow, TensorBoard and the reports on 127.0.0.1, print their pages, stop all on Ctrl-C.

    With STUDY_OR_RUN TensorBoard shows these runs alone: their varying settings, and the best values they share.
    """
    require_loopback(host, "`workbench ui` (MLflow's pages and TensorBoard)", where="--host", port=port)
    place = find_store(store)
    if address:
        click.echo(place.uri)
        return
    if not place.journals.is_dir():
        raise StoreError("no records yet", where=place.root, do="run an experiment first")
    options = BoardOptions(errors, learning_rate, projector, trust_code)
    options.refuse_without(what)
    ports = Ports(port, tensorboard_port, report_port)
    for number, option in zip(ports, ("--port", "--tensorboard-port", "--report-port")):
        require_free(number, option)
    with board_of(place, what, options) as board:
        browse = sys.stdout.isatty() if browse is None else browse
        _serve(place, ports, board, None if debug else subprocess.DEVNULL, browse)


def _serve(place: Store, ports: Ports, board: BoardPage, output: int | None, browse: bool) -> None:
    """Run the servers until Ctrl-C or until one ends by itself, and keep the board up to date."""
    page = f"http://127.0.0.1:{ports.mlflow}{mlflow_page(place, board.study)}"
    reports = ui_reports.serve(place.reports, ports.report)
    servers = [
        _start(mlflow_command(place, ports.mlflow), output),
        _start(board_command(board.root, ports.tensorboard), output),
    ]
    try:
        for server, number, name in zip(servers, ports, ("MLflow", "TensorBoard")):
            wait_until_up(server, f"http://127.0.0.1:{number}/", name, do="see `workbench ui --debug`")
        click.echo(f"MLflow       {page}")
        click.echo(f"TensorBoard  http://127.0.0.1:{ports.tensorboard}/#{board.tab}")
        click.echo(f"reports      {report_link(board.study or 'STUDY', ports.report)}")
        click.echo("Ctrl-C stops all.")
        if browse:
            webbrowser.open(page)
        while all(server.poll() is None for server in servers):
            time.sleep(0.2)
            board.keep_up(REFRESH_SECONDS)
        raise StoreError("a server ended by itself", where="workbench ui", do="see --debug")
    except KeyboardInterrupt:
        click.echo("stopped")
    finally:
        reports.shutdown()
        stop(servers)


def require_free(port: int, option: str, host: str = "127.0.0.1") -> None:
    """Raise `InputError` where a port is taken, or `host` is not an address of this machine."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        with socket.socket(family) as probe:
            # As the servers do: connections that linger after a server's end do not keep its port.
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


def board_command(root: Path, port: int) -> list[str]:
    """Return the command of a TensorBoard over the runs in `root`."""
    words = ["-m", "tensorboard.main", "--logdir", str(root), "--host", "127.0.0.1"]
    return [sys.executable, *words, "--port", str(port), "--reload_interval", "5"]


def _start(command: list[str], output: int | None) -> subprocess.Popen[bytes]:
    environment = {
        **os.environ,
        **MLFLOW_VARIABLES,
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "PATH": os.pathsep.join((os.path.dirname(sys.executable), os.environ.get("PATH", ""))),
    }
    return guarded(command, environment, stdout=output, stderr=output)


def wait_until_up(
    server: subprocess.Popen[bytes],
    address: str,
    name: str,
    do: str | None = None,
    last: Callable[[], str] = lambda: "",
) -> None:
    """Wait until a server answers; raises `StoreError` with its `last` words when it ends or stays silent."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise StoreError(f"{name} ended with status {server.returncode}{last()}", do=do)
        with contextlib.suppress(OSError), urllib.request.urlopen(address, timeout=2):
            return
        time.sleep(0.2)
    raise StoreError(f"{name} does not answer within {START_SECONDS} s{last()}", do=do)


def mlflow_page(store: Store, study: str | None = None) -> str:
    """Return the path of the page that shows a study's runs (the newest one's), sorted, with what differs.

    The view is kept in MLflow; where that cannot be written the page opens with its own columns.
    """
    from workbench.tracking.mlflow_client import open_client
    from workbench.views import saved_view

    study = study or newest_study(store, store.runs())
    if study is None:
        return "/"
    try:
        found = saved_view.save(open_client(store), store, study)
    except Exception as error:  # noqa: BLE001 - a read-only database or a server that is away: the page itself says so
        click.echo(f"note: the columns could not be saved: {reason(error)}", err=True)
        return "/"
    return found or "/"


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
