"""`workbench table`, `plot` and `import` as a user calls them: output, exit status, one-line refusals."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys

import pytest
from makers import mlflow_database, mxnet_lines, write_lines

from analysis import import_runs
from analysis.sources import Options, load, read_store
from workbench.cli import main
from workbench.tracking.journal import read_journal
from workbench.tracking.store import find_store


@pytest.fixture
def history(tmp_path):
    path = tmp_path / "good_hist.json"
    path.write_text(json.dumps({"loss": [3, 2, 1], "lfw": [0.5, 0.7, 0.6], "triplet_embedding_loss": [2, 1]}))
    return path


@pytest.fixture
def no_views(monkeypatch):
    """Imports that write journals only: MLflow's own part is tested with MLflow."""
    monkeypatch.setattr(import_runs, "default_views", lambda store: [])


def said(capsys):
    captured = capsys.readouterr()
    return captured.out, captured.err


# ---------------------------------------------------------------- table


def test_table_of_files(history, capsys):
    assert main(["table", str(history), "--stages", "1,2"]) == 0
    out, err = said(capsys)
    assert out.splitlines()[2].replace(" ", "") == "|good|0.7000|2|2|2.0000|".replace(
        "0.7000", "0.7"
    ).replace("2.0000", "2")
    assert "aligned with whole stages" in err  # the choice is reported


def test_table_of_a_store(tmp_path, capsys):
    runs = [
        {
            "id": f"{n:032x}",
            "tags": {"workbench.run": f"2026010{n}T000000Z-0000000{n}", "workbench.quick": quick},
            "metrics": {"lfw": {1: n / 10}},
        }
        for n, quick in enumerate(("false", "true"), start=1)
    ]
    mlflow_database(tmp_path, runs)
    assert main(["table", "--store", str(tmp_path), "--format", "csv"]) == 0
    assert len(said(capsys)[0].splitlines()) == 2
    assert main(["table", "--store", str(tmp_path), "--quick", "--json"]) == 0
    lines = [json.loads(line) for line in said(capsys)[0].splitlines()]
    assert lines[1]["best"] == {"lfw": {"value": 0.2, "epoch": 1, "stage": 1}}
    assert list(lines[0]) == ["run", "study", "name", "status", "best"]
    assert main(["table", "20260102", "--store", str(tmp_path), "-o", str(tmp_path / "t.md")]) == 0
    assert "0.2" in (tmp_path / "t.md").read_text()


@pytest.mark.parametrize(
    "arguments",
    [
        ["table", "none.json"],
        ["table", "nothing", "--store", "nowhere"],
        ["table", "{history}"],  # unequal lists, no stages
        ["table", "{history}", "--stages", "1,x"],
        ["table", "{history}", "--stages", "1,2", "--select", "lwf"],
        ["table", "{history}", "--stages", "1,2", "--format", "word"],
        ["plot", "{history}", "--stages", "1,2", "-o", "a.doc"],
        ["plot", "{history}", "--stages", "1,2", "--reference", "lfw"],
        ["plot", "--spec", "missing.toml"],
        ["import", "none.json"],
        ["import", "{history}"],
        ["import", "{history}", "--names", "a,b"],
    ],
)
def test_bad_input_is_refused_in_one_line(arguments, history, project, capsys):
    assert main([text.format(history=history) for text in arguments]) == 2
    out, err = said(capsys)
    assert out == "" and re.fullmatch(r"(note: [^\n]+\n)*error: [^\n]+\n", err)
    assert [path.name for path in project.rglob("*") if path.is_file()] == ["pyproject.toml"]


def test_a_table_needs_neither_mlflow_nor_plotting(tmp_path, root):
    mlflow_database(tmp_path, [{"id": "a" * 32, "metrics": {"lfw": {1: 0.5}}}])
    code = (
        "import sys; from workbench.cli import main; assert main(['table', '--store', sys.argv[1]]) == 0; "
        "heavy = {'tensorflow', 'mlflow', 'matplotlib', 'seaborn', 'scipy', 'sqlalchemy'} & set(sys.modules); "
        "assert not heavy, heavy"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], cwd=root, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


# ---------------------------------------------------------------- plot


