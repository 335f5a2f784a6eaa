"""MLflow and TensorBoard show what the journal says, each step once, whatever a store does."""

from __future__ import annotations

import math
import threading
import time

import pytest
from stores import Board, epoch, everything, points, query, record, start

from workbench.errors import StoreError
from workbench.names import TAG_STATUS
from workbench.tracking.rows import CheckpointRecord, EndRecord
from workbench.tracking.runs import read_state
from workbench.tracking.store import connect, read_runs
from workbench.tracking.sync_thread import reason
from workbench.tracking.tracker import Tracker
from workbench.views import default_views
from workbench.views.mlflow_values import CUT_MARK, parameter_texts, safe_key
from workbench.views.sync import sync


def silent(line):
    raise AssertionError(f"said: {line}")


def test_a_run_is_in_mlflow_and_in_the_hparams_tab(store):
    first = start()
    with Tracker.open(
        store, first, texts={"spec.py": "x = 1\n"}, say=silent, views=default_views(store)
    ) as tracker:
        record(tracker, range(1, 4))
        tracker.end("finished")
    shown = everything(store)[first.run]
    assert shown["facts"][:2] == ("baseline:0", "FINISHED")
    assert shown["facts"][4] == "margin"
    assert dict(shown["parameters"]) == {
        "batch_size": "400",
        "embedding.dropout": "0.4",
        "flip": "true",
        "stages.1.loss": "ArcFace",
    }
    assert shown["tags"]["workbench.status"] == "finished"
    assert shown["tags"]["workbench.id"] == first.id
    assert shown["tags"]["mlflow.source.git.commit"] == "c0ffee"
    assert set(shown["files"]) == {"spec.py", "history.json"}
    assert points(store, "lfw", first.run) == [(1, 1.3), (2, 2.3), (3, 3.3)]
    assert points(store, "stage", first.run) == [(1, 1.0), (2, 1.0), (3, 1.0)]

    board = Board(store.tensorboard)
    (name,) = board.runs()
    assert name == f"margin/baseline.{first.run}"
    assert board.scalars(name, "lfw") == [(n, pytest.approx(n + 0.3)) for n in (1, 2, 3)]
    assert board.scalars(name, "best/loss") == [(1, 1.0)]
    assert board.scalars(name, "best/lfw") == [(n, pytest.approx(n + 0.3)) for n in (1, 2, 3)]
    (group,) = board.sessions()
    assert group.name == f"baseline {first.run[-8:]}"
    assert group.hparams["batch_size"].number_value == 400
    assert group.hparams["flip"].bool_value is True
    assert group.hparams["stages.1.loss"].string_value == "ArcFace"
    values = {metric.name.tag: metric.value for metric in group.metric_values}
    assert values["best/lfw"] == pytest.approx(3.3)
    assert values["best/loss"] == 1.0
    assert "best/lr" not in values
    assert "best/lfw_thresh" not in values


def test_a_row_is_shown_only_when_its_state_is_durable(store):
    first = start()
    with Tracker.open(store, first, say=silent, views=default_views(store)) as tracker:
        record(tracker, range(1, 3))
        record(tracker, range(3, 4), durable=False)
        tracker.end("stopped", "SIGTERM")
    assert [step for step, _ in points(store, "loss", first.run)] == [1, 2]
    assert everything(store)[first.run]["tags"]["workbench.reason"] == "SIGTERM"


def test_a_resume_goes_on_in_the_same_mlflow_run_without_holding_a_step_twice(store):
    first = start()
    with Tracker.open(store, first, say=silent, views=default_views(store)) as tracker:
        record(tracker, range(1, 4))
        record(tracker, range(4, 5), durable=False)
        tracker.end("stopped", "SIGTERM")
    (before,) = read_runs(store)
    with Tracker.open(
        store, start(first.run, from_epoch=4), say=silent, views=default_views(store)
    ) as tracker:
        assert tracker.attempt == 2
        record(tracker, range(4, 7))
        tracker.end("finished")
    (after,) = read_runs(store)
    assert after.mlflow_id == before.mlflow_id
    assert (before.status, after.status) == ("stopped", "finished")
    assert "workbench.reason" not in after.tags
    assert [step for step, _ in points(store, "loss", first.run)] == [1, 2, 3, 4, 5, 6]
    board = Board(store.tensorboard)
    (name,) = board.runs()
    assert [step for step, _ in board.scalars(name, "loss")] == [1, 2, 3, 4, 5, 6]
    assert len(board.sessions()) == 1


