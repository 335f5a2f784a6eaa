"""What a user may ask of a figure, what its legend says, and what `plot` reads and asks when little is said."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from makers import records, run
from stores import epoch, start

from analysis.branches import SHARED
from analysis.figures.curves import plot_curves
from analysis.figures.draw import TRUNK, TRUNK_COLOR
from analysis.sources import load
from analysis.tables.summary import per_stage
from workbench.cli import main
from workbench.errors import InputError, RecordError
from workbench.tracking.journal import JournalWriter
from workbench.tracking.store import find_store

LONG = "a_run_with_the_longest_of_names_" * 6


def two(first: str = "a", second: str = "b"):  # type: ignore[no-untyped-def]
    return records(*(run(name, {"loss": [3, 2, 1], "lfw": [0.5, 0.9, 0.8]}) for name in (first, second)))


def legend(figure) -> list[str]:  # type: ignore[no-untyped-def]
    return [text.get_text() for text in figure.legends[0].get_texts()]


@pytest.mark.parametrize("width", [3.4, 9.0])
def test_long_names_are_on_several_lines_and_never_cut_off(width: float):
    figure = plot_curves(two(LONG, "short"), width=width)
    figure.canvas.draw()
    box = figure.legends[0].get_window_extent()
    assert box.x0 >= 0 and box.x1 <= figure.bbox.x1 and box.y0 >= 0
    assert "".join(legend(figure)[0].split()) == LONG
    assert figure.get_figwidth() == width
    heights = [axis.get_position().height * figure.get_figheight() for axis in figure.axes]
    assert min(heights) > 0.8  # the legend does not eat the panels


def test_dots_and_dashes_are_explained_once():
    staged = run("a", {"loss": [3, 2, 1], "lr": [0.1, 0.1, 0.01]}, stages=[("one", 1), ("two", 2)])
    said = legend(plot_curves(records(staged)))
    assert said.count("best of its stage") == said.count("a stage begins") == 1
    assert "best" in legend(plot_curves(two(), by="run")) and "a stage begins" not in legend(
        plot_curves(two())
    )


def test_title_columns_style_and_palette_are_the_users():
    figure = plot_curves(two(), title="How it went", columns=1, style="dark", palette="red,#0072B2")
    assert figure.get_suptitle() == "How it went"
    assert {axis.get_position().x0 for axis in figure.axes} == {figure.axes[0].get_position().x0}
    assert [line.get_color() for line in figure.legends[0].get_lines()[:2]] == ["red", "#0072B2"]
    assert figure.get_facecolor()[0] < 0.2
    for wrong in (
        {"style": "papr"},
        {"palette": "colrblind"},
        {"palette": "red,gren"},
        {"width": 0},
        {"columns": 0},
    ):
        with pytest.raises(InputError):
            plot_curves(two(), **wrong)
    with pytest.raises(InputError, match="did you mean 'paper'"):
        plot_curves(two(), style="papr")


def test_a_store_of_several_studies_is_asked_which(project: Path, capsys):
    for number, study in enumerate(("margins", "decay"), start=1):
        with JournalWriter(find_store().journal(f"20260101T00000{number}Z-0000000{number}")) as journal:
            journal.append(start(f"20260101T00000{number}Z-0000000{number}", study=study))
            journal.append(epoch(1, loss=1.0))
    assert main(["plot"]) == 2
    assert "2 studies: decay, margins; name one: `workbench plot decay`" in capsys.readouterr().err
    assert main(["plot", "margins", "--title", "Margins", "--width", "5"]) == 0


def test_folders_of_histories_are_read_each_file_under_its_name(tmp_path: Path):
    for name in ("one/a_hist", "one/b_hist", "two/c_hist"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / f"{name}.json").write_text(json.dumps({"loss": [2, 1]}))
    assert sorted(load([tmp_path]).runs["name"]) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("lengths", "stages"), [((52, 50), "2,50"), ((42, 40, 20), "2,20,20"), ((9, 4), "5,4")]
)
def test_suggested_stages_fit_the_file(tmp_path: Path, lengths: tuple[int, ...], stages: str):
    lists = {f"loss_{length}": [1.0] * length for length in lengths}
    path = tmp_path / "x_hist.json"
    path.write_text(json.dumps(lists))
    with pytest.raises(RecordError, match=f"--stages {stages},"):
        load([path])
    assert main(["table", str(path), "--stages", stages, "--select", f"loss_{lengths[0]}"]) == 0


def test_the_record_of_stages_tells_seeds_of_one_name_apart():
    def made(name: str, seed: int):  # type: ignore[no-untyped-def]
        return run(name, {"loss": [2, 1]}, facts={"id": "0" * 12, "seed": seed, "name": "base"})

    frame = per_stage(records(made("r1", 0), made("r2", 1)), {"r1": "base", "r2": "base"})
    assert frame["seed"].tolist() == ["0", "1"]


def test_a_table_has_the_columns_that_were_chosen(tmp_path: Path, capsys):
    for name in ("a", "b"):
        (tmp_path / f"{name}.json").write_text(
            json.dumps({"loss": [2, 1], "lfw": [0.5, 0.9 if name == "a" else 0.8]})
        )
    words = [
        "table",
        *(str(tmp_path / f"{name}.json") for name in ("a", "b")),
        "--columns",
        "run=Recipe,lfw=LFW",
    ]
    assert main([*words, "--format", "latex"]) == 0
    text = capsys.readouterr().out
    assert "Recipe" in text and "LFW" in text and "epoch" not in text and r"\toprule" in text
    assert main([*words[:-1], "lwf"]) == 2
    assert "did you mean 'lfw'" in capsys.readouterr().err


def test_a_trunk_of_many_branches_is_drawn_once_and_named_once():
    trunk = {"loss": [3, 2], "lfw": [0.5, 0.6]}
    branches = [run(name, {key: [*values, 1] for key, values in trunk.items()}) for name in "abc"]
    found = records(run("trunk", trunk), *branches)
    shared = found.epochs["run"].isin(found.runs["run"][1:]) & (found.epochs["epoch"] <= 2)
    found.epochs.loc[shared, "attempt"] = SHARED
    figure = plot_curves(found)
    assert legend(figure)[:4] == ["a", "b", "c", TRUNK]  # the trunk's own run is no further line
    grey = [line for line in figure.axes[0].get_lines() if line.get_color() == TRUNK_COLOR]
    assert len([line for line in grey if len(line.get_xdata()) == 2 and line.get_linestyle() == "-"]) == 1
