"""What MLflow's page and the HParams tab of chosen runs show first: what differs, and the best of what counts."""

from __future__ import annotations

import json
from urllib.parse import unquote

import pytest
from stores import Board, record, start

from workbench.errors import RecordError
from workbench.names import TAG_OBJECTIVE
from workbench.tracking.mlflow_client import open_client
from workbench.tracking.rows import EpochRecord
from workbench.tracking.tracker import Tracker
from workbench.views import default_views, links, saved_view, shown_runs
from workbench.views.study_board import StudyBoard


def silent(line):
    raise AssertionError(f"said: {line}")


def trained(store, name, metrics, views=False, **fields):
    first = start(name=name, **fields)
    with Tracker.open(store, first, say=silent, views=default_views(store) if views else []) as tracker:
        for number, values in enumerate(metrics, start=1):
            tracker.epoch(
                EpochRecord(
                    stage=1, stage_epoch=number, epoch=number, step=number, metrics=values, seconds=1.0
                )
            )
        tracker.end("finished")
    return first.run


SETTINGS = {"backbone": "CNN", "stages": "1+2", "stages.1": "a", "rate": 0.1}


def three(store, **options):
    """Return three runs: a loss without a margin, one with, and one that measures a set more."""
    rows = [{"loss": 3.0, "lfw": 0.6}, {"loss": 2.0, "lfw": 0.7}]
    return [
        trained(store, "soft", rows, parameters={**SETTINGS, "loss": "Softmax"}, **options),
        trained(store, "arc", rows, parameters={**SETTINGS, "loss": "ArcFace", "margin": 0.5}, **options),
        trained(
            store,
            "more",
            [{**row, "cfp_fp": 0.5} for row in rows],
            parameters={**SETTINGS, "loss": "ArcFace", "margin": 0.4, "stages": "1+3", "stages.1": "b"},
            **options,
        ),
    ]


def test_mlflows_page_is_sorted_by_the_best_of_what_counts_and_shows_what_differs(store):
    runs = three(store, views=True)
    trained(store, "small", [{"loss": 1.0}], quick=True, parameters={**SETTINGS, "tiny": True})
    client = open_client(store)
    path = saved_view.save(client, store, "margin")
    found = client.get_experiment_by_name("margin")
    assert (
        path
        == f"/#/experiments/{found.experiment_id}/runs?workflowType=machine_learning&viewStateShareKey=workbench"
    )
    view = json.loads(found.tags["mlflow.sharedViewState.workbench"])
    assert (view["orderByKey"], view["orderByAsc"]) == ("metrics.`best/lfw`", False)
    columns = view["selectedColumns"]
    assert (columns[0], columns[-1]) == ("metrics.`best/lfw`", "attributes.`Models`")
    assert sorted(columns[1:-1]) == ["params.`loss`", "params.`margin`", "params.`stages.1`"]
    assert "best/cfp_fp" not in str(view) and "tiny" not in str(view)
    assert len(runs) == 3
    assert saved_view.save(client, store, "nobody") is None


def test_a_metric_that_falls_is_sorted_upwards_and_a_sweeps_objective_goes_first(store):
    rows = [{"own_price": 2.0, "val_accuracy": 0.5}]
    tags = {TAG_OBJECTIVE: "own_price", "workbench.lower": "own_price"}
    trained(store, "one", rows, tags=tags)
    shown = shown_runs.read(store, shown_runs.chosen(store, ["margin"]))
    view = saved_view.view(shown)
    assert (view["orderByKey"], view["orderByAsc"]) == ("metrics.`best/own_price`", True)
    assert view["selectedColumns"][:2] == ["metrics.`best/own_price`", "metrics.`best/val_accuracy`"]


def test_the_board_of_a_study_has_only_what_varies_and_a_value_of_it_in_every_run(store, tmp_path):
    three(store)
    trained(store, "other", [{"loss": 1.0, "lfw": 0.1}], study="other", parameters={"alien": 1})
    trained(store, "small", [{"loss": 1.0}], quick=True, parameters={**SETTINGS, "tiny": True})
    board = StudyBoard(store, ["margin"], tmp_path / "board")
    assert board.refresh()
    assert not board.refresh()
    shown = Board(tmp_path / "board")
    assert shown.runs() == ["arc-0", "more-0", "soft-0"]
    configured = shown.experiment()
    assert sorted(info.name for info in configured.hparam_infos) == ["loss", "margin", "stages.1"]
    assert [info.name.tag for info in configured.metric_infos] == ["best/lfw", "best/loss"]
    rows = {group.name: dict(group.hparams) for group in shown.sessions()}
    assert {name: row["margin"].string_value for name, row in rows.items()} == {
        "soft-0": "off",
        "arc-0": "0.5",
        "more-0": "0.4",
    }
    assert all(set(row) == {"loss", "margin", "stages.1"} for row in rows.values())
    assert all(
        {value.name.tag for value in group.metric_values} >= {"best/lfw", "best/loss"}
        for group in shown.sessions()
    )


def test_the_board_follows_its_study_and_takes_new_columns_up(store, tmp_path):
    trained(store, "one", [{"lfw": 0.5}], parameters={"rate": 0.1})
    board = StudyBoard(store, ["margin"], tmp_path / "board")
    board.refresh()
    assert [info.name for info in Board(tmp_path / "board").experiment().hparam_infos] == []
    first = start(name="two", parameters={"rate": 0.2}, seed=1)
    with Tracker.open(store, first, say=silent, views=[]) as tracker:
        record(tracker, range(1, 2))
        board.refresh()
        tracker.end("finished")
    assert board.refresh()
    shown = Board(tmp_path / "board")
    assert sorted(info.name for info in shown.experiment().hparam_infos) == ["rate", "seed"]
    assert {group.name: group.hparams["rate"].number_value for group in shown.sessions()} == {
        "one-0": 0.1,
        "two-1": 0.2,
    }
    assert shown.scalars("two-1", "lfw") == [(1, pytest.approx(1.3))]


