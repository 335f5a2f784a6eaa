"""The rules of the house (CONTRIBUTING.md, "Style"): sizes, forbidden calls, what files may hold."""

from __future__ import annotations

import ast
import functools
import re
import subprocess
from pathlib import Path

import pytest
from source import ROOT, files, nothing, shown, tree

CODE = ("workbench", "analysis", "experiments")
LONGEST_FILE, LONGEST_FUNCTION = 400, 40
LONG_ON_PURPOSE = {("workbench/train/runner.py", "run")}  # the one outline of what a run is
SPEAKING = (
    "workbench/commands/",
    "workbench/train/progress.py",
    "analysis/commands",
    "analysis/accuracies.py",
)
TOP_LEVEL = {"workbench", "analysis", "experiments", "tests", "docs", "mlruns", ".ci"}
# Python 3.11 brought them; the project runs on 3.10 too.
TOO_NEW = {"datetime.UTC", "typing.Self", "typing.assert_never", "enum.StrEnum", "asyncio.TaskGroup"}


def test_top_level_folders_are_fixed():
    folders = {path.relative_to(ROOT).parts[0] for path in files(suffix="") if path.parent != ROOT}
    assert folders <= TOP_LEVEL


def test_no_file_is_a_drawer_for_everything():
    drawers = ("utils.py", "util.py", "helpers.py", "misc.py", "common.py")
    nothing((shown(path) for path in files(*CODE) if path.name in drawers), "name a file after what it does")


# Base names that several rooms share because each has the same thing for itself; a command is named by what it does.
SHARED = {
    "base": "the base classes of a family: losses, heads",
    "layers": "the Keras layers of a family: backbones, heads, losses",
    "progress": "what a screen shows of one run (train) and of many (jobs)",
    "search": "a search over settings (sweep) and over faces (verification)",
    "published": "the published numbers as tables and as a section of a report",
}


def test_no_two_modules_share_a_base_name_without_need():
    for package in ("workbench", "analysis"):
        found: dict[str, list[str]] = {}
        for path in files(package):
            if path.parent.name != "commands" and not path.stem.startswith("__") and path.stem not in SHARED:
                found.setdefault(path.stem, []).append(shown(path))
        twins = (f"{name}: {', '.join(places)}" for name, places in found.items() if len(places) > 1)
        nothing(twins, "one name, one module; or say in SHARED why not")


def test_files_stay_short():
    sizes = {shown(path): len(path.read_text(encoding="utf-8").splitlines()) for path in files(*CODE)}
    long = [f"{name}: {size} lines" for name, size in sizes.items() if size > LONGEST_FILE]
    nothing(long, f"a file has at most {LONGEST_FILE} lines")


def test_functions_stay_short():
    long = []
    for path in files(*CODE):
        for node in ast.walk(tree(path)):
            if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                continue
            lines = code_lines(node)
            if lines > LONGEST_FUNCTION and (shown(path), node.name) not in LONG_ON_PURPOSE:
                long.append(f"{shown(path, node.lineno)} {node.name}: {lines} lines")
    nothing(long, f"a function has at most {LONGEST_FUNCTION} lines")


