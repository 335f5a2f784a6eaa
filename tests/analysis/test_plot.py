"""The drop-in module for old notebooks: layout, what is drawn, what is returned, and real ground truths."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from analysis import plot
from workbench.errors import RecordError

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
        "loss": 2.0, "accuracy": 0.5, "lr": 0.01,
        "lfw": pytest.approx(0.91), "cfp_fp": pytest.approx(0.81), "agedb_30": pytest.approx(0.71),
    }  # fmt: skip
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
