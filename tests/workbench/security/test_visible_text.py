"""What is shown is text: terminals, tables of rich, CSV, Markdown and HTML do nothing that a record asks for."""

from __future__ import annotations

import csv
import io
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from stores import epoch, start

from analysis.report.html import html
from analysis.report.markdown import markdown
from analysis.report.page import Links, Page, Section, Table, Text
from analysis.tables.render import render
from workbench.cli import main
from workbench.security.visible_text import (
    VisibleStream,
    link,
    markdown_cell,
    spreadsheet_cell,
    surviving_lost_streams,
    visible,
)
from workbench.tracking.journal import encode_line
from workbench.tracking.rows import EndRecord

ESCAPE = "\x1b]0;title\x07\x1b[2J"
RUNS = [f"20260101T00000{n}Z-0000000{n}" for n in range(1, 4)]


def records(folder: Path, *names: str, **fields: object) -> Path:
    """Write finished runs of one epoch with the given names; returns the store."""
    (folder / "journal").mkdir(parents=True, exist_ok=True)
    for run, name in zip(RUNS, names):
        rows = (
            start(run, name=name, **fields),
            epoch(1, loss=1.0, lfw=0.5, lfw_thresh=0.2),
            EndRecord(status="finished"),
        )
        (folder / "journal" / f"{run}.jsonl").write_bytes(b"".join(map(encode_line, rows)))
    return folder


def test_list_shows_brackets_as_they_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = records(tmp_path / "mlruns", "net[bold]", "net[/x]", "net\\[red]")
    assert main(["list", "--store", str(store)]) == 0
    shown = capsys.readouterr().out
    for name in ("net[bold]", "net[/x]", "net\\[red]"):
        assert name in shown


@pytest.mark.parametrize("command", [["list"], ["show", RUNS[0]], ["table"]])
def test_no_escape_sequence_reaches_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    store = records(
        tmp_path / "mlruns", f"a{ESCAPE}", f"b{ESCAPE}", study=f"s{ESCAPE}", provenance={"question": ESCAPE}
    )
    main([*command, "--store", str(store)])
    shown = "".join(capsys.readouterr())
    assert "\x1b" not in shown and "\x07" not in shown


