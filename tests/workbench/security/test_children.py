"""What `ui` and `server` start ends with them, whatever ends them: asked, interrupted, or killed without a word."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

# The real commands, with small servers in the place of MLflow and TensorBoard; each starts a process of its own, as
# MLflow does with its workers.
DRIVER = """
import sys
from workbench.commands import server, ui
from workbench.tracking import server as setup
SERVE = '''
import http.server, subprocess, sys
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
    def log_message(self, *words):
        pass
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Answer).serve_forever()
'''
def command(port):
    return [sys.executable, "-c", SERVE, str(port)]
ui.mlflow_command = ui.board_command = lambda store, port: command(port)
setup.ServerPlan.command = lambda self: command(self.port)
setup.ServerPlan.check = lambda self: None
from workbench.cli import main
sys.exit(main(sys.argv[1:]))
"""


def free_port() -> int:
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        return int(door.getsockname()[1])


def below(pid: int) -> set[int]:
    """Return the processes that a process has started, and those that they have."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents.setdefault(int(words[1]), []).append(int(entry.name))
    found, todo = set(), [pid]
    while todo:
        for child in parents.get(todo.pop(), []):
            found.add(child)
            todo.append(child)
    return found


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False


@pytest.mark.parametrize("command", ["ui", "server"])
@pytest.mark.parametrize(
    "number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL, signal.SIGSEGV]
)
def test_no_server_outlives_its_command(
    project: Path, root: Path, command: str, number: signal.Signals
) -> None:
    (project / "mlruns" / "journal").mkdir(parents=True, exist_ok=True)
    words = ["--port", str(free_port())]
    words += ["--tensorboard-port", str(free_port())] if command == "ui" else ["--no-auth"]

    def heard() -> None:  # whatever these tests were started with
        for each in (signal.SIGINT, signal.SIGHUP):
            signal.signal(each, signal.default_int_handler if each == signal.SIGINT else signal.SIG_DFL)

    process = subprocess.Popen(
        [sys.executable, "-c", DRIVER, command, *words],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(root)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=heard,
    )
    assert process.stdout is not None
    said: list[str] = []
    while not said or (said[-1] and not said[-1].startswith("Ctrl-C")):
        said.append(process.stdout.readline())
    started = below(process.pid)
    assert len(started) >= (6 if command == "ui" else 3), said
    process.send_signal(number)
    process.wait(1200)
    deadline = time.monotonic() + 1200
    while any(map(is_alive, started)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not [pid for pid in started if is_alive(pid)]
