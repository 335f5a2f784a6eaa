"""Everything that listens does so on this machine alone, or asks who is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from workbench.commands.ui import board_command, mlflow_command, ui
from workbench.errors import InputError
from workbench.security.loopback import is_loopback, require_loopback
from workbench.tracking.store import Store

LISTENING = r"\.bind\(|add_insecure_port\(|\"--host\"|ThreadingHTTPServer\(|HTTPServer\(|start_server\("
# Files that listen, each looked at: what it listens on, or who asks for a password.
LOOKED_AT = {
    "workbench/commands/ui.py": "127.0.0.1, else refused",
    "workbench/commands/ui_reports.py": "127.0.0.1, and nothing that a link leads to",
    "workbench/commands/server.py": "127.0.0.1, else MLflow with users and passwords",
    "workbench/tracking/server.py": "127.0.0.1, else MLflow with users and passwords",
    "workbench/sweep/chief.py": "127.0.0.1, else refused",
    "workbench/distribute/cluster.py": "the addresses that the spec names for workers of one training",
    "workbench/jobs/process.py": "binds a process to a processor, no socket",
    "workbench/commands/run.py": "binds a process to a processor, no socket",
    "workbench/jobs/placement.py": "binds a process to a processor, no socket",
}


def test_every_place_that_listens_has_been_looked_at(root: Path) -> None:
    found = {
        path.relative_to(root).as_posix()
        for folder in ("workbench", "analysis")
        for path in (root / folder).rglob("*.py")
        if re.search(LISTENING, path.read_text())
    }
    assert found <= LOOKED_AT.keys()
    assert "workbench/commands/ui.py" in found


def test_no_default_listens_on_all_addresses(root: Path) -> None:
    for folder in ("workbench", "analysis"):
        for path in (root / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.keyword) and node.arg in ("default", "host") and node.value:
                    assert ast.unparse(node.value).strip("'\"") not in ("0.0.0.0", "::", ""), path


@pytest.mark.parametrize(
    ("host", "own"),
    [
        ("127.0.0.1", True),
        ("127.3.2.1", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.7", False),
        ("my-machine", False),
        ("", False),
    ],
)
def test_which_addresses_are_of_this_machine_alone(host: str, own: bool) -> None:
    assert is_loopback(host) is own
    if not own:
        with pytest.raises(InputError, match="asks nobody for a password.*ssh -L 6006:127.0.0.1:6006"):
            require_loopback(host, "TensorBoard", where="--host", port=6006)


def test_the_pages_are_refused_to_other_machines(project: Path) -> None:
    done = CliRunner().invoke(ui, ["--host", "0.0.0.0"])
    assert isinstance(done.exception, InputError)
    assert "ssh -L 5000:127.0.0.1:5000" in str(done.exception)
    store = Store(project / "mlruns", f"sqlite:///{project / 'mlruns' / 'mlflow.db'}")
    for command in (mlflow_command(store, 1), board_command(store, 1)):
        assert command[command.index("--host") + 1] == "127.0.0.1"


def test_a_chief_of_a_sweep_is_refused_to_other_machines() -> None:
    from workbench.sweep.chief import served

    with (
        pytest.raises(InputError, match="Keras Tuner's chief asks nobody"),
        served(None, "0.0.0.0", 0, "token"),
    ):
        pass
