"""Curves as computed: trunks, seeds, gaps, broken values, axes that can be compared; figures as drawn."""

from __future__ import annotations

import math

import numpy as np
import pytest
from makers import records, run
from matplotlib.backends.backend_agg import FigureCanvasAgg

from analysis.figures.curves import panels, plot_curves, window
from analysis.figures.draw import running_mean, save
from analysis.frames import concat
from analysis.sources import Options, load
from workbench.errors import InputError, RecordError


def compute(found, metrics, by="stage", **more):
    return panels(found, metrics, by, {}, **more)


def test_real_stage_maxima_and_minima(real_data):
    path = real_data / "histories" / "resnet34_casia" / "mxnet_r34_hist.json"
    found = load([path], options=Options(stages=(1, 19, 10, 50)))
    for metric, truth in {
        "lfw": [0.9183, 0.9908, 0.9943, 0.9942],
        "agedb_30": [0.7035, 0.9242, 0.9448, 0.9448],
        "loss": [29.9923, 12.9042, 5.9202, 2.1511],
    }.items():
        (panel,) = compute(found, metric)
        (curve,) = panel.curves
        assert curve.y[sorted(curve.best)].round(4).tolist() == truth
        assert list(panel.borders) == [1.5, 20.5, 30.5]


def test_real_branches_go_on_from_their_trunk(real_data):
    folder = real_data / "histories" / "mobilenet_emore_bs256"
    trunk = load([folder / "softmax_center_E80_hist.json"], options=Options(stages=(10,) * 8))
    options = Options(stages=(2, 10, 10, 10, 10, 10, 10), first_epoch=81, parent="softmax_center_E80")
    found = concat([trunk, load([folder / "soft_*.json"], options=options)])
    (panel,) = compute(found, "lfw")
    assert len(panel.curves) == 6
    end = panel.curves[0].y[-1]
    for curve in panel.curves[1:]:
        assert curve.x[:2].tolist() == [80, 81] and curve.y[0] == end
    # the softmax loss of the trunk and the ArcFace loss of the branches are not one axis
    titles = [panel.title for panel in compute(found, "loss")]
    assert titles == ["loss, epochs 1 to 80", "loss, epochs 81 to 136"]


def test_a_gap_stays_a_gap_and_broken_values_are_marked():
    data = run("a", {"loss": [3, math.nan, 2, math.inf]})
    data.add("loss", "measured", [7, 8], [1.5, 1.0])
    (panel,) = compute(records(data), "loss")
    (curve,) = panel.curves
    assert curve.broken == [(2.0, 3.0, "NaN"), (4.0, 2.0, "+inf")]
    finite = np.isfinite(curve.y)
    assert curve.x[finite].tolist() == [1, 3, 7, 8]
    between = (curve.x > 4) & (curve.x < 7)
    assert between.any() and not finite[between].any()
    assert curve.y[curve.best].tolist() == [1.0]


def test_seeds_are_a_mean_with_a_band():
    def seeded(name, seed, values):
        return run(name, {"lfw": values}, facts={"id": "1" * 12, "seed": seed}, settings={"scale": 1})

    found = records(seeded("a", 0, [0.1, 0.3, 0.5]), seeded("b", 1, [0.3, 0.5]))
    (panel,) = compute(found, "lfw")
    (curve,) = panel.curves
    assert curve.seeds == 2 and "2 seeds" in curve.label
    assert np.allclose(curve.y, [0.2, 0.4, math.nan], equal_nan=True)
    assert np.allclose(curve.low[:2], [0.1, 0.3]) and np.allclose(curve.high[:2], [0.3, 0.5])


def test_folds_are_a_mean_with_a_band_under_the_name_of_their_experiment():
    def fold(number, values, name="fast", recipe="r" * 12):
        settings = {"fold": number, "fold.count": 2, "fold.recipe": recipe, "fold.name": name}
        facts = {"id": f"{name}{number}", "seed": 0, "study": "s", "name": f"{name}-{number}"}
        return run(f"{name}{number}", {"lfw": values}, facts=facts, settings=settings)

    found = records(fold(1, [0.6, 0.8]), fold(2, [0.8, 0.9]), fold(1, [0.5, 0.6], "slow", "q" * 12))
    (panel,) = compute(found, ["lfw"])
    first, second = panel.curves
    assert first.label == "fast (2 folds)" and "folds)" not in second.label
    assert first.y.tolist() == pytest.approx([0.7, 0.85])
    assert first.low.tolist() == [0.6, 0.8]


