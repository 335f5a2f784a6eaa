"""Records of MLflow and journals: tables, a server over the network, old folders, our own files."""

from __future__ import annotations

import json
import math
import sqlite3
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlparse

import numpy as np
import pytest
from makers import mlflow_database

from analysis.sources import Options, load, mlflow_sql, read_store
from analysis.sources.mlflow_common import parse_parameter, stages_of
from analysis.sources.mlflow_server import read_server
from workbench.cli import main
from workbench.errors import RecordError, StoreError
from workbench.tracking.journal import JournalWriter
from workbench.tracking.rows import EndRecord, EpochRecord, StartRecord
from workbench.tracking.store import MLFLOW_INFINITY, find_store

OURS = {
    "id": "a" * 32,
    "name": "baseline",
    "tags": {"workbench.run": "20260101T000000Z-00000001", "workbench.id": "1" * 12, "workbench.seed": "0"},
    "params": {"scale": "64", "rate": "5e-05", "on": "true", "net": "MobileNet", "stages.2.name": "margin"},
    "metrics": {
        "stage": {1: 1, 2: 1, 3: 2, 4: 2},
        "lfw": {1: 0.9, 2: math.nan, 3: MLFLOW_INFINITY, 4: 0.95},
        "triplet": {3: 2.0, 4: 1.0},
    },
}
FOREIGN = {"id": "b" * 32, "metrics": {"loss": {0: 3.0, 1: 2.0}}}
DELETED = {"id": "c" * 32, "lifecycle": "deleted", "metrics": {"loss": {0: 1.0}}}


@pytest.fixture
def database(tmp_path):
    return mlflow_database(tmp_path, [OURS, FOREIGN, DELETED])


def check(found):
    """What every way of reading `OURS` and `FOREIGN` must give."""
    ours, foreign = OURS["tags"]["workbench.run"], FOREIGN["id"]
    assert found.runs["run"].tolist() == [ours, foreign]
    row = found.runs.iloc[0]
    assert (row["name"], row["seed"], row["scale"], row["rate"], row["on"]) == ("baseline", 0, 64, 5e-5, True)
    rows = found.epochs[found.epochs["metric"] == "lfw"].sort_values("epoch")
    assert rows["epoch"].tolist() == [1, 2, 3, 4]
    assert np.array_equal(rows["value"], [0.9, math.nan, math.inf, 0.95], equal_nan=True)
    triplet = found.epochs[found.epochs["metric"] == "triplet"].sort_values("epoch")
    assert triplet["stage"].tolist() == [2, 2] and triplet["stage_epoch"].tolist() == [1, 2]
    assert triplet["stage_name"].tolist() == ["margin", "margin"]
    loss = found.epochs[found.epochs["run"] == foreign]
    assert sorted(loss["epoch"]) == [1, 2]  # it counts from 0


def test_sqlite(database):
    check(mlflow_sql.read_database(database))


def test_the_same_queries_through_sqlalchemy(database):
    check(mlflow_sql.read_server_database(f"sqlite:///{database}"))


def test_some_runs_only(database):
    found = mlflow_sql.read_database(database, [OURS["tags"]["workbench.run"]])
    assert len(found.runs) == 1 and set(found.epochs["metric"]) == set(OURS["metrics"])
    assert len(mlflow_sql.read_database(database, [FOREIGN["id"]]).epochs) == 2
    with pytest.raises(RecordError, match="no run 'x'"):
        mlflow_sql.read_database(database, ["x"])


def test_chunks_make_no_difference(database, monkeypatch):
    whole = mlflow_sql.read_database(database)
    monkeypatch.setattr(mlflow_sql, "CHUNK_ROWS", 1)
    assert mlflow_sql.read_database(database).epochs.equals(whole.epochs)


def test_steps_of_another_program_may_be_huge(tmp_path):
    steps = {"id": "d" * 32, "metrics": {"loss": {10**6: 2.0, 5 * 10**9: 1.0}}}
    found = mlflow_sql.read_database(mlflow_database(tmp_path, [OURS, steps]))
    rows = found.epochs[found.epochs["run"] == steps["id"]]
    assert rows["epoch"].tolist() == [1, 2] and rows["stage"].tolist() == [
        1,
        1,
    ]  # milliseconds are not epochs
    assert rows["step"].tolist() == [10**6, 5 * 10**9] and set(rows["kind"]) == {"inferred"}
    ours = found.epochs[(found.epochs["metric"] == "triplet")]
    assert ours["stage_epoch"].tolist() == [1, 2]