def test_plot_from_a_figure_file(history, tmp_path, capsys):
    (tmp_path / "trunk_hist.json").write_text(json.dumps({"loss": [9, 8], "lfw": [0.1, 0.2]}))
    (tmp_path / "figure.toml").write_text(
        'output = "out.svg"\nmetrics = ["lfw"]\nreference = { lfw = 0.25 }\n'
        '[[run]]\nitem = "trunk_hist.json"\nlabel = "trunk"\n'
        '[[run]]\nitem = "good_hist.json"\nlabel = "branch"\nstages = [1, 2]\nafter = "trunk"\n'
        '[[run]]\nitem = "good_hist.json"\nhidden = true\n'
    )
    assert main(["plot", "--spec", str(tmp_path / "figure.toml")]) == 2  # one run twice
    text = (tmp_path / "figure.toml").read_text().rpartition("[[run]]")[0]
    (tmp_path / "figure.toml").write_text(text)
    assert main(["plot", "--spec", str(tmp_path / "figure.toml")]) == 0
    drawn = (tmp_path / "out.svg").read_text()
    assert ">trunk<" in drawn and ">branch<" in drawn and ">0.25<" in drawn and ">loss<" not in drawn
    (tmp_path / "figure.toml").write_text('[[run]]\nitme = "x"\n')
    said(capsys)
    assert main(["plot", "--spec", str(tmp_path / "figure.toml")]) == 2
    assert "did you mean 'item'" in said(capsys)[1]


def test_plot_options(history, tmp_path):
    out = tmp_path / "a.svg"
    assert (
        main(
            [
                "plot",
                str(history),
                "--stages",
                "1,2",
                "--label",
                "mine",
                "--metric",
                "lfw",
                "--from-epoch",
                "2",
                "-o",
                str(out),
            ]
        )
        == 0
    )
    assert ">mine<" in out.read_text() or out.stat().st_size > 1000


def test_plot_with_a_trunk_on_the_command_line(history, tmp_path):
    trunk = tmp_path / "trunk_hist.json"
    trunk.write_text(json.dumps({"loss": [9, 8], "lfw": [0.1, 0.2]}))
    out = tmp_path / "a.svg"
    assert main(["plot", str(history), "--trunk", str(trunk), "--stages", "1,2", "-o", str(out)]) == 0
    assert ">good<" in out.read_text() and ">trunk<" in out.read_text()


# ---------------------------------------------------------------- import


def test_import_is_idempotent_and_keeps_the_original(history, project, no_views, capsys):
    command = [
        "import",
        str(history),
        "--stages",
        "1,2",
        "--names",
        "head,all",
        "--loss",
        "excludes-regulariser",
    ]
    assert main(command) == 0
    store = find_store()
    (run,) = store.runs()
    before = {path: path.read_bytes() for path in project.rglob("*") if path.is_file()}
    assert main(command) == 0
    assert "nothing changed" in said(capsys)[0]
    assert {path: path.read_bytes() for path in project.rglob("*") if path.is_file()} == before
    assert (store.run_artifacts(run) / "original" / history.name).read_bytes() == history.read_bytes()
    notes = json.loads((store.run_artifacts(run) / "import.json").read_text())
    assert {"metric": "triplet_embedding_loss", "kind": "inferred", "count": 2} in notes["values"]


def test_an_imported_run_reads_like_the_file(history, project, no_views):
    options = Options(stages=(1, 2), stage_names=("head", "all"), loss="excludes")
    import_runs.import_files([str(history)], find_store(), options, "old")
    file, store = load([history], options=options), read_store(find_store())
    for metric in ("loss", "lfw", "triplet_embedding_loss"):
        columns = ["stage", "stage_name", "stage_epoch", "epoch", "value"]
        own = [
            found.epochs[found.epochs["metric"] == metric][columns].values.tolist() for found in (file, store)
        ]
        assert own[0] == own[1]
    row = store.runs.iloc[0]
    assert (row["name"], row["study"], row["status"], row["loss_regulariser"]) == (
        "good",
        "old",
        "finished",
        "excludes",
    )


def test_several_launches_and_steps_within_epochs(tmp_path, project, no_views):
    lines = mxnet_lines()
    extra = lines[8].replace("[lfw][20]", "[lfw][10]").replace("0.90000", "0.95000")
    path = write_lines(tmp_path / "a.log", [*lines[:5], extra, *lines[5:], *mxnet_lines()])
    done, _ = import_runs.import_files([str(path)], find_store(), Options(), "old")
    assert len({one.run for one in done}) == 2
    rows = read_journal(find_store().journal(done[0].run)).accepted()
    assert [row.metrics["lfw"] for row in rows] == [0.9, 0.91]
    assert rows[0].metrics["lfw_peak"] == 0.95 and rows[0].seconds == 10.0 and rows[0].step == 20
    one, _ = import_runs.import_files([str(path)], find_store(), Options(as_one_run=True), "old")
    assert [row.epoch for row in read_journal(find_store().journal(one[0].run)).accepted()] == [1, 2, 3, 4]


