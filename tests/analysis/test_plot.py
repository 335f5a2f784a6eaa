"""The drop-in module for old notebooks: layout, what is drawn, what is returned, and real ground truths."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from makers import write_history_run

from analysis import plot
from workbench.errors import InputError, RecordError

ROOT = Path(__file__).resolve().parents[2]

STAGE_MAXIMA = {  # published figure of the ResNet34 comparison, mxnet_r34, stages 1, 19, 10, rest
    "lfw": [0.9183, 0.9908, 0.9943, 0.9942],
    "agedb_30": [0.7035, 0.9242, 0.9448, 0.9448],
    "loss": [29.9923, 12.9042, 5.9202, 2.1511],
}


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    from matplotlib import pyplot

    pyplot.close("all")


@pytest.fixture
def history(tmp_path):
    """A history of 10 epochs with every kind of metric; loss falls, accuracies rise."""
    epochs = np.arange(1, 11)
    content = {
        "loss": (20 / epochs).tolist(),
        "accuracy": (epochs / 20).tolist(),
        "lr": [0.1] * 5 + [0.01] * 5,
        "lfw": (0.9 + epochs / 1000).tolist(),
        "cfp_fp": (0.8 + epochs / 1000).tolist(),
        "agedb_30": (0.7 + epochs / 1000).tolist(),
    }
    path = tmp_path / "run_hist.json"
    path.write_text(json.dumps(content))
    return path


def curves(axis):
    return [line for line in axis.lines if line.get_gid() == plot.CURVE]


def verticals(axis):
    return [line for line in axis.lines if str(line.get_gid()).startswith(plot.STAGE_LINE)]


def marks(axis):
    return [text.get_text() for text in axis.texts if text.get_gid() == plot.MARK]


def test_grid_of_a_new_figure(history):
    axes, last = plot.hist_plot_split(str(history), [5, 5])
    assert isinstance(axes, np.ndarray) and axes.shape == (6,)
    assert [axis.get_title() for axis in axes] == ["loss", "accuracy", "lr", "lfw", "cfp_fp", "agedb_30"]
    assert tuple(axes[0].figure.get_size_inches()) == (24, 16)
    assert last == {
        "loss": 2.0,
        "accuracy": 0.5,
        "lr": 0.01,
        "lfw": pytest.approx(0.91),
        "cfp_fp": pytest.approx(0.81),
        "agedb_30": pytest.approx(0.71),
    }
    assert [curve.get_label() for curve in curves(axes[0])] == ["run_hist"]
    assert [curve.get_label() for curve in curves(axes[3])] == ["lfw - run_hist"]
    assert curves(axes[0])[0].get_xdata().tolist() == list(range(1, 11))


def test_one_row_puts_other_metrics_on_a_twin_of_the_loss(history):
    axes, _ = plot.hist_plot_split(str(history), [5, 5], eval_split=False)
    assert len(axes) == 4 and tuple(axes[0].figure.get_size_inches()) == (24, 8)
    assert [curve.get_linestyle() for curve in curves(axes[2])] == ["-", "--", "-."]
    assert len(curves(axes[3])) == 1 and axes[3].get_shared_x_axes().joined(axes[0], axes[3])
    axes, _ = plot.hist_plot_split(str(history), [5, 5], eval_split=False, customs=["lfw"])
    assert len(axes) == 3


def test_given_axes_keep_their_layout_and_get_another_color(history):
    axes, _ = plot.hist_plot_split(str(history), [5, 5], names=["a", "b"])
    again, _ = plot.hist_plot_split(str(history), [5, 5], axes=axes, fig_label="two", eval_split=False)
    assert len(again) == 6 and len(curves(axes[0])) == 2
    first, second = (curve.get_color() for curve in curves(axes[0]))
    assert first != second
    # the later call's line replaces the one at the same place, in its own colour
    assert len(verticals(axes[0])) == 2
    assert {line.get_color() for line in verticals(axes[0])} == {second}


def test_stage_lines_stand_at_first_epochs_over_the_middle_nine_tenths(history):
    axes, _ = plot.hist_plot_split(str(history), [5, 5], names=["a", "b"], init_epoch=3)
    for axis in axes:
        assert [line.get_xdata()[0] for line in verticals(axis)] == [4, 9]
        assert all(list(line.get_ydata()) == [0.05, 0.95] for line in verticals(axis))
        names = [text for text in axis.texts if str(text.get_gid()).startswith(plot.STAGE_LINE)]
        assert [text.get_text().strip() for text in names] == ["a", "b"]
        assert all(text.get_rotation() % 180 == 90 for text in names)


def test_real_stage_bests_are_marked(real_data):
    path = real_data / "histories" / "resnet34_casia" / "mxnet_r34_hist.json"
    axes, _ = plot.hist_plot_split(str(path), [1, 19, 10, 50])
    assert marks(axes[0]) == [f"{value:.4f}" for value in STAGE_MAXIMA["loss"]]
    assert marks(axes[3]) == [f"{value:.4f}" for value in STAGE_MAXIMA["lfw"]]
    assert marks(axes[5]) == [f"{value:.4f}" for value in STAGE_MAXIMA["agedb_30"]]


def test_ties_go_to_the_last_epoch_and_nan_is_never_best():
    history = {"loss": [3.0, 1.0, 1.0, math.nan], "lfw": [0.9, 0.95, 0.95, math.nan], "lr": [0.0] * 4}
    axes, last = plot.hist_plot_split(history, [4], fig_label="x")
    mark = next(m for m in axes[0].collections if m.get_gid() == plot.MARK)
    assert mark.get_offsets().tolist() == [[3.0, 1.0]]
    assert marks(axes[3]) == ["0.9500"]
    assert marks(axes[2]) == []  # a best of 0 is not marked
    assert math.isnan(last["loss"])


def test_zero_and_nan_repeat_the_value_before_and_the_loss_is_cut():
    history = {"loss": [50.0, 3.0, 0.0, 2.0], "lfw": [0.9, math.nan, 0.0, 0.8]}
    axes, _ = plot.hist_plot_split(history, [4], fig_label="x", limit_loss_max=10)
    assert curves(axes[0])[0].get_ydata().tolist() == [10, 3, 3, 2]
    assert curves(axes[3])[0].get_ydata().tolist() == [0.9, 0.9, 0.9, 0.8]


def test_pre_item_joins_or_replaces():
    history = {"loss": [3.0, 2.0], "lfw": [0.8, 0.9]}
    axes, _ = plot.hist_plot_split(history, [2], fig_label="x", init_epoch=5, pre_item={"loss": 9.0})
    assert curves(axes[0])[0].get_xdata().tolist() == [5, 6, 7]
    assert curves(axes[0])[0].get_ydata().tolist() == [9, 3, 2]
    assert curves(axes[3])[0].get_xdata().tolist() == [6, 7]
    axes, _ = plot.hist_plot_split(history, [2], fig_label="x", pre_item={"loss": 9.0})
    assert curves(axes[0])[0].get_xdata().tolist() == [1, 2]
    assert curves(axes[0])[0].get_ydata().tolist() == [9, 2]


def test_epochs_cut_every_list_from_its_own_start_and_drop_the_rest():
    history = {"loss": [4.0, 3.0, 2.0, 1.0], "lfw": [0.8, 0.9]}
    axes, last = plot.hist_plot_split(history, [1, 2], fig_label="x")
    assert curves(axes[0])[0].get_xdata().tolist() == [1, 2, 3]
    assert curves(axes[3])[0].get_xdata().tolist() == [1, 2]
    assert last == {"loss": 2.0, "lfw": 0.9}


def test_skip_epochs_counts_on_from_init_epoch(history):
    """Epoch 24 of the axis is the fourth of a history that begins after epoch 20, as in the notebook's module."""
    axes, _ = plot.hist_plot_split(
        str(history), [3, 4, 3], names=["a", "b", "c"], init_epoch=20, skip_epochs=24
    )
    assert curves(axes[0])[0].get_xdata().tolist() == [25, 26, 27, 28, 29, 30]
    assert curves(axes[0])[0].get_ydata()[0] == pytest.approx(20 / 5)
    assert [text.get_text().strip() for text in axes[1].texts if text.get_gid() != plot.MARK] == ["b", "c"]
    whole, _ = plot.hist_plot_split(
        str(history), [10], init_epoch=20, skip_epochs=15, pre_item={"loss": 30.0}
    )
    assert curves(whole[0])[0].get_xdata()[0] == 20  # nothing is left out, and the past is joined