def test_a_database_file_is_a_store(database):
    assert len(load([database]).runs) == len(load([database.parent]).runs) == 2


def test_an_empty_or_foreign_or_missing_database(tmp_path):
    assert "no run" in str(mlflow_sql.read_database(mlflow_database(tmp_path, [])).notes[0])
    with pytest.raises(StoreError, match="no records yet"):
        load((), store=str(tmp_path / "nowhere"))
    (tmp_path / "x").mkdir()
    sqlite3.connect(tmp_path / "x" / "mlflow.db").close()
    with pytest.raises(StoreError, match="cannot read"):
        mlflow_sql.read_database(tmp_path / "x" / "mlflow.db")


def test_a_locked_database_is_refused_in_one_line(database, monkeypatch):
    monkeypatch.setattr("workbench.tracking.store.BUSY_SECONDS", 0.1)
    connection = sqlite3.connect(database)
    try:
        connection.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreError, match="locked") as error:
            mlflow_sql.read_database(database)
        assert "\n" not in str(error.value)
    finally:
        connection.close()


def test_a_database_server_out_of_reach_is_refused_in_one_line():
    pytest.importorskip("psycopg2")
    with pytest.raises(StoreError) as error:
        mlflow_sql.read_server_database("postgresql://user:secret@127.0.0.1:1/none")
    assert "\n" not in str(error.value) and "secret" not in str(error.value)


def test_stages_are_called_by_name_or_by_their_loss():
    given = {
        "stages.1.loss": "Softmax",
        "stages.1.epochs": 5,
        "stages.2.loss": "ArcFace",
        "stages.2.loss.scale": 16.0,
    }
    given |= {"stages.2.epochs": 1, "stages.2.train": "head", "stages.3.name": "end"}
    assert stages_of(given) == [("Softmax", 5), ("ArcFace(scale=16), head", 1), ("end", 0)]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("64", 64),
        ("-1", -1),
        ("5e-05", 5e-5),
        ("true", True),
        ("None", None),
        ("1.2.3", "1.2.3"),
        ("nan", "nan"),
    ],
)
def test_types_of_parameters(text, value):
    assert parse_parameter(text) == value and type(parse_parameter(text)) is type(value)


# ---------------------------------------------------------------- a server


class Handler(BaseHTTPRequestHandler):
    """Answers as a tracking server does, `silent` metrics not at all, in pages of one run."""

    silent: tuple[str, ...] = ()
    wait = 0.6

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path.endswith("experiments/search"):
            self.answer({"experiments": [{"experiment_id": "1", "name": "study"}]})
        else:
            page = int(asked.get("page_token", 0))
            runs = [self.run(content, number) for number, content in enumerate((OURS, FOREIGN))]
            self.answer({"runs": [runs[page]], **({"next_page_token": "1"} if page == 0 else {})})

    def do_GET(self):
        asked = {key: value[0] for key, value in parse_qs(urlparse(self.path).query).items()}
        if asked["metric_key"] in self.silent:
            time.sleep(self.wait)
            return
        content = next(run for run in (OURS, FOREIGN) if run["id"] == asked["run_id"])
        points = content["metrics"][asked["metric_key"]].items()
        self.answer(
            {"metrics": [{"step": step, "value": "NaN" if v != v else v, "key": "x"} for step, v in points]}
        )

    @staticmethod
    def run(content, number):
        pairs = {
            name: [{"key": k, "value": v} for k, v in content.get(name, {}).items()]
            for name in ("tags", "params")
        }
        info = {"run_id": content["id"], "run_name": content.get("name", ""), "experiment_id": "1"}
        info |= {"status": "FINISHED", "start_time": 1000 + number, "end_time": 61_000}
        return {"info": info, "data": {**pairs, "metrics": [{"key": key} for key in content["metrics"]]}}

    def answer(self, content):
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        """Say nothing on the screen."""


@pytest.fixture
def server(monkeypatch):
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever, daemon=True)
    thread.start()
    yield (
        f"http://127.0.0.1:{httpd.server_port}",
        lambda *names: monkeypatch.setattr(Handler, "silent", names),
    )
    httpd.shutdown()
    httpd.server_close()


