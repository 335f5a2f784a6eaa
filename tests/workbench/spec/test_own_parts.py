"""A user's own parts: never swapped for another class, never averaged with another source."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

import pytest

from workbench.errors import SpecError
from workbench.spec.load import load_module, load_variants
from workbench.spec.part import REGISTRY, OtherCode, from_json

SPEC = '''
"""Does an own loss help?"""
{imports}
from workbench import GDC, SGD, Experiment, MobileFaceNet, Softmax, Stage, SyntheticFaces
from workbench.spec.interfaces import Loss
from workbench.spec.part import part, setting

{before}

{decorator}
class {name}(Loss):
    """An own loss."""

    strength: float = setting(0.5, doc="how strong")

    def classifier(self):
        return Softmax().classifier()

    def layer(self, classes, size, batch_size, teacher=None):
        """Return the layer."""
        {body}

{after}

experiment = Experiment(
    data=SyntheticFaces(identities=4, images=4), backbone=MobileFaceNet(image_size=32, width=0.25),
    embedding=GDC(size=8), stages=Stage(loss={name}(), epochs=1), optimizer=SGD(), learning_rate=0.1, batch_size=4,
)
'''


def write(folder: Path, file: str = "study.py", **words: str) -> Path:
    given = {
        "imports": "",
        "before": "",
        "after": "",
        "name": "Mine",
        "decorator": "@part",
        "body": "return Softmax().layer(classes, size, batch_size)",
    }
    path = folder / file
    path.write_text(textwrap.dedent(SPEC.format(**{**given, **words})))
    return path


def identity(path: Path) -> str:
    found: str = load_variants(path)[0].experiment.id
    return found


@pytest.fixture(autouse=True)
def _forgets() -> None:
    """Let no class of one test be known in the next."""
    yield
    for name in [name for name, cls in REGISTRY.items() if cls.__module__.startswith("workbench_spec_")]:
        sys.modules.pop(REGISTRY.pop(name).__module__, None)


@pytest.mark.parametrize("name", ["ArcFace", "Stage", "Sum", "Loss"])
def test_the_name_of_a_built_in_is_refused_where_a_part_is_defined(tmp_path: Path, name: str) -> None:
    with pytest.raises(
        SpecError, match=rf"the name {name} is taken by the workbench's own part.*such as My{name}"
    ) as error:
        load_variants(write(tmp_path, name=name))
    assert "study.py, line" in str(error.value) and "\n" not in str(error.value)


def test_the_name_of_another_part_is_refused_in_one_file_and_in_two(tmp_path: Path) -> None:
    again = "class Mine(Loss):\n    other: float = setting(1.0)\n"
    with pytest.raises(SpecError, match=r"the name Mine is taken by another part, in .*study.py, line"):
        load_variants(write(tmp_path, after=again))
    load_variants(write(tmp_path, "first.py", name="Yours"))
    load_variants(write(tmp_path, "copy.py", name="Yours"))  # a copy is the same part
    with pytest.raises(SpecError, match="the name Yours is taken by another part, in .*copy.py"):
        load_variants(write(tmp_path, "second.py", name="Yours", body="return None"))


def test_a_file_loaded_again_defines_its_parts_anew(tmp_path: Path) -> None:
    first = load_variants(write(tmp_path))[0].experiment
    changed = load_variants(write(tmp_path, body="return None"))[0].experiment
    assert type(first.stages[0].loss) is not type(changed.stages[0].loss)


def test_a_record_says_where_a_part_stood_and_what_its_source_was(tmp_path: Path) -> None:
    experiment = load_variants(write(tmp_path))[0].experiment
    kept = experiment.to_json()["stages"][0]["loss"]
    assert kept["part"] == "Mine" and kept["class"] == "workbench_spec_study:Mine" and len(kept["code"]) == 12
    assert experiment.parameters()["stages.1.loss.code"] == kept["code"]
    assert "class" not in experiment.to_json()["backbone"]
    assert from_json(experiment.to_json()) == experiment


def test_a_part_with_another_source_is_not_taken_for_the_recorded_one(tmp_path: Path) -> None:
    kept = load_variants(write(tmp_path))[0].experiment.to_json()
    load_module(write(tmp_path, body="return None"))
    with pytest.raises(OtherCode, match="its part Mine has the source"):
        from_json(kept)
    kept["stages"][0]["loss"]["part"] = "Softmax"
    with pytest.raises(OtherCode, match="its part Softmax was workbench_spec_study:Mine"):
        from_json(kept)


HELP = {"before": "def scale(x):\n    return 2 * x\n\nFACTOR = 3.0\n", "body": "return scale(FACTOR)"}


@pytest.mark.parametrize(
    "changed",
    [
        {"body": "return scale(FACTOR + 1)"},
        {"before": "def scale(x):\n    return 3 * x\n\nFACTOR = 3.0\n"},
        {"before": "def scale(x):\n    return 2 * x\n\nFACTOR = 4.0\n"},
        {"before": "def half(x):\n    return x\n\ndef scale(x):\n    return half(2 * x)\n\nFACTOR = 3.0\n"},
    ],
)
def test_a_change_of_what_a_part_does_or_uses_is_another_identity(tmp_path: Path, changed: dict) -> None:
    assert identity(write(tmp_path, **HELP)) != identity(write(tmp_path, **{**HELP, **changed}))


@pytest.mark.parametrize(
    "changed",
    [
        {"body": "return scale(FACTOR)  # a remark"},
        {"after": "def unused():\n    return 1\n"},
        {"before": '# said\ndef scale(x):\n    """Say it."""\n    return 2 * x\n\n\n\nFACTOR = 3.0\n'},
    ],
)
def test_remarks_and_what_a_part_does_not_use_are_no_part_of_its_identity(
    tmp_path: Path, changed: dict
) -> None:
    assert identity(write(tmp_path, **HELP)) == identity(write(tmp_path, **{**HELP, **changed}))


def test_a_module_of_the_project_that_a_part_uses_counts_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    found = []
    for text in (
        "def f(x):\n    return g(x)\n\ndef g(x):\n    return x\n",
        "def f(x):\n    return g(x)\n\ndef g(x):\n    return -x\n",
    ):
        (tmp_path / "own_helpers.py").write_text(text)
        for line, body in (
            ("import own_helpers", "return own_helpers.f(1)"),
            ("from own_helpers import f", "return f(1)"),
        ):
            sys.modules.pop("own_helpers", None)
            found.append(identity(write(tmp_path, imports=line, body=body)))
    assert len(set(found)) == 4  # `f` and `own_helpers.f` are two texts, each with two meanings
    sys.modules.pop("own_helpers", None)


def test_an_edit_after_the_file_was_loaded_is_not_what_runs(tmp_path: Path) -> None:
    path = write(tmp_path)
    experiment = load_variants(path)[0].experiment
    write(tmp_path, body="return None")
    before = experiment.id
    write(tmp_path)
    assert before == identity(path)


def test_a_subclass_without_the_decorator_is_a_part(tmp_path: Path) -> None:
    experiment = load_variants(write(tmp_path, decorator=""))[0].experiment
    loss = experiment.stages[0].loss
    assert loss.strength == 0.5 and from_json(experiment.to_json()) == experiment
    with pytest.raises(SpecError, match="no setting 'strenght'"):
        type(loss)(strenght=1.0)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("    def __init__(self, strength):\n        self.strength = strength", "defines __init__"),
        ("    free = setting(0.5)", "its setting 'free' has no type"),
        ("    code: str = setting('a')", "cannot be called 'code'"),
    ],
)
def test_settings_that_would_be_lost_are_refused(tmp_path: Path, line: str, words: str) -> None:
    after = f"class Other(Mine):\n{line}\n"
    with pytest.raises(SpecError, match=words):
        load_variants(write(tmp_path, after=after))


def test_a_default_given_anew_without_its_type_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="its setting 'strength' has no type"):
        load_variants(write(tmp_path, after="class Other(Mine):\n    strength = 0.9\n"))


def test_all_that_own_parts_are_made_of_comes_from_workbench_itself() -> None:
    import workbench

    for name in workbench.WHERE:
        assert getattr(workbench, name) is not None
    assert callable(workbench.sweep) and "tf" in dir(workbench)


def test_the_identity_of_a_part_that_names_tensorflow_does_not_import_it(tmp_path: Path, root: Path) -> None:
    import subprocess

    path = write(tmp_path, imports="from workbench import tf", body="return tf.zeros(())")
    code = "import sys; from workbench.spec.load import load_variants; load_variants(sys.argv[1])[0].experiment.id; "
    done = subprocess.run(
        [sys.executable, "-c", code + "print('tensorflow' in sys.modules)", str(path)],
        cwd=root,
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == "False", done.stderr
