"""`workbench forecast` as a user calls it: text, JSON, figure, score, refusals, and no TensorFlow."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from analysis.commands.forecast import forecast
from workbench.errors import InputError, RecordError


def history(path: Path, seed: int, end: float, epochs: int = 40) -> Path:
    generator = np.random.default_rng(seed)
    t = np.arange(epochs)
    accuracy = end - 0.3 * np.exp(-t / (4 + seed % 5)) + 0.003 * generator.normal(size=epochs)
    lists = {
        "loss": (8 * np.exp(-t / 9) + 3).tolist(),
        "accuracy": np.clip(accuracy + 0.02, 0, 1).tolist(),
        "lr": [0.1] * epochs,
        "agedb_30": accuracy.tolist(),
    }
    path.write_text(json.dumps(lists))
    return path


@pytest.fixture
def histories(project: Path) -> list[str]:
    return [str(history(project / f"run{k}_hist.json", k, 0.85 + 0.02 * k)) for k in range(5)]


def call(*words: str) -> str:
    done = CliRunner().invoke(forecast, list(words), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_one_run_is_told_in_words(histories: list[str]) -> None:
    text = call(histories[0], "--metric", "agedb_30", "--at", "15", "--to", "40", "--beat", "0.9")
    assert "run0: agedb_30 is 0.8" in text
    assert "epoch 40: median 0.8" in text
    assert "chance to beat 0.9:" in text
    assert "25 epochs left" in text


def test_several_runs_are_ranked_and_the_figure_is_drawn(histories: list[str], project: Path) -> None:
    text = call(*histories, "--metric", "agedb_30", "--at", "20", "-o", "fan.svg")
    lines = text.splitlines()
    assert lines[0].split()[:2] == ["run", "advice"]
    assert lines[2].startswith("run4")
    assert "worth continuing" in lines[2]
    assert (project / "fan.svg").read_text().startswith("<?xml")


def test_several_extrapolations_are_drawn_in_one_figure(
    histories: list[str], project: Path, monkeypatch
) -> None:
    from analysis.forecast import fan_chart
    from analysis.forecast.classic import METHODS, extrapolate

    drawn = []
    usual = fan_chart.fan_chart
    monkeypatch.setattr(fan_chart, "fan_chart", lambda *given: drawn.append(usual(*given)) or drawn[-1])
    call(histories[0], "--metric", "loss", "--at", "20", "--to", "40", "--by-hand", "-o", "all.svg")
    axis = drawn[0].axes[0]
    lines = {line.get_gid(): line for line in axis.lines if line.get_gid() in METHODS}
    assert set(lines) == set(METHODS)
    seen = json.loads(Path(histories[0]).read_text())["loss"][:20]
    for method, line in lines.items():
        np.testing.assert_allclose(line.get_ydata()[1:], extrapolate(seen, 20, method))
        assert line.get_xdata().tolist() == list(range(20, 41))
    words = [text.get_text() for text in drawn[0].legends[0].get_texts()]
    assert set(METHODS) <= set(words)
    with pytest.raises(InputError, match="name with -o"):
        CliRunner().invoke(forecast, [histories[0], "--by-hand"], catch_exceptions=False)


def test_json_has_one_line_a_run(histories: list[str]) -> None:
    lines = [json.loads(line) for line in call(*histories, "--at", "20", "--json").splitlines()]
    assert {line["run"] for line in lines} == {f"run{k}" for k in range(5)}
    for line in lines:
        assert line["metric"] == "agedb_30"
        assert line["interval80"][0] <= line["median"] <= line["interval80"][1]
        assert 0 < line["chance"] < 1
        assert line["other_runs"] == 4
        assert line["last"]["epoch"] == 20


def test_another_run_is_beaten_by_name(histories: list[str]) -> None:
    line = json.loads(call(*histories[:2], "--at", "20", "--beat", "run1", "--json").splitlines()[0])
    assert line["beat"]["whose"] == "run1"


def test_the_record_stands_beside_the_rivals(histories: list[str]) -> None:
    text = call(*histories, "--metric", "agedb_30", "--score")
    assert "5 finished runs" in text
    for method in (
        "this forecaster, no prior",
        "last value",
        "by hand: cubic",
        "power law, 4 parameters",
        "power law, 3 parameters",
    ):
        assert f"| {method} |" in text


@pytest.mark.parametrize("tail", [[float("nan")], [float("inf")], [float("nan")] * 5])
def test_a_history_whose_last_loss_is_not_finite_is_told_so(project: Path, tail: list[float]) -> None:
    path = history(project / "run9_hist.json", 9, 0.9)
    lists = json.loads(path.read_text())
    lists["loss"][-len(tail) :] = tail
    path.write_text(json.dumps(lists))
    text = call(str(path), "--metric", "loss", "--to", "60")
    assert "loss is not finite at epoch 40" in text
    assert "no forecast: the value of epoch 40" in text
    assert json.loads(call(str(path), "--metric", "loss", "--to", "60", "--json"))["verdict"] == "no forecast"


def test_the_runs_learnt_from_are_named(histories: list[str]) -> None:
    text = call(histories[0], "--at", "20", "--prior", histories[1], "--prior", histories[2])
    assert "learnt from 2 other runs: run1, run2" in text
    assert "learnt from no other runs" in call(histories[0], "--at", "20", "--alone")


def test_impossible_calls_are_refused(histories: list[str]) -> None:
    for words, error in (
        ((histories[0], "--metric", "agedb"), RecordError),
        ((histories[0], "-o", "fan.docx"), InputError),
        ((histories[0], "--at", "10", "--to", "40", "--beat", "nobody"), InputError),
        (("missing_hist.json",), RecordError),
    ):
        with pytest.raises(error):
            CliRunner().invoke(forecast, list(words), catch_exceptions=False)


def test_a_whole_process_imports_no_tensorflow(histories: list[str]) -> None:
    code = (
        "import sys; from workbench.cli import main; status = main(sys.argv[1:]); "
        "found = {'tensorflow', 'mlflow', 'keras_tuner'} & set(sys.modules); assert not found, found; sys.exit(status)"
    )
    words = [
        sys.executable,
        "-c",
        code,
        "forecast",
        histories[0],
        "--at",
        "15",
        "--to",
        "40",
        "-o",
        "fan.png",
    ]
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run(
        words, capture_output=True, text=True, env={"PYTHONPATH": str(root), "PATH": ""}, timeout=1200
    )
    assert done.returncode == 0, done.stderr
    assert "median" in done.stdout
