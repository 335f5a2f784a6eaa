"""Published numbers: those of the notebook, held as data; beside ours from records, and from docs/results.json."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis.commands.published import variants
from analysis.tables import published, published_file, results
from analysis.tables.published import Ours, comparison
from analysis.tables.published_file import Published
from analysis.tables.render import fixed_point, render
from workbench.errors import RecordError
from workbench.tracking.store import find_store

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "experiments" / "published").glob("*.json"))
SETS = ("lfw", "cfp_fp", "agedb_30")
PRINTED = {  # study: {variant: (lfw, cfp_fp, agedb_30)}, or with 0-based epochs behind them
    "subcenter_casia": {
        "base": (0.9822, 0.8694, 0.8695),
        "k3": (0.9838, 0.9044, 0.8743),
        "k3-to-1": (0.9838, 0.8960, 0.8768),
        "head-first": (0.9878, 0.8920, 0.8857),
        "head-first-from-40": (0.9835, 0.9030, 0.8763),
    },
    "nesterov_casia": {
        "base": (0.9822, 0.8694, 0.8695, 38, 44, 36),
        "512-dropout": (0.9837, 0.8491, 0.8745, 43, 47, 40),
        "nesterov": (0.9830, 0.8739, 0.8772, 30, 40, 34),
        "nesterov-512-dropout": (0.9828, 0.8673, 0.8810, 40, 42, 31),
    },
    "distillation_casia": {
        "base": (0.9838, 0.8730, 0.8697),
        "dropout": (0.9837, 0.8491, 0.8745),
        "r34-7": (0.9890, 0.9099, 0.9058),
        "r100-7": (0.9900, 0.9111, 0.9068),
        "r100-7-dropout": (0.9905, 0.9170, 0.9112),
        "r100-64-dropout": (0.9938, 0.9333, 0.9435),
        "r100-64-dropout-adamw": (0.9920, 0.9346, 0.9387),
    },
    "ghostnet_ms1m": {
        "gdc-dropout-bs512": (0.995333, 0.957714, 0.956, 47),
        "e-pointwise-dropout-bs512": (0.995833, 0.953571, 0.959, 45),
        "l2-cosine16-fixed": (0.997167, 0.959429, 0.969333, 45),
        "sgdw-cosine16-fixed": (0.996167, 0.961286, 0.966833, 46),
        "l2-cosine7-epoch": (0.9965, 0.965, 0.97, 48),
        "l2-1e-3-cosine7-epoch": (0.996833, 0.962429, 0.969, 53),
        "l2-1e-3-cosine7-batch": (0.997167, 0.959857, 0.968667, 48),
        "l2-1e-3-cosine7-batch-4-images": (0.996333, 0.959714, 0.968, 47),
        "sgdw-cosine16": (0.9965, 0.957857, 0.966, 45),
        "l2-cosine16": (0.996667, 0.960429, 0.968667, 45),
    },
    "loss_functions_mobilenet": {
        "original": (0.987833, 0.891714, 0.900333),
        "softmax": (0.987333, 0.895286, 0.901667),
        "margin-softmax": (0.989, 0.889, 0.897833),
        "scaled-softmax": (0.987333, 0.887857, 0.900333),
        "arcface": (0.9875, 0.886857, 0.904833),
        "center-arcface": (0.987833, 0.884, 0.894833),
        "batch-hard": (0.986333, 0.910571, 0.891333),
        "batch-all": (0.984333, 0.902571, 0.837167),
        "semi-hard": (0.9575, 0.837857, 0.778833),
    },
}
HISTORIES = {  # study: {variant: (file, epochs before it)}
    "subcenter_casia": {
        "base": ("subcenter_casia/base_topk1", 0),
        "k3": ("subcenter_casia/topk3", 0),
        "k3-to-1": ("subcenter_casia/topk3_to_1", 0),
    },
    "resnet34_casia": {
        "mxnet": ("resnet34_casia/mxnet_r34", 0),
        "sgd": ("resnet34_casia/tf_sgd_baseline", 0),
        "l2-5e-4": ("resnet34_casia/tf_sgd_l2_5e4", 0),
        "sgdw-1e-3": ("resnet34_casia/tf_sgdw_1e3", 0),
    },
    "mobilefacenet_emore": {
        "bs160": ("mobilefacenet_emore/bs160_lr_decay_01", 0),
        "bs768": ("mobilefacenet_emore/bs768_lr_decay_005", 0),
    },
    "mobilefacenet_epoch44": {"scale32-fixed": ("mobilefacenet_emore/E44_scale_32_lr_5e_5", 44)},
    "mobilenet_emore_bs256": {
        "softmax-center": ("mobilenet_emore_bs256/softmax_center_E80", 0),
        "triplet-64-falling": ("mobilenet_emore_bs256/soft_E80_arc_trip_64_alpha_decay_E40", 80),
    },
}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_file_belongs_to_variants_of_its_study(path: Path):
    theirs = published_file.read_published(path)
    assert theirs.names
    if path.stem not in published_file.references():
        assert set(theirs.names) <= set(variants(path.stem))
        assert set(theirs.at_of) <= set(theirs.names)
    shares = [
        value
        for name in theirs.names
        for _, row in theirs.rows_of(name)
        for metric, (value, _) in row.items()
        if published.is_share(metric) and metric != "fc7_acc"
    ]
    assert all(0.25 < value < 1 for value in shares)


@pytest.mark.parametrize("study", PRINTED)
def test_the_notebooks_printed_numbers(study: str):
    theirs = published_file.published_of(study)
    for name, printed in PRINTED[study].items():
        row = theirs.runs[name]
        assert tuple(row[metric][0] for metric in SETS) == printed[:3], name
        if len(printed) == 6:
            assert tuple(row[metric][1] for metric in SETS) == tuple(epoch + 1 for epoch in printed[3:])
        if len(printed) == 4:
            assert {row[metric][1] for metric in SETS} == {printed[3] + 1}


@pytest.mark.parametrize("study", HISTORIES)
def test_histories_of_the_same_trainings_give_the_published_numbers(study: str, real_data: Path):
    theirs = published_file.published_of(study)
    for name, (file, before) in HISTORIES[study].items():
        history = json.loads((real_data / "histories" / f"{file}_hist.json").read_text())
        for metric in SETS:
            epoch = int(np.argmax(history[metric if theirs.at == "each" else theirs.at]))
            value, at = theirs.runs[name][metric]
            digits = max(len(str(number).partition(".")[2]) for number, _ in theirs.runs[name].values())
            assert history[metric][epoch] == pytest.approx(value, abs=0.6 * 10**-digits), (name, metric)
            assert at in (None, epoch + 1 + before)


THEIRS = Published(
    "s", "each", {"a": {"lfw": (0.98, 10), "other": (0.9, None)}, "b": {"lfw": (0.98, 3)}}, "someone"
)


def ours(value: float, kind: str = "run", runs: int = 1) -> Ours:
    return Ours(kind, runs, {"each": {"lfw": (value, 7), "other": (value, 7)}})


def test_nothing_run_leaves_the_published_numbers():
    frame = comparison(THEIRS, {}, ["a", "b", "c"])
    assert list(frame["runs"]) == ["no run"] * 4
    assert frame["ours"].isna().all()
    assert set(frame["verdict"]) == {""}
    assert published.missing({}, ["a", "b", "c"]) == ["a", "b", "c"]


def test_without_published_numbers_a_reader_sees_ours_alone():
    frame = comparison(Published("s", "last", {}), {"a": Ours("run", 1, {"last": {"lfw": (0.9, 7)}})}, ["a"])
    assert list(frame["verdict"]) == ["not published"]
    assert list(published.shortened(frame).columns) == ["run", "set", "ours", "our epoch", "runs"]


def test_a_real_difference_and_noise_are_told_apart():
    frame = comparison(THEIRS, {"a": ours(0.95), "b": ours(0.981)}, ["a", "b"])
    said = {(row["run"], row["set"]): row["verdict"] for _, row in frame.iterrows()}
    assert said[("a", "lfw")] == "worse"
    assert said[("b", "lfw")] == "indistinguishable"
    assert said[("a", "other")] == "not comparable (number of pairs unknown)"
    assert said[("b", "other")] == "not published"
    row = frame.iloc[0]
    half = 1.959964 * np.sqrt(0.95 * 0.05 / 6000 + 0.98 * 0.02 / 6000)  # by hand
    assert row["difference"] == pytest.approx(-0.03)
    assert (row["from"], row["to"]) == pytest.approx((-0.03 - half, -0.03 + half))


def test_numbers_are_written_with_the_digits_that_were_published():
    long = Published("s", "each", {"a": {"lfw": (0.997167, 1)}, "b": {"lfw": (0.9965, 2)}}, "someone")
    for theirs, digits in ((THEIRS, 4), (long, 6)):
        frame = published.shortened(comparison(theirs, {"b": ours(0.98)}, ["a", "b"]))
        text = render(frame, "markdown", decimals=published.decimals(frame))
        cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]
        column = cells[0].index("published")
        values = [row[column] for row in cells[2:] if row[column]]
        assert {len(value) for value in values} == {2 + digits}
        assert values[0] == f"{theirs.runs['a']['lfw'][0]:.{digits}f}"
    assert fixed_point(-3.3e-5, 4) == "0.0000", "no -0.0000"


@pytest.mark.parametrize("kind", ["quick", "unfinished"])
def test_quick_and_unfinished_runs_are_marked_and_get_no_verdict(kind: str):
    frame = comparison(THEIRS, {"b": ours(0.6, kind)}, ["b"])
    row = frame.iloc[0]
    assert (row["runs"], row["verdict"]) == (kind, f"not comparable ({kind})")
    assert np.isnan(row["difference"])
    assert published.missing({"b": ours(0.6, kind)}, ["b"]) == ["b"]


def test_seeds_are_counted():
    assert comparison(THEIRS, {"b": ours(0.98, runs=3)}, ["b"]).iloc[0]["runs"] == "3 seeds"


def test_losses_and_times_of_an_epoch_stand_beside_the_published_ones():
    theirs = Published(
        "s",
        "each",
        {"a": {"lfw": (0.98, 10)}},
        "someone",
        cases={"accuracy": 5822653},
        epochs={"a": {16: {"loss": 0.4096, "accuracy": 0.9323, "seconds": 13041.0}}},
    )
    values = {
        "epoch 16": {"loss": (0.41, 16), "accuracy": (0.9324, 16), "seconds": (9000.0, 16), "lr": (0.1, 16)}
    }
    mine = Ours("run", 1, {"each": {"lfw": (0.98, 7)}, **values})
    frame = comparison(theirs, {"a": mine}, ["a"]).set_index("set")
    assert list(frame.index) == ["lfw", "loss", "accuracy", "seconds"], "lr is published nowhere"
    assert frame.loc["loss", "verdict"] == "higher"
    assert frame.loc["loss", "difference"] == pytest.approx(0.0004)
    assert frame.loc["seconds", "verdict"] == "lower"
    assert frame.loc["accuracy", "verdict"] == "indistinguishable"
    assert frame.loc["accuracy", "to"] - frame.loc["accuracy", "from"] < 0.001
    table = published.written(published.shortened(frame.reset_index()))
    text = render(table, "markdown", decimals=published.decimals(table))
    assert "13041 " in text
    assert "-4041 " in text


def test_the_values_of_one_epoch_have_its_seconds_a_step():
    epochs = pd.DataFrame(
        {
            "run": "r",
            "attempt": 1,
            "stage": 1,
            "stage_epoch": [1, 1, 2, 2],
            "epoch": [1, 1, 2, 2],
            "step": [50, 50, 150, 150],
            "metric": ["loss", "seconds", "loss", "seconds"],
            "value": [2.0, 10.0, 1.0, 30.0],
        }
    )
    assert published.values_of_epoch(epochs, 2) == {
        "loss": (1.0, 2),
        "seconds": (30.0, 2),
        "step_seconds": (0.3, 2),
    }
    assert published.values_of_epoch(epochs, 1)["step_seconds"] == (0.2, 1)
    assert published.values_of_epoch(epochs, 3) == {}


def test_ijb_rows_are_compared_by_their_genuine_pairs(tmp_path: Path):
    store = find_store(str(tmp_path / "mlruns"))
    for run, value in (("one", 0.91), ("two", 0.93)):
        folder = store.run_artifacts(run) / "ijb"
        folder.mkdir(parents=True)
        rows = {"N0D1F1": {"0.0001": value, "1e-06": None}, "N1D1F1": {"0.0001": 0.5}}
        (folder / "ijbb.json").write_text(json.dumps({"set": "ijbb", "one_to_one": rows}))
    found = published.ijb_means(store, ["one", "two", "three"])
    assert found["IJBB 0.0001 N0D1F1"] == (pytest.approx(0.92), None)
    rates = {"IJBB": {"a": {"0.0001": 0.92, "1e-06": 0.34}}}
    theirs = Published("s", "each", {}, "someone", ijb=rates, protocol="N0D1F1")
    frame = comparison(theirs, {"a": Ours("run", 2, {"ijb": found})}, ["a"]).set_index("set")
    assert list(frame.index) == ["IJBB 0.0001", "IJBB 1e-06"]
    assert list(frame["verdict"]) == ["indistinguishable", "not measured"]
    half = 1.959964 * np.sqrt(2 * 0.92 * 0.08 / 10270)  # by hand: 10,270 pairs of one person
    assert frame.loc["IJBB 0.0001", "to"] == pytest.approx(half, rel=1e-4)


def test_a_row_may_be_read_otherwise_than_its_table():
    theirs = Published("s", "each", {"a": {"lfw": (0.98, None)}}, "someone", at_of={"a": "agedb_30"})
    mine = Ours("run", 1, {"each": {"lfw": (0.99, 7)}, "agedb_30": {"lfw": (0.97, 3)}})
    assert comparison(theirs, {"a": mine}, ["a"]).iloc[0]["ours"] == 0.97
    assert theirs.readings() == ("each", "agedb_30")
    assert "a: those at the epoch at which agedb_30 is best" in published.exceptions(theirs)


def test_numbers_of_no_study_are_shown_by_their_name(project: Path):
    done = workbench(project, "table", "reference_ijb", "--published", "--format", "csv")
    assert done.returncode == 0, done.stderr
    start = "glint360k_r100FC_1.0_fp16_cosface8GPU_model,IJBB 0.0001,0.962317"
    assert any(line.startswith(start) for line in done.stdout.splitlines())


def test_the_pages_other_numbers():
    """Losses, times, checkpoints, IJB and the tables of other models, where the pages have them."""
    of = published_file.published_of
    assert of("loss_functions_mobilenet").epochs["arcface"][7] == {
        "loss": 22.3337,
        "accuracy": 0.7928,
        "lfw_thresh": 0.29358,
        "cfp_fp_thresh": 0.199602,
        "agedb_30_thresh": 0.247436,
        "seconds": 6133,
        "step_seconds": 0.135,
    }
    assert of("mobilefacenet_emore").epochs["bs768"][16]["loss"] == 0.4096
    assert of("resnest101_emore").epochs["bs1024"][95]["seconds"] == 8217
    assert of("mobilenet_emore_bs1024").runs["v3-large-triplet-64"]["agedb_30"] == (0.953833, None)
    assert of("ghostnet_ms1m").ijb["IJBC"]["float16-stride1"]["0.0001"] == 0.94943
    assert len(of("reference_mxnet").runs) == 22
    assert of("reference_insightface").runs["VarGfaceNet"]["megaface"] == (0.88334, None)
    strategies = of("reference_strategies").runs
    assert strategies["ResNet50V2, MirroredStrategy, batch 128 * 2"] == {"step_seconds": (0.36, None)}


def test_a_damaged_file_and_an_unknown_study_are_named(tmp_path: Path):
    (tmp_path / "x.json").write_text('{"at": "each", "first_epoch": 0, "runs": {"a": {"lfw": 0.9}}}')
    with pytest.raises(RecordError, match="x.json"):
        published_file.read_published(tmp_path / "x.json")
    with pytest.raises(RecordError, match="subcenter_casia"):
        published_file.published_of("subcenter_casa")


def test_results_survive_writing_and_are_kept_where_the_store_has_no_run(tmp_path: Path):
    path = tmp_path / "results.json"
    mine = {"s": {"a": Ours("imported", 1, {"each": {"lfw": (0.98, 7)}, "last": {"lfw": (0.9, None)}})}}
    results.write_results(path, mine)
    assert results.read_results(path) == mine
    path.write_text("{")
    with pytest.raises(RecordError, match="--refresh"):
        results.read_results(path)


def test_the_kept_results_are_of_known_variants():
    for study, rows in results.read_results(ROOT / "docs" / "results.json").items():
        assert set(rows) <= set(variants(study))


def workbench(project: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "workbench", *words], cwd=project, capture_output=True, text=True, check=False
    )


def test_a_history_imported_under_a_variants_name_stands_beside_the_published_number(project: Path):
    values = {"lfw": [0.9, 0.98], "cfp_fp": [0.8, 0.86], "agedb_30": [0.8, 0.87], "loss": [2.0, 1.0]}
    (project / "k3_hist.json").write_text(json.dumps(values))
    empty = workbench(project, "table", "subcenter_casia", "--published")
    assert empty.returncode == 0
    assert "missing: 5 of 5 runs" in empty.stderr
    done = workbench(project, "import", "k3_hist.json", "--study", "subcenter_casia", "--name", "k3")
    assert done.returncode == 0, done.stderr
    table = workbench(project, "table", "subcenter_casia", "--published", "--format", "csv")
    row = next(line.split(",") for line in table.stdout.splitlines() if line.startswith("k3,cfp_fp"))
    assert row[2:6] == ["0.9044", "", "0.86", "2"]
    assert row[9:] == ["worse", "imported"]
    assert "missing: 4 of 5 runs" in table.stderr
    done = workbench(project, "results", "--refresh", "--file", "results.json")
    assert done.returncode == 0, done.stderr
    kept = results.read_results(project / "results.json")
    assert kept["subcenter_casia"]["k3"].values["each"]["cfp_fp"] == (0.86, 2)
    page = project / "page.md"
    page.write_text("<!-- table: subcenter_casia --published -->\n<!-- /table -->\n")
    assert workbench(project, "table", "--update", "page.md").returncode == 0
    assert "| k3 " in page.read_text()
    assert "imported" in page.read_text()
    (project / "other_hist.json").write_text(json.dumps({"lfw": [0.9, 0.97]}))
    assert workbench(project, "import", "other_hist.json", "--study", "another").returncode == 0
    own = workbench(project, "table", "subcenter_casia", "--format", "csv")
    assert own.returncode == 0, own.stderr
    rows = [line.partition(",")[0] for line in own.stdout.splitlines()]
    assert rows == ["run", "k3"], "a study's name means its runs"
    drawn = workbench(project, "plot", "subcenter_casia", "-o", "k3.svg")
    assert drawn.stdout.strip() == "k3.svg: 1 run"
    assert workbench(project, "report", "subcenter_casia", "-o", "report").returncode == 0
    written = (project / "report" / "report.md").read_text()
    section = written.partition("## Beside published numbers")[2].partition("\n## ")[0]
    assert len([line for line in section.splitlines() if line.startswith("| k3 ")]) == 3
    assert "without a finished run here: base, k3-to-1" in section
    assert workbench(project, "report", "another", "-o", "other").returncode == 0
    assert "published" not in (project / "other" / "report.md").read_text(), "no spec, and nothing published"
    near = workbench(project, "table", "subcenter")
    assert (near.returncode, len(near.stderr.splitlines())) == (2, 1)
    wrong = workbench(project, "table", "--published")
    assert (wrong.returncode, len(wrong.stderr.splitlines())) == (2, 1)


def test_every_accuracy_in_a_table_or_a_checkpoints_name_is_held(real_data: Path):
    """Of the pages as they are now: a number that nobody copied is found by its absence."""
    pages = Path(os.environ.get("WORKBENCH_TEST_NOTEBOOK") or real_data.parent / "notebook")
    if not pages.is_dir():
        pytest.skip(f"no notebook in {pages}")
    held = {round(number, 6) for path in FILES for number in numbers_in(json.loads(path.read_text()))}
    missing = []
    for page in ("keras_insightface.txt", "advance.txt", "tests.txt"):
        for line, text in enumerate((pages / page).read_text(encoding="utf-8").splitlines(), start=1):
            found = re.findall(r"epoch_\d+_(?:\w+_)?(0\.\d{4,})", text)
            if text.lstrip().startswith("|"):
                found += re.findall(r"(?<![\w.])0\.\d{4,}", text)
            missing += [
                f"{page}:{line}: {number}" for number in found if round(float(number), 6) not in held | RATES
            ]
    assert not missing, "\n".join(missing)


RATES = {0.0001}  # false accept rates, the heads of columns


def numbers_in(value: Any) -> Iterator[float]:
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from numbers_in(inner)
    elif isinstance(value, int | float):
        yield float(value)