def test_a_resume_from_before_a_shown_epoch_replaces_what_was_shown(store):
    """As when the newest checkpoint is damaged and the one before it is used."""
    first = start()
    with Tracker.open(store, first, say=silent, views=default_views(store)) as tracker:
        record(tracker, range(1, 4))
        tracker.end("stopped")
    with Tracker.open(
        store, start(first.run, from_epoch=3), say=silent, views=default_views(store)
    ) as tracker:
        tracker.epoch(epoch(3, loss=0.25))
        tracker.checkpoint(CheckpointRecord(epoch=3, file="3", digest="d"))
        tracker.end("finished")
    assert points(store, "loss", first.run) == [(1, 1.0), (2, 2.0), (3, 0.25)]
    board = Board(store.tensorboard)
    assert board.scalars(board.runs()[0], "loss") == [(1, 1.0), (2, 2.0), (3, 0.25)]


def test_a_killed_run_is_found_by_sync_and_levelled_once(store):
    first = start()
    tracker = Tracker.open(store, first, views=[], say=silent)
    record(tracker, range(1, 3))
    tracker.close()  # without an end, as after a kill
    assert read_state(store, first.run).status == "interrupted"
    assert sync(store, silent).changed == [first.run]
    shown = everything(store)
    assert shown[first.run]["facts"][1] == "KILLED"
    assert shown[first.run]["tags"][TAG_STATUS] == "interrupted"
    assert "history.json" in shown[first.run]["files"]
    again = sync(store, silent)
    assert (again.changed, again.unchanged) == ([], [first.run])
    assert everything(store) == shown


def test_values_that_are_not_finite_are_kept_and_never_best(store):
    first = start()
    with Tracker.open(store, first, say=silent, views=default_views(store)) as tracker:
        for number, loss in enumerate([math.nan, 2.0, math.inf, -0.0], start=1):
            tracker.epoch(epoch(number, loss=loss))
            tracker.publish(number)
        tracker.end("failed", "the loss is nan", final_epoch=4)
    rows = query(store, "SELECT step, value, is_nan FROM metrics WHERE key = 'loss' ORDER BY step")
    assert [bool(row[2]) for row in rows] == [True, False, False, False]
    assert rows[2][1] == pytest.approx(1.797e308, rel=1e-3)
    board = Board(store.tensorboard)
    assert math.isnan(board.scalars(board.runs()[0], "loss")[0][1])
    assert board.scalars(board.runs()[0], "best/loss") == [(2, 2.0), (4, 0.0)]


def test_long_and_odd_parameters_are_handled(store):
    text = "x" * 7000
    first = start(
        parameters={"spec": text, "off": None, "rate@peak": 0.1, "worst": math.inf, "steps": [3, 5]}
    )
    with Tracker.open(store, first, say=silent, views=default_views(store)) as tracker:
        tracker.end("finished")
    shown = everything(store)[first.run]
    kept = dict(shown["parameters"])
    assert set(kept) == {"spec", "rate_peak", "worst", "steps"}
    assert len(kept["spec"]) == 6000
    assert kept["spec"].endswith(CUT_MARK)
    assert kept["worst"] == "inf"
    assert text.encode() in shown["files"]["parameters.json"]
    (group,) = Board(store.tensorboard).sessions()
    assert "off" not in group.hparams
    assert group.hparams["steps"].string_value == "[3, 5]"


def test_parameter_texts_and_keys():
    assert parameter_texts({"a": False, "b": 1e-05, "c": None, "d": [1, 2]}) == {
        "a": "false",
        "b": "1e-05",
        "d": "[1, 2]",
    }
    assert safe_key("lfw@0.001 %") == "lfw_0.001 _"