def test_losses_share_an_axis_only_with_losses_of_their_kind():
    ours = {"id": "1" * 12}
    settings = {"stages.1.loss": "Softmax", "stages.2.loss": "ArcFace", "stages.2.loss.scale": 64}
    data = run(
        "a", {"loss": [3, 2, 1, 1], "lfw": [1] * 4}, stages=[("", 2), ("", 2)], facts=ours, settings=settings
    )
    assert [panel.title for panel in compute(records(data), "loss")] == [
        "loss: Softmax",
        "loss: ArcFace, scale 64",
    ]
    assert len(compute(records(data), "lfw")) == 1
    # without settings a loss that begins a stage much higher than it ended the last is another loss
    higher = run("b", {"loss": [3, 2, 9, 8, 4, 3]}, stages=[("", 2), ("", 2), ("", 2)])
    assert [panel.title for panel in compute(records(higher), "loss")] == [
        "loss, epochs 1 to 2",
        "loss, epochs 3 to 6",
    ]


def test_a_loss_with_and_one_without_the_regulariser_are_not_one_axis():
    a = run("a", {"loss": [3, 2]}, facts={"loss_regulariser": "includes"})
    b = run("b", {"loss": [2, 1]}, facts={"loss_regulariser": "excludes"})
    titles = [panel.title for panel in compute(records(a, b), "loss")]
    assert len(titles) == 2 and "includes" in titles[0] and "excludes" in titles[1]


def test_without_regulariser():
    a = run("a", {"loss": [3, 2], "regular_loss": [1, 0.5]}, facts={"loss_regulariser": "includes"})
    b = run("b", {"loss": [2, 1], "regular_loss": [1, 1]}, facts={"loss_regulariser": "excludes"})
    found = compute(records(a, b), "loss", without_regulariser=True)
    assert [panel.curves[0].y.tolist() for panel in found] == [[2, 1.5], [2, 1]]
    with pytest.raises(RecordError, match="--loss"):
        compute(records(run("c", {"loss": [1], "regular_loss": [1]})), "loss", without_regulariser=True)
    below = run("d", {"loss": [1.0], "regular_loss": [2.0]}, facts={"loss_regulariser": "includes"})
    with pytest.raises(RecordError, match="below 0 in epoch 1"):
        compute(records(below), "loss", without_regulariser=True)


def test_breaks_of_the_learning_rate_come_from_the_record():
    rates = [0.1] * 4 + [0.01] * 4 + [0.1] * 4
    data = run("a", {"lr": rates, "lfw": np.linspace(0, 1, 12).tolist()})
    assert compute(records(data), "lfw")[0].breaks == [4.5, 8.5]
    smooth = run("b", {"lr": (0.1 * 0.95 ** np.arange(12)).tolist(), "lfw": [0.5] * 12})
    assert compute(records(smooth), "lfw")[0].breaks == []


def test_several_values_in_an_epoch_are_spread_over_it():
    data = run("a", {})
    data.add("lfw", "measured", [1, 1, 2, 2], [0.1, 0.2, 0.3, 0.4], step=[10, 20, 30, 40])
    assert compute(records(data), "lfw")[0].curves[0].x.tolist() == [0.5, 1, 1.5, 2]


def test_window_and_smoothing():
    (panel,) = compute(records(run("a", {"lfw": [0.1, 0.2, 0.3, 0.2]})), "lfw")
    cut = window(panel, 3)
    assert cut.curves[0].x.tolist() == [3, 4] and cut.curves[0].best == [0]
    values = np.array([1.0, 2, 3, math.nan, 5, 7])
    assert np.allclose(running_mean(values, 3), [1, 2, 3, math.nan, 5, 7], equal_nan=True)
    straight = np.arange(10.0)
    assert np.allclose(running_mean(straight, 5), straight)  # a centred mean does not lag