def test_the_limit_of_the_loss_holds_for_the_marks_too(tmp_path):
    path = tmp_path / "high_hist.json"
    path.write_text(json.dumps({"loss": [90.0, 80.0, 70.0, 5.0]}))
    axes, _ = plot.hist_plot_split(str(path), [3, 1], customs=[], limit_loss_max=30)
    assert curves(axes[0])[0].get_ydata().tolist() == [30, 30, 30, 5]
    heights = [mark.get_offsets()[0][1] for mark in axes[0].collections if mark.get_gid() == plot.MARK]
    assert heights == [30, 5]
    assert marks(axes[0]) == ["70.0000", "5.0000"]


def test_an_empty_name_leaves_the_name_of_an_earlier_call(history):
    axes, _ = plot.hist_plot_split(str(history), [5, 5], names=["Softmax", "ArcFace"])
    axes, _ = plot.hist_plot_split(str(history), [5, 5], names=["", "Triplet"], axes=axes)
    named = [text.get_text().strip() for text in axes[0].texts if text.get_gid() != plot.MARK]
    assert sorted(named) == ["Softmax", "Triplet"]


@pytest.mark.parametrize("palette", ["husl", "hls", "Set2", "viridis", "rainbow", "deep"])
def test_colours_of_any_palette_of_seaborn(history, palette):
    import seaborn
    from matplotlib import colormaps, colors

    plot.set_colors(4, palette)
    try:
        axes = None
        for _ in range(2):
            axes, _ = plot.hist_plot_split(str(history), [10], axes=axes)
        known = (
            colormaps["rainbow"](np.linspace(0, 1, 4))
            if palette == "rainbow"
            else seaborn.color_palette(palette, 4)
        )
        drawn = [colors.to_rgb(line.get_color()) for line in curves(axes[0])]
        assert drawn == [colors.to_rgb(color) for color in list(known)[:2]]
    finally:
        plot.set_colors(10)
    with pytest.raises(InputError, match="did you mean 'husl'"):
        plot.set_colors(4, "hussl")