def test_settings_of_several_runs_are_merged_with_their_domains(store):
    one = start(parameters={"rate": 0.1, "loss": "ArcFace"}, domains={"rate": {"min": 0.01, "max": 0.1}})
    two = start(
        parameters={"rate": 0.5, "loss": "Softmax", "momentum": 0.9},
        domains={"rate": {"min": 0.1, "max": 1.0}, "loss": {"values": ["ArcFace", "Softmax"]}},
    )
    for row in (one, two):
        with Tracker.open(store, row, say=silent, views=default_views(store)) as tracker:
            record(tracker, range(1, 2))
            tracker.end("finished")
    board = Board(store.tensorboard)
    infos = {info.name: info for info in board.experiment().hparam_infos}
    # The tab shows the first columns only: what differs must be among them.
    assert list(infos) == ["loss", "name", "rate", "momentum", "study"]
    assert board.experiment().metric_infos[0].name.tag == "best/lfw"
    assert (infos["rate"].domain_interval.min_value, infos["rate"].domain_interval.max_value) == (0.01, 1.0)
    assert [value.string_value for value in infos["loss"].domain_discrete.values] == ["ArcFace", "Softmax"]
    assert len(board.sessions()) == 2
    assert len(list(store.tensorboard.glob("events*"))) == 1


def test_the_item_of_a_tuple_that_varies_stands_for_the_tuple(store):
    for units in (16, 64):
        row = start(parameters={"units": f"{units}", "units.1": units, "rate": 0.1 * units})
        with Tracker.open(store, row, say=silent, views=default_views(store)) as tracker:
            record(tracker, range(1, 2))
            tracker.end("finished")
    infos = [info.name for info in Board(store.tensorboard).experiment().hparam_infos]
    assert infos[:3] == ["name", "rate", "units.1"]


class Stuck:
    """A view whose store never answers."""

    name, address, changes = "MLflow", "http://nowhere", 0

    def __init__(self):
        self.free = threading.Event()

    def sync(self, journal, rows, status):
        self.free.wait()

    def close(self):
        pass


class Refusing:
    """A view whose store is away for its first calls."""

    name, address, changes = "MLflow", "http://nowhere", 0

    def __init__(self, failures):
        self.failures = failures
        self.seen = []

    def sync(self, journal, rows, status):
        if self.failures > 0:
            self.failures -= 1
            raise ConnectionError("connection\nrefused")
        self.seen = [row.epoch for row in rows]

    def close(self):
        pass


def test_a_store_that_hangs_costs_training_nothing_and_the_end_a_bounded_time(store):
    said, stuck = [], Stuck()
    tracker = Tracker.open(store, start(), views=[stuck], say=said.append)
    began = time.monotonic()
    record(tracker, range(1, 20))
    assert time.monotonic() - began < 2
    tracker.end("finished")
    began = time.monotonic()
    assert tracker.close(timeout=0.3) is False
    assert time.monotonic() - began < 2
    assert len(said) == 1
    assert "workbench sync" in said[0]
    stuck.free.set()
    assert read_state(store, tracker.run).status == "finished"


def test_an_outage_is_said_once_and_its_end_once(store):
    said, view = [], Refusing(failures=3)
    tracker = Tracker.open(store, start(), views=[view], say=said.append)
    for number in range(1, 7):
        record(tracker, range(number, number + 1))
        time.sleep(0.05)
    tracker.end("finished")
    assert tracker.close() is True
    assert view.seen == [1, 2, 3, 4, 5, 6]
    assert len(said) == 2
    assert "connection refused" in said[0]
    assert "training goes on" in said[0]
    assert "answers again" in said[1]


def test_a_store_that_stays_away_is_said_to_need_a_sync(store):
    said = []
    tracker = Tracker.open(store, start(), views=[Refusing(failures=10**6)], say=said.append)
    record(tracker, range(1, 4))
    tracker.end("finished")
    assert tracker.close() is False
    assert len(said) == 2
    assert "workbench sync" in said[1]


def test_an_exception_in_the_training_is_the_reason_in_the_record(store):
    tracker = Tracker.open(store, start(), views=[], say=silent)
    with pytest.raises(ZeroDivisionError), tracker:
        record(tracker, range(1, 2))
        _ = 1 / 0
    end = read_state(store, tracker.run).journal.end
    assert isinstance(end, EndRecord)
    assert (end.status, end.reason) == ("failed", "ZeroDivisionError: division by zero")


