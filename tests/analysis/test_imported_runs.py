"""Every kind of imported run with every command that takes a run, and what an import keeps and takes."""

from __future__ import annotations

import json
import os
import sqlite3

import makers
import pytest

import workbench
from analysis import import_runs
from analysis.sources import Options, load, read_store
from analysis.sources.mlflow_common import facts_of
from analysis.tables.conventions import convention_note
from workbench.cli import main
from workbench.names import TAG_ORIGIN
from workbench.tracking.journal import read_journal
from workbench.tracking.rows import EpochRecord
from workbench.tracking.store import find_store
from workbench.views.mlflow_values import metric_batches, metric_keys, safe_key

RUN = "{run}"
COMMANDS = (  # command line, and the exit statuses that are right for a run without a spec and a model
    (["show", RUN], {0}),
    (["show", RUN, "--json"], {0}),
    (["list", "old"], {0}),
    (["table", RUN], {0}),
    (["table", RUN, "--per-stage"], {0}),
    (["table", RUN, "--json"], {0}),
    (["plot", RUN, "-o", "x.svg"], {0}),
    (["forecast", RUN, "--alone"], {0, 2}),  # 2: the planned end is not known
    (["resume", RUN], {2}),
    (["rerun", RUN], {2}),
    (["errors", RUN], {2}),
    (["verify", RUN, "--pairs", "none.bin"], {2}),
    (["export", RUN], {2}),
    (["clean", RUN, "-o", "x"], {2}),
)
STORE_COMMANDS = [
    "report old",
    "effects old",
    "list",
    "list --json",
    "table",
    "forecast --metric loss --to 90",
]


@pytest.fixture
def no_views(monkeypatch):
    """Views take seconds each, and are not part of what is asked here."""
    monkeypatch.setattr(import_runs, "default_views", lambda store: [])


def say(words, capsys):
    status = main([str(word) for word in words])
    return status, capsys.readouterr()


def records_of_each_kind(real_data, folder):
    """One record of each format: the small real ones, MLflow's, a pickle, and a loss that is not a number."""
    import pickle

    made = folder / "made"
    made.mkdir()
    (made / "pickled.pkl").write_bytes(pickle.dumps({"loss": [2.0, 1.0]}))
    (made / "diverged.json").write_text('{"loss": [3, 2, 1, 1, NaN], "lfw": [0.5, 0.6, 0.7, 0.7, 0.5]}')
    run = made / "mlruns_old" / "0" / ("d" * 32)
    for name, text in {
        "meta.yaml": f"run_id: {'d' * 32}\nstatus: 4\n",
        "metrics/loss": "1 3.0 0\n2 2.0 1\n",
    }.items():
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        (run / name).write_text(text)
    records = real_data / "records"
    small = [
        "lightning_metrics.csv",
        "huggingface_trainer_state.json",
        "keras3_progress.log",
        "mxnet_other_prefix.log",
    ]
    return [*(records / name for name in small), records / "resumed_events", *sorted(made.iterdir())]


def test_every_command_opens_every_kind_of_imported_run(real_data, tmp_path, project, no_views, capsys):
    files = records_of_each_kind(real_data, tmp_path)
    status, result = say(["import", *files, "--study", "old"], capsys)
    assert status == 0, result.err
    runs = find_store().runs()
    assert len(runs) == len(files)
    for run in runs:
        for words, statuses in COMMANDS:
            status, result = say([run if word == RUN else word for word in words], capsys)
            assert status in statuses and "Traceback" not in result.err, (run, words, result.err)
            assert status == 0 or len(result.err.strip().splitlines()) == 1, (run, words, result.err)
    for words in STORE_COMMANDS:
        status, result = say(words.split(), capsys)
        assert status in (0, 2) and "Traceback" not in result.err, (words, result.err)


def test_an_imported_run_has_no_spec_to_go_on_with(tmp_path, project, no_views, capsys):
    (tmp_path / "a.json").write_text('{"loss": [2, 1]}')
    say(["import", tmp_path / "a.json"], capsys)
    for command in ("resume", "errors", "rerun"):
        status, result = say([command, find_store().runs()[0]], capsys)
        assert status == 2 and "was imported from files: it has no spec and no model" in result.err