def test_an_error_shows_no_escape_sequence(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", f"run{ESCAPE}"]) == 2
    assert "\\x1b]0;title\\x07" in capsys.readouterr().err


def test_visible_keeps_letters_and_writes_out_what_acts() -> None:
    assert visible("ä 中 🙂 …\n\t[x]") == "ä 中 🙂 …\n\t[x]"
    assert visible("a\u200bb\ufeff\xad\u2060\U000e0041") == r"a\u200bb\ufeff\xad\u2060\U000e0041"
    assert visible("\x1b\x9b\x7f\u202e\u2028\r\ud800") == r"\x1b\x9b\x7f\u202e\u2028\x0d\ud800"


@pytest.mark.parametrize("text", ["=1+1", "+cmd", "-x", "@SUM(A1)", " =1", "\t=1"])
def test_a_cell_of_csv_is_no_formula(text: str) -> None:
    frame = pd.DataFrame({"name": [text], "=title": [1.5], "n": [-0.5]})
    titles, row = csv.reader(io.StringIO(render(frame, "csv")))
    assert titles[1] == "'=title"
    assert row[0].startswith("'") and row[1:] == ["1.5", "-0.5"]
    assert spreadsheet_cell("-1e-4") == "-1e-4" and spreadsheet_cell("a=b") == "a=b"


SCRIPT = "<script>alert(1)</script>"


def test_reports_hold_no_script() -> None:
    frame = pd.DataFrame({f"lfw{SCRIPT}": [0.5], "name": [f"{SCRIPT}|![x](http://example.org/x)`"]})
    blocks = [
        Text([SCRIPT]),
        Table(frame, fold=SCRIPT),
        Links([(SCRIPT, SCRIPT, [(SCRIPT, "javascript:alert(1)")])]),
    ]
    made = Page(title=SCRIPT, question=SCRIPT, sections=[Section(SCRIPT, blocks)])
    for text in (markdown(made), html(made)):
        assert not re.search(r"(?<!\\)<script", text) and "javascript:" not in text
    assert "![" not in markdown(made)


def test_tables_in_markdown_and_html_hold_no_markup() -> None:
    frame = pd.DataFrame({f"a|{SCRIPT}": [f"x\n|{SCRIPT}"]})
    for form in ("markdown", "html"):
        assert not re.search(r"(?<!\\)<script", render(frame, form))
    assert len(render(frame, "markdown").splitlines()) == 3
    assert markdown_cell("[a](b)") == r"\[a\](b)"


@pytest.mark.parametrize(
    ("address", "safe"),
    [
        ("https://host:5/#/x", True),
        ("../journal/a b.jsonl", True),
        ("javascript:x", False),
        ("data:text/html,x", False),
    ],
)
def test_links_lead_to_pages_only(address: str, safe: bool) -> None:
    assert (link(address) != "#") == safe


# ---------------------------------------------------------------- streams that are lost


class Gone(io.StringIO):
    """A stream whose reader has gone."""

    def write(self, text: str) -> int:
        raise BrokenPipeError(32, "Broken pipe")


def test_a_lost_stream_ends_no_training_and_any_other_command() -> None:
    stream = VisibleStream(Gone())
    with pytest.raises(BrokenPipeError):
        stream.write("list\n")
    with surviving_lost_streams():
        print("epoch 1", file=stream, flush=True)
        print("epoch 2", file=stream, flush=True)


@pytest.mark.parametrize(
    "closed", [">&-", "2>&-", ">&- 2>&-", "| true", "2>&1 | true", ">/dev/full 2>/dev/full"]
)
def test_a_process_outlives_its_streams(tmp_path: Path, root: Path, closed: str) -> None:
    mark = tmp_path / "done"
    code = (
        "import sys, time, click\n"
        "from workbench.security.visible_text import surviving_lost_streams, visible_streams\n"
        "with visible_streams(), surviving_lost_streams():\n"
        "    for n in range(20):\n"
        "        print('epoch', n, flush=True); click.echo('note', err=True); time.sleep(0.01)\n"
        f"    open({str(mark)!r}, 'w').write('all')\n"
    )
    words = f'{sys.executable} -c "$CODE" {closed}'
    pipe = f"set -o pipefail; {words}"
    done = subprocess.run(
        ["bash", "-c", pipe],
        env={"CODE": code, "PATH": "/usr/bin:/bin", "PYTHONPATH": str(root)},
        cwd=root,
    )
    assert mark.read_text() == "all" and done.returncode == 0


def test_the_description_of_a_run_in_mlflow_holds_no_html(tmp_path: Path) -> None:
    from workbench.views.mlflow_page import description

    stages = ({"number": 1, "name": SCRIPT, "epochs": 2},)
    row = start(RUNS[0], stages=stages, parameters={"stages.1.loss": SCRIPT}, provenance={"question": SCRIPT})
    prose = "Is `a < b`? [yes](https://host/x) [no](javascript:alert(1)) <img src=x onerror=y>"
    for spec in ("", f'"""{prose}"""', "-" * 200_000 + "1", "\0", "("):
        text = description(row, spec)
        assert not re.search(r"(?<!\\)<(script|img)", text) and not re.search(r"(?<!\\)\]\(javascript", text)
    text = description(row, f'"""{prose}"""')
    assert "`a < b`" in text and "](https://host/x)" in text


@pytest.mark.parametrize("word", ["a" * 5000, "a/" * 3000, "9" * 400])
@pytest.mark.parametrize("command", ["table", "plot", "show", "import", "report", "resume", "merge", "check"])
def test_a_name_that_no_file_can_have_is_one_line(
    project: Path, capsys: pytest.CaptureFixture[str], command: str, word: str
) -> None:
    assert main([command, word]) == 2
    told = capsys.readouterr().err
    assert told.startswith("error: ") and told.count("\n") == 1, told[:300]