def test_a_run_deleted_in_mlflow_stays_deleted_until_it_is_resumed(store):
    from workbench.tracking.mlflow_client import open_client

    first = start()
    with Tracker.open(store, first, say=silent, views=default_views(store)) as tracker:
        record(tracker, range(1, 2))
        tracker.end("stopped")
    open_client(store).delete_run(read_runs(store)[0].mlflow_id)
    assert sync(store, silent).unchanged == [first.run]
    assert read_runs(store) == []
    with Tracker.open(
        store, start(first.run, from_epoch=2), say=silent, views=default_views(store)
    ) as tracker:
        record(tracker, range(2, 3))
        tracker.end("finished")
    assert [step for step, _ in points(store, "loss", first.run)] == [1, 2]


def test_artifacts_follow_the_run(store, tmp_path):
    source = tmp_path / "scores.bin"
    source.write_bytes(b"\x00\x01")
    first = start()
    with Tracker.open(
        store, first, texts={"spec.py": "1"}, say=silent, views=default_views(store)
    ) as tracker:
        tracker.artifact("scores/lfw.bin", path=source)
        tracker.artifact("note.txt", text="ä")
        with pytest.raises(Exception, match="relative path"):
            tracker.artifact("../escape", text="x")
        tracker.end("stopped")
    with Tracker.open(
        store, start(first.run, from_epoch=1), texts={"spec.py": "2"}, say=silent, views=default_views(store)
    ) as tracker:
        tracker.end("finished")
    files = everything(store)[first.run]["files"]
    assert files["scores/lfw.bin"] == b"\x00\x01"
    assert files["note.txt"] == "ä".encode()
    assert (files["spec.py"], files["attempt-2/spec.py"]) == (b"1", b"2")


@pytest.mark.parametrize(
    ("text", "short"),
    [
        (
            "(raised) (sqlite3.OperationalError) database or disk is full [SQL: INSERT INTO x]",
            "database or disk is full",
        ),
        ("... Failed to establish a new connection: [Errno 111] Connection refused'))", "Connection refused"),
        ('Max retries (Caused by ReadTimeoutError("Read timed out. (read timeout=10)"))', "Read timed out"),
        (
            "('Connection aborted.', ConnectionResetError(104, 'Connection reset by peer'))",
            "Connection reset by peer",
        ),
        ("", "OSError"),
    ],
)
def test_an_outage_is_told_in_a_few_words(text, short):
    assert reason(OSError(text) if text else OSError()) == short


def test_a_run_that_cannot_be_started_leaves_nothing(store):
    (store.journals / "r.d").mkdir(parents=True)
    (store.journals / "r.d" / "artifacts").write_text("in the way")
    with pytest.raises(StoreError, match="cannot be written") as caught:
        Tracker.open(store, start("r"), texts={"spec.py": "1"}, views=[], say=silent)
    assert "\n" not in str(caught.value)
    assert store.runs() == []
    assert list(store.journals.iterdir()) == []


def test_a_long_read_delays_a_writer_and_costs_it_nothing_else(store):
    first = start()
    with connect(store.database) as connection:
        reading = connection.execute("SELECT * FROM sqlite_master")
        reading.fetchone()  # a read is under way
        tracker = Tracker.open(store, first, say=silent, views=default_views(store))
        record(tracker, range(1, 4))
        time.sleep(0.5)
        reading.fetchall()
    tracker.end("finished")
    assert tracker.close()
    assert len(points(store, "loss", first.run)) == 3


def test_damaged_lines_are_named_by_a_sync_and_not_shown(store):
    first = start()
    with Tracker.open(store, first, views=[], say=silent) as tracker:
        record(tracker, range(1, 4))
        tracker.end("finished")
    path = store.journal(first.run)
    path.write_bytes(path.read_bytes().replace(b'"epoch":2', b'"epoch":7', 1))
    said = []
    sync(store, said.append)
    assert said == [f"{first.run}: damaged or torn lines of its journal are left out: 4"]
    assert [step for step, _ in points(store, "loss", first.run)] == [1, 3]