def test_a_style_that_the_notebook_sets_is_kept(history):
    from matplotlib import pyplot

    assert plot.hist_plot_split(str(history), [10])[0][0].get_facecolor()[:3] == pytest.approx(
        (0.9176, 0.9176, 0.949), abs=1e-3
    )
    with pyplot.style.context("dark_background"):
        axes, _ = plot.hist_plot_split(str(history), [10])
    assert axes[0].get_facecolor() == (0, 0, 0, 1)


def test_the_notebooks_import_finds_the_module():
    done = subprocess.run(
        [sys.executable, "-c", "import plot; print(plot.hist_plot_split.__module__, plot.EVALS_NAME[0])"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["analysis.plot", "lfw"]


@pytest.fixture
def run(project):
    """A finished run of two stages in a project's store, its journal and `history.json` alone."""
    return write_history_run(project)


def test_a_run_of_the_workbench_stands_where_a_path_stood(run, capsys):
    name, file = run
    for item in (name, str(file), file):
        axes, last = plot.hist_plot_split(item, customs=["lfw"])
        assert axes[0].get_legend().get_texts()[0].get_text() == "study/base:0"
        assert [line.get_xdata()[0] for line in verticals(axes[0])] == [1, 3]  # the run's own stages
        assert last == {"loss": 1.0, "lfw": 0.95}
        values = curves(axes[3])[0].get_ydata()
        assert math.isnan(values[0]) and values.tolist()[1:] == [0.9, 0.92, 0.95]  # measured from epoch 2 on
    best, _, _ = plot.choose_accuracy([name, file], key_picks=["lfw"])
    assert list(best) == ["study/base:0", "study/base:0 (2)"]
    assert best["study/base:0"] == {"lfw": 0.95, "epoch": 3}


def test_skip_epochs_drops_ended_stages_and_cuts_the_next(history):
    axes, last = plot.hist_plot_split(str(history), [3, 4, 3], names=["a", "b", "c"], skip_epochs=4)
    assert curves(axes[0])[0].get_xdata().tolist() == list(range(5, 11))
    assert [line.get_xdata()[0] for line in verticals(axes[0])] == [5, 8]
    assert last["loss"] == 2.0


def test_several_files_are_joined_key_by_key(history, tmp_path):
    axes, _ = plot.hist_plot_split([str(history), str(history)], [20])
    assert len(curves(axes[0])[0].get_xdata()) == 20
    saved, _ = plot.hist_plot_split([str(history)], [10], save="")
    assert history.with_suffix(".svg").exists()
    assert saved is not None


def test_empty_customs_mean_every_set_and_absent_ones_are_skipped(history):
    _, last = plot.hist_plot_split(str(history), [10], customs=[])
    assert set(last) == {"loss", "accuracy", "lfw", "cfp_fp", "agedb_30"}
    _, last = plot.hist_plot_split(str(history), [10], customs=["lfw", "nothing"])
    assert set(last) == {"loss", "accuracy", "lfw"}


def test_accuracy_falls_back(history):
    axes, last = plot.hist_plot_split({"loss": [1.0], "logits_accuracy": [0.5]}, fig_label="x")
    assert last == {"loss": 1.0, "accuracy": 0.5}
    axes, last = plot.hist_plot_split({"loss": [1.0]}, fig_label="x")
    assert last == {"loss": 1.0} and not curves(axes[1])


@pytest.mark.parametrize("wrong", [{"lfw": [1.0]}, "missing.json", []])
def test_bad_histories_are_refused_in_one_line(wrong):
    with pytest.raises(RecordError) as error:
        plot.hist_plot_split(wrong, fig_label="x")
    assert "\n" not in str(error.value)


def test_a_dict_needs_a_label():
    with pytest.raises(RecordError, match="fig_label"):
        plot.hist_plot_split({"loss": [1.0]})


def test_colors_and_scale(history):
    try:
        plot.set_colors(3, "rainbow")
        plot.set_scale(0.5)
        axes, _ = plot.hist_plot_split(str(history), [10])
        assert tuple(axes[0].figure.get_size_inches()) == (12, 8)
    finally:
        plot.set_colors(10)
        plot.set_scale(1)
    assert plot.EVALS_NAME[:3] == ["lfw", "cfp_fp", "agedb_30"]


def test_the_lowest_of_another_loss_is_marked(tmp_path):
    metrics = {"loss": [3.0, 2.0], "val_loss": [4.0, 5.0]}
    axes, _ = plot.hist_plot_split(metrics, [2], customs=["val_loss"], fig_label="a")
    assert marks(axes[2]) == ["4.0000"]