def test_settings_come_from_set_or_from_a_table_and_effects_compare_them(tmp_path, project, no_views, capsys):
    names = ["a", "b", "c", "d"]
    for number, name in enumerate(names):
        (tmp_path / f"{name}_hist.json").write_text(
            json.dumps({"loss": [2, 1], "lfw": [0.5, 0.6 + number / 100]})
        )
    (tmp_path / "settings.csv").write_text(
        "file,weight_decay,optimizer\na,5e-4,SGD\nb,5e-4,Adam\nc_hist.json,0,SGD\nd,0,Adam\n"
    )
    files = [tmp_path / f"{name}_hist.json" for name in names]
    words = ["import", *files, "--settings", tmp_path / "settings.csv", "--set", "batch_size=512"]
    status, _ = say([*words, *(word for name in names for word in ("--name", f"run-{name}"))], capsys)
    assert status == 0
    found = read_store(find_store()).runs.set_index("name")
    assert found["weight_decay"].to_dict() == {"run-a": 5e-4, "run-b": 5e-4, "run-c": 0, "run-d": 0}
    assert set(found["batch_size"]) == {512}
    status, result = say(["effects", "imported", "--metric", "lfw"], capsys)
    assert status == 0 and "weight_decay 0.0005 against 0: -0.0200" in result.out, result.err
    assert "optimizer Adam against SGD: +0.0100" in result.out
    status, result = say(["import", files[0], "--name", "x", "--name", "y"], capsys)
    assert status == 2 and "2 names for 1 runs" in result.err
    status, result = say(["import", files[0], "--set", "nothing"], capsys)
    assert status == 2 and "NAME=VALUE" in result.err


def mlflow_folder(folder, runs=3):
    """An old MLflow folder of several runs, each with a large artifact, and what a Mac leaves in it."""
    (folder / "0").mkdir(parents=True)
    (folder / "0" / "meta.yaml").write_text("experiment_id: '0'\nname: faces\n")
    (folder / ".DS_Store").write_bytes(b"\0\1\2\xff")
    for number, status in zip(range(runs), (1, 4, "FINISHED")):
        run = folder / "0" / (f"{number}" * 32)
        for name, text in {
            "meta.yaml": f"run_uuid: {run.name}\nname: run {number}\nstatus: {status}\nstart_time: 1000\n",
            "metrics/loss": "1 3.0 0\n2 2.0 1\n",
            "metrics//lead".replace("//", "/"): "1 0.5 0\n2 0.6 0\n",
            "artifacts/model.bin": "some weights\n" * 9000,
        }.items():
            (run / name).parent.mkdir(parents=True, exist_ok=True)
            (run / name).write_text(text)
        (run / "metrics" / ".DS_Store").write_bytes(b"\0\1\2\xff")
        (run / "params").mkdir()
        (run / "params" / "._lr").write_bytes(b"\0\xff")
    return folder


def test_an_mlflow_folder_is_copied_once_and_its_states_are_kept(tmp_path, project, no_views, capsys):
    folder = mlflow_folder(tmp_path / "mlruns_old")
    status, result = say(["import", folder], capsys)
    assert status == 0, result.err
    store = find_store()
    assert len(store.runs()) == 3
    states = {
        read_journal(store.journal(run)).start.name: read_journal(store.journal(run)).end.status
        for run in store.runs()
    }
    assert states == {"run 0": "interrupted", "run 1": "failed", "run 2": "finished"}
    for run in store.runs():
        artifacts = list(store.run_artifacts(run).rglob("model.bin"))
        assert len(artifacts) == 1 and os.stat(artifacts[0]).st_nlink >= 2  # linked, no copy
        rows = read_journal(store.journal(run)).accepted()
        assert [row.metrics["loss"] for row in rows] == [3.0, 2.0]
        assert all(row.seconds != row.seconds for row in rows)  # unknown, not 0 s
    say(["import", folder], capsys)
    assert len(store.runs()) == 3
    status, result = say(["show", store.runs()[0]], capsys)
    assert status == 0 and " 0 s" not in result.out and "0.0 s" not in result.out


def test_values_without_steps_are_numbered(tmp_path):
    found = load([mlflow_folder(tmp_path / "mlruns_old", runs=1)])
    lead = found.epochs[found.epochs["metric"] == "lead"]
    assert lead["epoch"].tolist() == [1, 2] and set(lead["kind"]) == {"inferred"}
    assert "without steps" in str(found.notes[0]) and found.runs["study"].iloc[0] == "faces"


def test_another_programs_database_is_imported(tmp_path, project, no_views, capsys):
    from makers import mlflow_database

    runs = [{"id": "b" * 32, "metrics": {"loss": {0: 3.0, 1: 2.0}}}, {"id": "c" * 32, "metrics": {}}]
    database = mlflow_database(tmp_path, runs)
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE runs SET status = 'FAILED'")
    renamed = database.rename(tmp_path / "their_tracking.db")
    status, result = say(["import", renamed], capsys)
    assert status == 0, result.err
    store = find_store()
    (run,) = store.runs()
    journal = read_journal(store.journal(run))
    assert journal.end.status == "failed" and [row.epoch for row in journal.accepted()] == [1, 2]
    assert "has no epochs, left out" in result.err
    say(["import", renamed], capsys)
    assert store.runs() == [run]


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("/lead", "lead"),
        ("a//b", "a/b"),
        ("../up", "up"),
        ("metrics/mAP50(B)", "metrics/mAP50_B_"),
        ("/", "_"),
        ("x", "x"),
    ],
)
def test_a_name_that_mlflow_refuses_is_mended(name, key):
    assert safe_key(name) == key


