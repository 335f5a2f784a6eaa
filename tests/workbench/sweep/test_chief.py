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


class Oracle:
    """Stands for a search: what a chief would give away."""

    def get_space(self):
        from keras_tuner import HyperParameters

        found = HyperParameters()
        found.Fixed("asked", True)
        return found


def asked(port: int, token: str | None):
    """Ask the chief at a port for its space as a worker does, with a token or as any other program would."""
    import grpc
    from keras_tuner.src import protos

    from workbench.sweep.chief_token import channel

    address = f"127.0.0.1:{port}"
    stub = protos.get_service_grpc().OracleStub(
        grpc.insecure_channel(address) if token is None else channel(address, token)
    )
    return stub.GetSpace(protos.get_service().GetSpaceRequest(), wait_for_ready=True, timeout=1200)


@pytest.mark.tensorflow
def test_a_chief_gives_trials_to_workers_of_its_store_only(project: Path, tmp_path: Path) -> None:
    import grpc

    from workbench.sweep.chief import served
    from workbench.tracking import origin
    from workbench.tracking.store import find_store

    store, other = (find_store(str(folder)) for folder in (project / "mlruns", tmp_path / "other"))
    for one in (store, other):
        one.root.mkdir(exist_ok=True)
    mine = origin.token(store, "chief of sweeps")
    assert mine == origin.token(store, "chief of sweeps") != origin.token(store, "anything else")
    with served(Oracle(), "127.0.0.1", 0, mine) as (port, _):
        for token in (None, "", mine[:-1], origin.token(other, "chief of sweeps")):
            with pytest.raises(grpc.RpcError) as refused_:
                asked(port, token)
            assert refused_.value.code() is grpc.StatusCode.UNAUTHENTICATED
        assert asked(port, mine).hyperparameters.values.values["asked"].boolean_value