def test_what_varies_only_as_its_owner_does_is_no_column():
    rows = [
        {"rate": "Cosine", "rate.peak": 0.1, "rate.cycle": 8},
        {"rate": "Cosine", "rate.peak": 0.2, "rate.cycle": 8},
        {"rate": "Constant", "rate.value": 0.1},
    ]
    assert shown_runs.varying(rows) == ["rate", "rate.peak"]


def test_runs_and_studies_are_chosen_by_their_names(store):
    run = trained(store, "one", [{"lfw": 0.5}], study="a")
    quick = trained(store, "two", [{"lfw": 0.5}], study="b", quick=True)
    assert shown_runs.chosen(store, ["a"]) == [run]
    assert shown_runs.chosen(store, ["b"]) == [quick]  # it has no others
    assert shown_runs.chosen(store, ["a/one:0", quick]) == sorted([run, quick])
    with pytest.raises(RecordError, match="no run 'c'"):
        shown_runs.chosen(store, ["c"])


def test_a_run_leads_to_its_curves_and_the_report_of_its_study():
    first = start(name="one", study="a/b")
    assert links.report_link("a/b") == "http://127.0.0.1:5001/a_b/"
    assert f"{first.run[-8:]}$|^one\\-0$" in unquote(links.board_link(first))
    assert links.board_link(first) in links.sentence(first)


def test_the_winner_of_a_sweep_is_marked_on_its_trial_and_on_the_sweep(store, monkeypatch):
    from stores import everything

    from workbench.tracking import sweeps
    from workbench.tracking.sweeps import SweepRecord, TrialRequest, TrialRow
    from workbench.views.rebuild import rebuild

    parent = start(name="search", id="", tags={"workbench.kind": "sweep"})
    trials, rows = [], []
    monkeypatch.setattr(
        sweeps, "read", lambda store, run: SweepRecord(run, {"objective": "lfw"}, tuple(rows))
    )
    with Tracker.open(store, parent, say=silent, views=default_views(store)) as tracker:
        for number, score in enumerate((0.5, 0.9, 0.7)):
            run = trained(
                store,
                f"trial {number}",
                [{"lfw": score}],
                views=True,
                parent=parent.run,
                tags={"workbench.sweep": "search"},
            )
            trials.append(run)
            request = TrialRequest({"rate": 0.1 * number}, (run,), 1, str(number))
            rows.append(TrialRow(str(number), request, "completed", score))
        tracker.end("finished")

    def marks():
        shown = everything(store)
        return {run: shown[run]["tags"].get("workbench.winner") for run in (parent.run, *trials)}

    expected = {parent.run: trials[1], trials[0]: None, trials[1]: "true", trials[2]: None}
    assert marks() == expected
    assert everything(store)[parent.run]["tags"]["workbench.winner.settings"] == "rate=0.1"
    rebuild(store, lambda line: None)
    assert marks() == expected


def test_reports_are_served_and_nothing_that_a_link_leads_to(tmp_path):
    import urllib.error
    import urllib.request

    from workbench.commands import ui_reports

    (tmp_path / "secret.html").write_text("secret")
    (tmp_path / "reports" / "margin").mkdir(parents=True)
    (tmp_path / "reports" / "margin" / "report.html").write_text("<p>margins</p>")
    (tmp_path / "reports" / "margin" / "out.html").symlink_to(tmp_path / "secret.html")
    server = ui_reports.serve(tmp_path / "reports", 0)
    try:
        address = f"http://127.0.0.1:{server.server_address[1]}"
        with urllib.request.urlopen(f"{address}/margin/", timeout=10) as answer:
            assert answer.read() == b"<p>margins</p>"
            assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
        for path in ("margin/out.html", "../secret.html", "%2e%2e/secret.html", "nobody/"):
            with pytest.raises(urllib.error.HTTPError, match="404"):
                urllib.request.urlopen(f"{address}/{path}", timeout=10)
    finally:
        server.shutdown()


def test_embeddings_and_images_are_in_the_forms_that_tensorboard_reads(tmp_path):
    import numpy as np
    from PIL import Image

    from workbench.commands import ui_extras

    vectors = np.eye(5, dtype=np.float32)
    images = np.zeros((5, 8, 8, 3), np.uint8)
    ui_extras.write_projector(tmp_path / "run", vectors, ["a", "b\tc", "", "d", "e"], images)
    np.testing.assert_allclose(np.loadtxt(tmp_path / "run" / "embeddings.tsv"), vectors)
    assert (tmp_path / "run" / "metadata.tsv").read_text() == "a\nb c\n-\nd\ne\n"
    assert Image.open(tmp_path / "run" / "sprite.png").size == (3 * 48, 3 * 48)
    assert 'image_path: "sprite.png"' in (tmp_path / "run" / "projector_config.pbtxt").read_text()
    ui_extras._add_image(tmp_path / "run", "worst errors/lfw", tmp_path / "run" / "sprite.png", 3)
    board = Board(tmp_path)
    assert board.many.PluginRunToTagToContent("images") == {"run": {"worst errors/lfw": b""}} or (
        "worst errors/lfw" in board.many.PluginRunToTagToContent("images")["run"]
    )