def test_an_interrupted_import_is_done_again(history, project, no_views, monkeypatch):
    def fail(self, *arguments, **named):
        raise KeyboardInterrupt

    options = Options(stages=(1, 2))
    with monkeypatch.context() as patch:
        patch.setattr(import_runs.Tracker, "artifact", fail)
        with pytest.raises(KeyboardInterrupt):
            import_runs.import_files([str(history)], find_store(), options, "old")
    done, _ = import_runs.import_files([str(history)], find_store(), options, "old")
    assert done[0].new and len(find_store().runs()) == 1
    journal = read_journal(find_store().journal(done[0].run))
    assert journal.end.status == "finished" and [row.epoch for row in journal.accepted()] == [1, 2, 3]


def test_nothing_is_written_when_one_file_is_bad(history, project, no_views):
    assert main(["import", str(history), "missing.json", "--stages", "1,2"]) == 2
    assert find_store().runs() == []


def test_values_that_are_not_finite_stay_so(tmp_path, project, no_views):
    path = tmp_path / "x_hist.json"
    path.write_text('{"loss": [1, NaN, Infinity]}')
    done, _ = import_runs.import_files([str(path)], find_store(), Options(), "old")
    rows = read_journal(find_store().journal(done[0].run)).accepted()
    assert math.isnan(rows[1].metrics["loss"]) and rows[2].metrics["loss"] == math.inf


def test_import_into_mlflow(history, project, capsys):
    """The whole way: MLflow's own client sees what was imported."""
    mlflow = pytest.importorskip("mlflow")
    assert main(["import", str(history), "--stages", "1,2", "--study", "old", "--json"]) == 0
    line = json.loads(said(capsys)[0])
    assert line["study"] == "old" and line["best"]["lfw"] == {"value": 0.7, "epoch": 2, "stage": 2}
    store = find_store()
    client = mlflow.MlflowClient(store.uri)
    (found,) = client.search_runs([client.get_experiment_by_name("old").experiment_id])
    points = client.get_metric_history(found.info.run_id, "lfw")
    assert [(point.step, point.value) for point in points] == [(1, 0.5), (2, 0.7), (3, 0.6)]
    assert found.info.status == "FINISHED" and found.data.tags["workbench.run"] == line["run"]
    names = {item.path for item in client.list_artifacts(found.info.run_id)}
    assert {"original", "import.json", "history.json"} <= names
    assert main(["table", "--store", str(store.root)]) == 0
    assert "good" in said(capsys)[0]


def test_a_table_of_very_many_runs_says_what_it_lacks(project, capsys, monkeypatch):
    """Nothing is dropped in silence: beyond the border the database is read, and the line names the columns."""
    from analysis import frames
    from workbench.tracking.rows import EpochRecord, StartRecord
    from workbench.tracking.tracker import Tracker

    for number in range(3):
        with Tracker.open(
            find_store(), StartRecord(run=f"20260101T00000{number}Z-0000000{number}", study="s"), views=[]
        ) as tracker:
            tracker.epoch(
                EpochRecord(stage=1, stage_epoch=1, epoch=1, step=5, metrics={"loss": 1.0}, seconds=2.0)
            )
            tracker.publish(1)
            tracker.end("finished")
    assert main(["table"]) == 0
    assert said(capsys)[1] == ""
    monkeypatch.setattr(frames, "FROM_JOURNALS", 2)
    assert main(["table"]) == 0
    assert said(capsys)[1] == ""  # there is no database yet: journals leave nothing out
    run = "20260101T000000Z-00000000"
    tags = {"workbench.run": run, "workbench.study": "s"}
    mlflow_database(find_store().root, [{"id": "a" * 32, "tags": tags, "metrics": {"loss": {1: 1.0}}}])
    assert main(["table"]) == 0
    assert "3 runs, more than 2: read from MLflow's database" in said(capsys)[1]


@pytest.mark.parametrize(("word", "first"), [("0", 2), ("1", 1)])
def test_a_figure_counts_epochs_as_it_is_told(project, capsys, monkeypatch, word, first):
    """0 is something that is said, not the absence of it."""
    from matplotlib.figure import Figure

    drawn = []
    monkeypatch.setattr(
        "analysis.figures.curves.plot_curves",
        lambda records, *more, **options: drawn.append(records) or Figure(),
    )
    (project / "log.csv").write_text("epoch,loss\n1,2.0\n2,1.0\n")
    assert main(["plot", "log.csv", "--epochs-from", word, "-o", "f.svg"]) == 0
    assert sorted(set(drawn[0].epochs["epoch"])) == [first, first + 1]
