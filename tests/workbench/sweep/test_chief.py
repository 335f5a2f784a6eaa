"""A chief's address: what cannot be listened at is refused before anything is recorded."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from workbench.cli import main

SPEC = '''"""Which?"""
from workbench import *
experiment = Experiment(
    data=Digits(hold_out=0.2), backbone=MLP(image_size=8), embedding=F(size=8),
    stages=Stage(loss=Softmax(), epochs=2), optimizer=SGD(), learning_rate=0.05, batch_size=64,
)
sweep = Sweep(base=experiment, space={"label_smoothing": Choice(0, 0.1)}, tuner=GridSearch(), name="one")
'''


@pytest.fixture
def spec(project: Path) -> str:
    (project / "study.py").write_text(SPEC)
    return "study.py"


def chief(monkeypatch: pytest.MonkeyPatch, host: str, port: object) -> None:
    for name, value in {"TUNER_ID": "chief", "ORACLE_IP": host, "ORACLE_PORT": str(port)}.items():
        monkeypatch.setenv(f"KERASTUNER_{name}", value)


def refused(spec: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["sweep", spec]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert not list(Path("mlruns").glob("sweeps/*"))
    assert not list(Path("mlruns").glob("journal/*"))
    return said


def test_a_port_in_use(spec: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        chief(monkeypatch, "127.0.0.1", port)
        assert f"127.0.0.1:{port}: cannot be listened at" in refused(spec, capsys)


def test_an_address_that_others_could_reach(
    spec: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    chief(monkeypatch, "0.0.0.0", 28765)
    assert "asks nobody for a password" in refused(spec, capsys)


@pytest.mark.parametrize(
    ("port", "said"), [("", "KERASTUNER_ORACLE_PORT: is not set"), ("x", "'x' is not a port")]
)
def test_half_an_address(
    spec: str, port: str, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    chief(monkeypatch, "127.0.0.1", port)
    assert said in refused(spec, capsys)