def test_figures_are_written_and_hold_every_label(tmp_path):
    found = records(
        run("first run", {"loss": [3, 2], "lfw": [0.1, 0.2]}),
        run("second", {"loss": [2, math.nan], "lfw": [0.5, 0.4]}),
    )
    figure = plot_curves(found, reference={"lfw": 0.3}, loss_max=2.5, smooth=3, labels={"second": "renamed"})
    text = save(figure, tmp_path / "a.svg").read_text()
    for label in ("first run", "renamed", "loss", "lfw", "0.3", "NaN"):
        assert f">{label}<" in text
    assert save(figure, tmp_path / "a.png").stat().st_size > 5000
    assert figure.axes[0].get_ylim()[1] == 2.5
    with pytest.raises(InputError, match=r"\.svg"):
        save(figure, tmp_path / "a.xyz")


def test_no_tick_of_a_logarithmic_axis_is_a_formula():
    figure = plot_curves(records(run("a", {"lr": list(np.geomspace(10, 0.01, 20))})), "lr")
    FigureCanvasAgg(figure).draw()
    (axis,) = figure.axes
    assert axis.get_yscale() == "log"
    ticks = [*axis.get_yticklabels(), *axis.get_yticklabels(minor=True)]
    assert "0.1" in [text.get_text() for text in ticks]
    assert not any("$" in text.get_text() for text in ticks)


def test_a_single_epoch_has_whole_ticks():
    axis = plot_curves(records(run("a", {"loss": [2.0]}))).axes[0]
    ticks = [tick for tick in axis.get_xticks() if 0 <= tick <= 2]
    assert ticks and all(tick == round(tick) for tick in ticks)


def test_nothing_is_cut_off_or_overlaps(real_data):
    found = load(
        [real_data / "histories" / "resnet34_casia" / "*.json"], options=Options(stages=(1, 19, 10, 50))
    )
    figure = plot_curves(found)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    legend = figure.legends[0].get_window_extent(renderer)
    whole = figure.bbox
    assert legend.x0 >= whole.x0 and legend.x1 <= whole.x1 and legend.y0 >= whole.y0
    for axis in figure.axes:
        assert not axis.get_tightbbox(renderer).overlaps(legend)
        boxes = [label.get_window_extent(renderer) for label in axis.get_xticklabels() if label.get_text()]
        shown = [box for box in boxes if axis.bbox.x0 - 1 <= (box.x0 + box.x1) / 2 <= axis.bbox.x1 + 1]
        assert all(left.x1 < right.x0 for left, right in zip(shown[:-1], shown[1:]))


@pytest.mark.parametrize(
    "values", [np.geomspace(9, 0.1, 20), np.linspace(0, 1, 20) ** 0.3, np.linspace(1, 0.2, 20)]
)
def test_names_of_stages_do_not_lie_on_curves(values):
    stages = [("softmax", 3), ("ArcFace 32", 9), ("ArcFace 64", 8)]
    figure = plot_curves(records(run("a", {"lfw": list(values), "loss": list(values)}, stages=stages)))
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    names = {name for name, _ in stages}
    for axis in figure.axes:
        x = np.linspace(1, 20, 2000)
        points = axis.transData.transform(np.column_stack([x, np.interp(x, np.arange(1, 21), values)]))
        shown = [text for text in axis.texts if text.get_text() in names]
        assert len(shown) == 2
        for text in shown:
            box = text.get_window_extent(canvas.get_renderer())
            hidden = (points > [box.x0, box.y0]).all(1) & (points < [box.x1, box.y1]).all(1)
            assert not hidden.any() or text.get_bbox_patch() is not None


def test_a_frame_of_epochs_is_enough_and_bad_input_is_refused():
    found = records(run("a", {"loss": [2, 1]}))
    assert len(plot_curves(found.epochs, "loss", by="run").axes) == 1
    with pytest.raises(InputError, match="'stage' or 'run'"):
        plot_curves(found, by="epoch")
    with pytest.raises(RecordError, match="no metric 'lfw'"):
        plot_curves(found, "lfw")
    with pytest.raises(RecordError, match="no epochs"):
        plot_curves(records(run("a", {})))
