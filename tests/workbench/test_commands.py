"""The program as a user calls it: bad input is one line and status 2, and nothing is written."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from workbench.cli import COMMANDS, main

SPEC = '''"""Is it so?"""
import sys
sys.path.insert(0, {tests!r})
from specs import tiny
experiments = [tiny(), tiny(label_smoothing=0.1)]
'''


@pytest.fixture
def spec(project: Path, root: Path) -> str:
    path = project / "experiments" / "study.py"
    path.write_text(SPEC.format(tests=str(root / "tests" / "workbench")))
    return "experiments/study.py"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "SPEC", "--set", "weight_decya=1"], "did you mean 'weight_decay'"),
        (["run", "SPEC", "--set", "batch_size=-3"], "expected a value of at least 1"),
        (["run", "SPEC", "--set", "stages.1.epochs=0"], "0 is out of range"),
        (["run", "SPEC", "--set", "data=ImageFolder('nowhere')"], "'nowhere' is not there"),
        (["run", "SPEC", "nobody"], "no variant 'nobody'"),
        (["run", "experiments/nothing.py"], "no such spec file"),
        (["run", "SPEC", "--seed", "1", "--seeds", "1,2"], "both --seed and --seeds"),
        (["run", "SPEC", "--seeds", "one"], "expected whole numbers"),
        (["run", "SPEC", "--sed", "1"], "No such option"),
        (["run", "SPEC", "--jobs", "0"], "Invalid value for '--jobs'"),
        (["run", "SPEC", "--jobs", "999"], "999 jobs on"),
        (["run", "SPEC", "--devices", "gpu:99"], "no device gpu:99 on this machine"),
        (["run", "SPEC", "base", "--devices", "x"], "'x' is not a device"),
        (["runn", "SPEC"], "did you mean 'run'"),
        (["show", "2026"], "no run '2026'"),
        (["resume", "2026"], "no run '2026'"),
        (["list"], "no runs"),
        (["check", "study"], "is not a spec file"),
    ],
)
def test_bad_input_is_one_line_with_status_2_and_leaves_nothing(
    spec: str, project: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    assert main([spec if word == "SPEC" else word for word in words]) == 2
    result = capsys.readouterr()
    assert said in result.err
    assert result.err.startswith("error: ")
    assert result.err.count("\n") == 1
    assert not list((project / "mlruns").rglob("*.jsonl"))


def test_a_store_that_cannot_be_written_is_refused(
    spec: str, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "file").write_text("no folder")
    assert main(["run", spec, "base", "--store", str(project / "file")]) == 2
    assert "not a folder" in capsys.readouterr().err


def test_debug_shows_the_traceback(spec: str) -> None:
    with pytest.raises(Exception, match="did you mean"):
        main(["run", spec, "--set", "weight_decya=1", "--debug"])


def test_help_names_every_command_and_imports_nothing_heavy(root: Path) -> None:
    code = (
        "import sys; from workbench.cli import main; main(['--help']); "
        "print([m for m in ('tensorflow', 'mlflow', 'keras', 'pandas', 'numpy',"
        " 'workbench.security.masking', 'difflib', 'tempfile') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=True)
    assert all(f"  {name} " in done.stdout for name in COMMANDS)
    assert done.stdout.strip().endswith("[]")


def test_list_show_and_json_read_a_store_without_tensorflow(project: Path, root: Path) -> None:
    sys.path.insert(0, str(root / "tests" / "workbench" / "tracking"))
    from workbench.tracking.journal import JournalWriter
    from workbench.tracking.rows import EndRecord, EpochRecord, StartRecord

    run = "20260101T000000Z-00000001"
    with JournalWriter(project / "mlruns" / "journal" / f"{run}.jsonl") as journal:
        stages = ({"number": 1, "name": "Softmax", "epochs": 2, "first_epoch": 1},)
        journal.append(
            StartRecord(run=run, study="study", name="base", stages=stages, parameters={"batch_size": 8})
        )
        for epoch, value in ((1, 0.9), (2, 0.8)):
            metrics = {"loss": 3.0 - epoch, "lfw": value, "lfw_thresh": 0.2}
            journal.append(
                EpochRecord(stage=1, stage_epoch=epoch, epoch=epoch, step=epoch, metrics=metrics, seconds=1.0)
            )
        journal.append(EndRecord(status="finished"))
    code = (
        "import sys; from workbench.cli import main\n"
        "for words in (['list'], ['show', '2026'], ['list', '--json']): assert main(words) == 0\n"
        "print([m for m in ('tensorflow', 'mlflow', 'keras') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=project, check=True
    )
    lines = done.stdout.splitlines()
    assert "lfw 0.9000 @1" in done.stdout
    assert "2/2" in lines[1]
    assert lines[-1] == "[]"
    line = json.loads(lines[-2])
    assert line["status"] == "finished"
    assert line["best"]["lfw"] == {"value": 0.9, "epoch": 1, "stage": 1}
    assert line["best"]["loss"] == {"value": 1.0, "epoch": 2, "stage": 1}


@pytest.mark.parametrize(
    ("text", "seeds"), [("0,1,2", [0, 1, 2]), ("0-2", [0, 1, 2]), ("5,7-8", [5, 7, 8]), ("-1", [-1])]
)
def test_seeds_are_numbers_and_ranges(text: str, seeds: list[int]) -> None:
    from workbench.commands.run import _seeds

    assert _seeds(None, text) == seeds


def test_a_run_ends_with_its_best_value_and_what_to_do_next():
    from workbench import SGD, Digits, E, Experiment, PlainCNN, Softmax, Stage
    from workbench.commands.run import what_next
    from workbench.spec.variant import Variant

    experiment = Experiment(
        data=Digits(hold_out=0.25),
        backbone=PlainCNN(image_size=32),
        embedding=E(size=8),
        batch_size=32,
        stages=(Stage(loss=Softmax(), epochs=1),),
        optimizer=SGD(),
        learning_rate=0.1,
    )
    best = {"loss": {"value": 0.1, "epoch": 3}, "val_accuracy": {"value": 0.75, "epoch": 2}}
    text = what_next(Variant("my name", experiment, study="digits"), best)
    assert text.splitlines()[0] == "best val_accuracy 0.7500 at epoch 2"
    assert "workbench show 'digits/my name:0'; workbench plot digits; workbench table digits" in text
    quick = what_next(Variant("base", experiment, study="digits", quick=True), {})
    assert quick == "a --quick run only walks the code: leave --quick out to train"


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("AFcFac()", "AFcFac(): no part 'AFcFac'; did you mean 'ArcFace'"),
        ("Softmx", "Softmx: no part 'Softmx'; did you mean 'Softmax'"),
        ("ArcFace(margin=0.3", "cannot be read: '(' was never closed"),
        ("ArcFace(magin=0.3)", "no setting 'magin'; did you mean 'margin'?"),
    ],
)
def test_a_typo_in_a_loss_blames_the_loss(text: str, result: str, capsys):
    assert main(["losses", text]) == 2
    said = capsys.readouterr().err
    assert result in said and "--set" not in said