def test_two_names_that_are_mended_alike_are_both_kept():
    """None may be written into the other, and a key stays what it is while a run goes on."""
    rows = [
        EpochRecord(stage=1, stage_epoch=n, epoch=n, step=n, metrics=metrics, seconds=1.0)
        for n, metrics in enumerate(
            ({"mAP(B)": 0.1, "mAP[B]": 0.2, "mAP_B_": 0.3}, {"mAP(B)": 0.4, "mAP[B]": 0.5, "/mAP_B_": 0.6}), 1
        )
    ]
    keys = metric_keys(row.metrics for row in rows)
    assert keys == {"mAP_B_": "mAP_B_", "mAP(B)": "mAP_B__2", "mAP[B]": "mAP_B__3", "/mAP_B_": "mAP_B__4"}
    assert metric_keys(row.metrics for row in rows[:1]).items() <= keys.items()
    (batch,) = metric_batches(rows, {}, keys)
    values = {(metric.key, metric.step): metric.value for metric in batch if metric.key != "stage"}
    assert values == {
        ("mAP_B_", 1): 0.3, ("mAP_B__2", 1): 0.1, ("mAP_B__3", 1): 0.2,
        ("mAP_B__2", 2): 0.4, ("mAP_B__3", 2): 0.5, ("mAP_B__4", 2): 0.6,
    }  # fmt: skip


def test_what_the_user_says_of_a_metric_is_kept_with_the_run(tmp_path, project, no_views, capsys):
    (tmp_path / "a.json").write_text('{"smoothness": [3, 1, 2]}')
    status, result = say(["import", tmp_path / "a.json"], capsys)
    assert status == 0 and "--lower smoothness or --higher smoothness" in result.err
    status, _ = say(["import", tmp_path / "a.json", "--lower", "smoothness", "--study", "said"], capsys)
    status, result = say(["table", "said"], capsys)
    assert status == 0 and "2" in result.out.splitlines()[-1].split("|")[3], result.err


def test_options_count_for_the_identity_of_an_import(tmp_path, project, no_views):
    path = tmp_path / "a.csv"
    path.write_text("epoch,loss\n5,2\n6,1\n")
    for options in (Options(), Options(), Options(epochs_from=1)):
        import_runs.import_files([str(path)], find_store(), options, "old")
    firsts = sorted(
        read_journal(find_store().journal(run)).accepted()[0].epoch for run in find_store().runs()
    )
    assert firsts == [5, 6]


def test_tables_of_imported_and_trained_runs_name_the_conventions(tmp_path, project, no_views, capsys):
    makers.add_run(project, 1, "new", 0.8, lfw=[0.8])
    history, log = project / "old_hist.json", project / "mx.csv"
    history.write_text(json.dumps({"loss": [1.0, 0.5], "lfw": [0.7, 0.8]}))
    log.write_text("epoch,loss,lfw\n1,1.0,0.7\n2,0.5,0.8\n")
    say(["import", str(history), str(log), "--study", "study"], capsys)
    assert main(["table"]) == 0
    said = capsys.readouterr().err
    assert "the history old comes from the notebook's evaluation" in said
    assert "mx was recorded by another program" in said and said.count("top_tenth") == 1
    with pytest.warns(UserWarning, match="two conventions of accuracy: the history old"):
        workbench.runs("study").table()
    text = project / "README.md"
    text.write_text("<!-- table: -->\n<!-- /table -->\n")
    say(["table", "--update", str(text)], capsys)
    assert "\n\nNote: two conventions of accuracy: the history old" in text.read_text()
    say(["report", "study", "-o", str(project / "page")], capsys)
    assert "Two conventions of accuracy: the history old" in (project / "page" / "report.md").read_text()
    facts = facts_of({TAG_ORIGIN: "old_hist.json"}, "1", "old", "mlflow.db")
    ours, old = (
        makers.run("a", {"lfw": [0.5]}, facts={"id": "1" * 12}),
        makers.run("1", {"lfw": [0.4]}, facts=facts),
    )
    assert convention_note(makers.records(ours, old))


def test_published_numbers_of_the_notebook_name_its_convention(tmp_path, project, no_views, capsys):
    makers.add_run(project, 2, "k3", 0.8, lfw=[0.8], study="subcenter_casia")
    main(["table", "subcenter_casia", "--published"])
    assert "the published ones come from the notebook's evaluation" in capsys.readouterr().err
    main(["table", "resnet34_casia", "--published"])  # no run of ours
    assert "conventions" not in capsys.readouterr().err
