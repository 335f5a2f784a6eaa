"""Imports go one way, and what a person waits for imports nothing heavy."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from source import ROOT, files, imports, module_name, nothing, shown

HEAVY = ("tensorflow", "keras", "tensorflow_addons", "keras_tuner", "mlflow", "tensorboard")
# The parts of the engine that are free of TensorFlow and MLflow and made for analysis to use.
OPEN_TO_ANALYSIS = (
    "workbench.names",
    "workbench.security.visible_text",  # what records hold is shown as text
    "workbench.security.foreign_names",  # and names from outside are what they may be
    "workbench.errors",
    "workbench.files",
    "workbench.lazy",
    "workbench.commands.direction_options",  # `--lower` and `--higher`, the same in every command
    "workbench.commands.common_options",  # `--store` and `--debug`
    "workbench.commands.completers",  # what a shell is offered, the same in every command
    "workbench.spec",  # what a researcher writes: free of TensorFlow as a whole
    "workbench.optimizers.schedules",
    "workbench.tracking.rows",
    "workbench.tracking.journal",
    "workbench.tracking.store",
    "workbench.tracking.runs",
    "workbench.tracking.sweeps",
    "workbench.tracking.credentials",
    "workbench.security.safe_yaml",  # the same of YAML
    "workbench.security.safe_pickle",  # a pickled history, as any file of someone else
    "workbench.security.safe_json",
    "workbench.security.safe_source",  # the docstring of a spec kept with a record
    "workbench.security.foreign_files",  # regular files only: a pipe in the place of a log blocks nobody
    "workbench.tracking.pair_scores",
    "workbench.verification.folds",  # thresholds of one fold from the others
    "workbench.verification.measures",  # the exact measures and the order they are read off: NumPy alone
    "workbench.verification.sorted_scores",
    "workbench.tracking.tracker",  # `workbench import` records old runs as any run is recorded
    "workbench.views",  # its `default_views`, which imports MLflow when it is called
)

PROBE = """
import importlib, importlib.util, json, os, sys
heavy, targets = json.loads(sys.stdin.read())
brought = {}
for target in targets:
    if target.endswith(".py"):
        sys.path.insert(0, os.path.dirname(target))  # a spec imports its siblings
        spec = importlib.util.spec_from_file_location("spec_" + str(len(brought)), target)
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
    elif ":" in target:
        module, name = target.split(":")
        getattr(importlib.import_module(module), name)
    else:
        importlib.import_module(target)
    found = [name for name in heavy if name in sys.modules]
    if found:
        brought[target] = found
        break
print(json.dumps(brought))
"""


def heavy_imports(targets: list[str]) -> dict[str, list[str]]:
    """Return {first target: heavy modules} that importing `targets`, one after another, brings in."""
    done = subprocess.run(
        [sys.executable, "-c", PROBE],
        input=json.dumps([HEAVY, targets]),
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_the_probe_sees_a_heavy_import(tmp_path: Path):
    (tmp_path / "heavy.py").write_text(
        "import sys, types\nsys.modules['tensorflow'] = types.ModuleType('x')\n"
    )
    assert heavy_imports([str(tmp_path / "heavy.py")]) == {str(tmp_path / "heavy.py"): ["tensorflow"]}


def test_a_spec_needs_nothing_heavy():
    import workbench

    specs = [str(path) for path in files("experiments")]
    parts = [f"workbench:{name}" for name in workbench.PARTS]
    assert heavy_imports(["workbench", *parts, "workbench.cli", *specs]) == {}


def test_analysis_needs_nothing_heavy():
    modules = [module_name(path) for path in files("analysis") if path.name != "__main__.py"]
    assert heavy_imports(modules) == {}


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["list"]], ids=" ".join)
def test_the_program_starts_light(arguments: list[str], project: Path):
    code = (
        "import sys; from workbench.cli import main; status = main(sys.argv[1:]); "
        f"print([n for n in {HEAVY!r} if n in sys.modules], file=sys.stderr); sys.exit(status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode in (0, 2), done.stderr  # 2: there is no run to list
    assert done.stderr.splitlines()[-1] == "[]"


def test_layers_of_the_engine():
    """The contracts of pyproject.toml, by import-linter."""
    pytest.importorskip("importlinter", reason="import-linter comes with the extra `test`")
    # In a child: import-linter's settings of logging switch off the loggers that there are, for all tests after it.
    code = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and "Contracts:" in done.stdout, done.stdout + done.stderr


def test_the_engine_imports_neither_analysis_nor_experiments():
    nothing(
        imported("workbench", lambda name: name.startswith(("analysis", "experiments", "tests"))),
        "imports go one way",
    )


def test_specs_import_the_engine_only():
    nothing(
        imported("experiments", lambda name: name.startswith(("analysis", "tests"))), "imports go one way"
    )


def test_analysis_imports_only_what_is_open_to_it():
    def closed(name: str) -> bool:
        if name == "workbench" or not name.startswith("workbench."):
            return False
        open_to_it = any(name == module or name.startswith(module + ".") for module in OPEN_TO_ANALYSIS)
        return not open_to_it and name != "workbench.tracking" and name.split(".")[1].islower()

    nothing(imported("analysis", closed), "imports go one way")


def imported(folder: str, wrong) -> list[str]:
    """Return the imports in a folder, functions included, for which `wrong(name)` holds."""
    return [
        f"{shown(path, line)} {name}" for path in files(folder) for name, line in imports(path) if wrong(name)
    ]


def test_tensorflow_is_imported_in_one_place():
    """`workbench/lazy.py` chooses Keras; an import beside it could take the other one, and costs a start."""
    wrong = [
        f"{shown(path, line)} {name}"
        for path in files("workbench", "analysis", "experiments")
        for name, line in imports(path)
        if name.split(".")[0] in ("tensorflow", "keras", "tf_keras", "tensorflow_addons")
        and path != ROOT / "workbench" / "lazy.py"
    ]
    nothing(wrong, "take `from workbench.lazy import tf`")