def test_server(server):
    address, _ = server
    found = read_server(address)
    check(found)
    assert found.partial is None
    assert len(load([], store=address).runs) == 2
    with pytest.raises(RecordError, match="no run"):
        read_server(address, ["nothing"])


@pytest.mark.parametrize(
    ("steps", "epochs", "result"),
    [
        ({100: 0.6, 200: 0.7, 300: 0.8}, [1, 2, 3], "a step is taken for an epoch"),
        ({1_700_000_000_000: 0.6, 1_700_000_060_000: 0.7}, [1, 2], "a step is taken for an epoch"),
        ({0: 0.6, 1: 0.7}, [1, 2], None),
    ],
    ids=["training steps", "milliseconds", "epochs"],
)
def test_steps_of_a_server_that_are_no_epochs_are_inferred_and_told(
    server, monkeypatch, steps, epochs, result
):
    monkeypatch.setitem(FOREIGN, "metrics", {"accuracy": steps})
    found = read_server(server[0])
    rows = found.epochs[found.epochs["run"] == FOREIGN["id"]]
    assert rows["epoch"].tolist() == epochs and rows["value"].tolist() == list(steps.values())
    assert set(rows["kind"]) == {"inferred" if result else "measured"}
    assert any(result in str(note) for note in found.notes) if result else not found.notes


def test_hugging_face_in_mlflow_and_in_its_own_file_have_the_same_epochs(server, monkeypatch, tmp_path):
    """The Trainer logs to MLflow by steps of training, with the fraction of an epoch as a metric `epoch`."""
    log = [
        {"loss": 2.0, "learning_rate": 1e-3, "epoch": 0.5, "step": 50},
        {"loss": 1.0, "learning_rate": 1e-3, "epoch": 1.0, "step": 100},
        {"eval_loss": 1.2, "eval_accuracy": 0.6, "epoch": 1.0, "step": 100},
        {"loss": 0.5, "learning_rate": 1e-4, "epoch": 1.5, "step": 150},
        {"loss": 0.4, "learning_rate": 1e-4, "epoch": 2.0, "step": 200},
        {"eval_loss": 1.1, "eval_accuracy": 0.7, "epoch": 2.0, "step": 200},
    ]
    (tmp_path / "trainer_state.json").write_text(json.dumps({"num_train_epochs": 2, "log_history": log}))
    metrics = {}
    for row in log:
        for name in row.keys() - {"step"}:
            metrics.setdefault(name, {})[row["step"]] = row[name]
    monkeypatch.setitem(FOREIGN, "metrics", metrics)
    theirs = read_server(server[0]).epochs.query("run == @FOREIGN['id']")
    own = load([tmp_path / "trainer_state.json"]).epochs
    for metric, there in (
        ("eval_loss", "eval_loss"),
        ("eval_accuracy", "eval_accuracy"),
        ("loss", "batch_loss"),
    ):
        wanted = own[own["metric"] == there][["epoch", "step", "value"]].values.tolist()
        assert theirs[theirs["metric"] == metric][["epoch", "step", "value"]].values.tolist() == wanted
    assert "epoch" not in set(theirs["metric"])


@pytest.mark.parametrize("words", [["table"], ["table", "--quick"], ["plot"]], ids=" ".join)
def test_an_empty_server_has_no_records_yet(server, monkeypatch, capsys, words):
    address, _ = server
    monkeypatch.setattr(Handler, "do_POST", lambda self: self.answer({}))
    assert main([*words, "--store", address]) == 2
    assert capsys.readouterr().err.count("no records yet") == 1
    assert main(["table", "subcenter_casia", "--published", "--store", address]) == 0, "all runs are missing"


def test_what_a_foreign_run_calls_its_first_epoch_can_be_said(server, database, monkeypatch):
    monkeypatch.setitem(FOREIGN, "metrics", {"loss": {5: 3.0, 6: 2.0}})
    for epochs_from, wanted in ((None, [6, 7]), (0, [6, 7]), (1, [5, 6])):
        found = load([server[0]], options=Options(epochs_from=epochs_from)).epochs
        assert found[found["run"] == FOREIGN["id"]]["epoch"].tolist() == wanted
    for epochs_from, wanted in ((None, [1, 2]), (1, [1, 1])):  # it counts from 0; an epoch 0 is never shown
        found = load([database], options=Options(epochs_from=epochs_from)).epochs
        assert sorted(found[found["run"] == FOREIGN["id"]]["epoch"]) == wanted