def code_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Count the lines of a function's work: signature (a command's options) and docstring left out."""
    documented = isinstance(node.body[0], ast.Expr) and isinstance(node.body[0].value, ast.Constant)
    work = node.body[1:] if documented else node.body
    return node.end_lineno - work[0].lineno + 1 if work else 0


def test_every_file_says_why_it_exists():
    silent = [
        shown(path) for path in files(*CODE, "tests") if tree(path).body and not ast.get_docstring(tree(path))
    ]
    nothing(silent, "a file's docstring says why it exists")


def test_public_names_have_docstrings():
    silent = []
    for path in files("workbench", "analysis"):
        for node in tree(path).body:
            public = isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_")
            if public and not ast.get_docstring(node) and not is_command(node):
                silent.append(f"{shown(path, node.lineno)} {node.name}")
    nothing(silent, "a public function or class has a docstring")


def is_command(node: ast.FunctionDef | ast.ClassDef) -> bool:
    """Tell whether a function is a click command whose help stands in its decorator."""
    return any("help=" in ast.unparse(decorator) for decorator in node.decorator_list)


def test_no_error_is_swallowed():
    found = []
    for path in files(*CODE):
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.ExceptHandler) and (node.type is None or swallows(node)):
                found.append(shown(path, node.lineno))
    nothing(found, "an error is handled or goes on; never swallowed")


def swallows(handler: ast.ExceptHandler) -> bool:
    """Tell whether a handler takes every exception and does nothing about it."""
    everything = ast.unparse(handler.type) in ("Exception", "BaseException")
    return everything and all(isinstance(node, (ast.Pass, ast.Continue)) for node in handler.body)


FORBIDDEN = {
    r"(^|[^\w])(pickle|dill|cloudpickle|joblib)[.]loads?\(": "runs whatever is inside the file",
    r"allow_pickle=True": "runs whatever is inside the file",
    r"yaml[.](load|unsafe_load|full_load)\(": "builds whatever the file names: use safe_load",
    r"(^|[^.\w])(eval|exec)\(": "runs text as code",
    r"os[.]system\(|shell=True": "runs text as a shell command",
    r"(^|[^.\w])print\(": "only commands and the screen speak",
    r"mlflow[.]\w*[.]?autolog": "loses metrics of the second fit of a run",
    r"tempfile[.]mktemp\(": "leaves a gap between name and file",
}


@pytest.mark.parametrize("pattern", FORBIDDEN, ids=lambda pattern: re.sub(r"\W+", "-", pattern))
def test_forbidden_calls(pattern: str):
    speaking = SPEAKING if "print" in pattern else ()
    found = []
    for path in files("workbench", "analysis"):
        if not shown(path).startswith(speaking or ("-",)):
            found += [shown(path, line) for line, text in calls(path) if re.search(pattern, text)]
    nothing(found, FORBIDDEN[pattern])


@functools.cache
def calls(path: Path) -> list[tuple[int, str]]:
    """Return (line, source) of every call in a file; strings and comments are none."""
    return [(node.lineno, ast.unparse(node)) for node in ast.walk(tree(path)) if isinstance(node, ast.Call)]


def test_nothing_newer_than_python_3_10():
    found = []
    for path in files(*CODE, "tests"):
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.ImportFrom) and node.module:
                names = {f"{node.module}.{alias.name}" for alias in node.names}
            elif isinstance(node, ast.Attribute):
                names = {ast.unparse(node)}
            else:
                names = {node.id} if isinstance(node, ast.Name) else set()
            if names & (TOO_NEW | {"ExceptionGroup", "BaseExceptionGroup"}):
                found.append(shown(path, node.lineno))
    nothing(found, "Python 3.10 does not have it")


# Written so that this file does not find itself.
OUTSIDE = [
    r"(?<![\w./~{}])/(work|root|opt)/[\w.]",
    r"(?<![\w./~{}])/home/(?!you|user|me)\w",
    r"/tmp/(venv|brief|bash)",
    r"pypi[.]org|pythonhosted[.]org|npmjs[.](org|com)|deb[.]debian[.]org|proxy[.]golang|conda[.]anaconda",
    r"--(extra-)?index-url|--find-links",
]


@pytest.mark.parametrize("pattern", OUTSIDE)
def test_no_machine_path_and_no_registry_address(pattern: str):
    found = []
    for path in files(suffix=""):
        text = path.read_bytes().decode("utf-8", errors="replace")
        if path != Path(__file__).resolve():
            lines = enumerate(text.splitlines(), start=1)
            found += [shown(path, number) for number, line in lines if re.search(pattern, line)]
    nothing(found, "no path of one machine and no registry address")


def test_no_large_file_is_tracked():
    large = {shown(path): path.stat().st_size for path in files(suffix="") if path.stat().st_size > 1_000_000}
    assert large == {}


def test_records_and_data_are_ignored(root: Path):
    if not (root / ".git").exists():
        pytest.skip("not a git checkout: nothing is tracked or ignored")
    ignored = ["mlruns/mlflow.db", "mlruns/journal/x.jsonl", "datasets/faces/a.png", ".venv/bin/python"]
    result = subprocess.run(["git", "check-ignore", *ignored], cwd=root, capture_output=True, text=True)
    assert result.stdout.split() == ignored
    kept = subprocess.run(["git", "check-ignore", "mlruns/README.md"], cwd=root, capture_output=True)
    assert kept.returncode == 1