def test_a_slow_server_gives_records_labelled_partial(server):
    address, silence = server
    silence("lfw")
    found = read_server(address, timeout=0.15)
    assert found.partial is not None and "1 of 4" in found.partial
    assert "lfw" not in set(found.epochs["metric"]) and "triplet" in set(found.epochs["metric"])


def test_a_silent_server_is_refused_in_one_line(server):
    address, silence = server
    silence("lfw", "loss", "stage", "triplet")
    with pytest.raises(StoreError, match="none of 4"):
        read_server(address, timeout=0.15)
    with pytest.raises(StoreError) as error:
        read_server("http://127.0.0.1:1", timeout=0.2)
    assert "\n" not in str(error.value)


# ---------------------------------------------------------------- files of MLflow and of ours


def test_old_folders(tmp_path):
    folder = tmp_path / "mlruns" / "0" / ("d" * 32)
    for name, text in {
        "meta.yaml": f"run_id: {'d' * 32}\nrun_name: old\nstart_time: 1000\nend_time: 61000\nlifecycle_stage: active\n",
        "params/scale": "64",
        "tags/mlflow.user": "me",
        "metrics/loss": "1 3.0 0\n2 2.0 1\n3 1.0",
        "metrics/val/lfw": "1 0.5 0\nx\n",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    found = load([tmp_path / "mlruns"])
    assert found.runs[["name", "scale", "seconds"]].iloc[0].tolist() == ["old", 64, 60.0]
    rows = found.epochs[found.epochs["metric"] == "loss"]
    assert rows["epoch"].tolist() == [1, 2] and rows["line"].tolist() == [1, 2]
    assert [note.lines for note in found.notes] == [[3], [2]]


def write_journal(folder, run="20260101T000000Z-00000002", epochs=3):
    store = find_store(str(folder))
    stages = ({"name": "soft", "epochs": 1}, {"name": "margin", "epochs": 2})
    with JournalWriter(store.journal(run)) as writer:
        writer.append(
            StartRecord(
                run=run, id="2" * 12, study="s", name="n", seed=3, parameters={"batch_size": 4}, stages=stages
            )
        )
        for epoch in range(1, epochs + 1):
            values = {"loss": 1.0 / epoch, "lfw": math.nan if epoch == 2 else 0.5}
            stage = 1 if epoch == 1 else 2
            writer.append(
                EpochRecord(
                    stage=stage,
                    stage_epoch=epoch - stage + 1,
                    epoch=epoch,
                    step=epoch * 10,
                    metrics=values,
                    seconds=2.0,
                )
            )
        writer.append(EndRecord(status="finished"))
    return store


def test_journals(tmp_path):
    store = write_journal(tmp_path)
    found = read_store(store)
    assert found.runs[["study", "name", "seed", "status", "seconds"]].iloc[0].tolist() == [
        "s",
        "n",
        3,
        "finished",
        6.0,
    ]
    rows = found.epochs[found.epochs["metric"] == "loss"]
    assert rows["stage_name"].tolist() == ["soft", "margin", "margin"]
    assert rows["step"].tolist() == [10, 20, 30] and rows["line"].tolist() == [2, 3, 4]
    assert len(load(["20260101"], store=str(tmp_path)).runs) == 1


def test_a_damaged_journal_says_so_and_an_empty_run_too(tmp_path):
    store = write_journal(tmp_path)
    path = store.journal("20260101T000000Z-00000002")
    lines = path.read_bytes().split(b"\n")
    lines[2] = lines[2].replace(b"loss", b"lass")
    path.write_bytes(b"\n".join(lines))
    found = load([path])
    assert [note.lines for note in found.notes] == [[3]]
    rows = found.epochs[found.epochs["metric"] == "loss"]
    assert rows[["epoch", "line"]].values.tolist() == [[1, 2], [3, 4]]
    write_journal(tmp_path, "20260101T000000Z-00000003", epochs=0)
    assert any("no epochs" in str(note) for note in read_store(store).notes)


def test_runs_that_are_in_the_journals_alone_are_read_as_well(tmp_path):
    mlflow_database(tmp_path, [OURS])
    write_journal(tmp_path)
    found = load([], store=str(tmp_path))
    assert found.runs["run"].tolist() == [OURS["tags"]["workbench.run"], "20260101T000000Z-00000002"]
