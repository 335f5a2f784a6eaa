"""pyproject.toml, constraints.txt and the Makefile agree with each other and with the imports."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from source import ROOT, files, imports, nothing, shown

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
BOUND = r"python_version (?:<|>=) '3\.1[123]'"
PIN = re.compile(rf"^([a-z0-9][a-z0-9._-]*)==([\w.!+]+)(?:; ({BOUND}(?: and {BOUND})?))?$", re.IGNORECASE)
PYTHONS = ("3.10", "3.11", "3.12", "3.13")
# Modules whose package has another name.
PACKAGES = {
    "sklearn": "scikit-learn",
    "PIL": "pillow",
    "yaml": "pyyaml",
    "google": "protobuf",
    "keras": "tensorflow",
    "pkg_resources": "setuptools",
    "grpc": "grpcio",
    "faiss": "faiss-cpu",
    "psycopg2": "psycopg2-binary",
    "tomllib": "tomli",  # of the standard library from Python 3.11 on
}
OPTIONAL = {  # imported inside functions only; the extra that brings them
    "faiss": "ann",
    "onnx": "onnx",
    "tf2onnx": "onnx",
    "onnxruntime": "onnx",
    "ray": "ray",
    "horovod": "horovod",
    "psycopg2": "postgres",
    "boto3": "s3",
    "botocore": "s3",
}


def plain(name: str) -> str:
    """Return a package name as registries compare them."""
    return re.sub(r"[-_.]+", "-", name).lower()


def requirements(*extras: str, python: str | None = None) -> dict[str, Requirement]:
    """Return the declared requirements, those of `extras` with them, by plain name; of one Python or all."""
    lines = [
        *PROJECT["dependencies"],
        *(line for extra in extras for line in PROJECT["optional-dependencies"][extra]),
    ]
    found = [Requirement(line) for line in lines]
    return {plain(one.name): one for one in found if python is None or applies(one.marker, python)}


def applies(marker: Marker | None, python: str) -> bool:
    """Tell whether a line with this marker is for `python`."""
    return marker is None or marker.evaluate({"python_version": python})


def pins(python: str) -> list[tuple[str, str]]:
    """Return (name, version) of each line of constraints.txt that is for `python`."""
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    matches = {line: PIN.match(line) for line in lines}
    nothing((line for line, match in matches.items() if not match), "constraints.txt holds versions only")
    return [
        (plain(match[1]), match[2])
        for match in matches.values()
        if match and applies(Marker(match[3]) if match[3] else None, python)
    ]


@pytest.mark.parametrize("python", PYTHONS)
def test_every_requirement_is_pinned_within_its_range(python):
    pinned = pins(python)
    wrong = []
    for name, requirement in requirements(*PROJECT["optional-dependencies"], python=python).items():
        versions = [version for pin, version in pinned if pin == name]
        if name != "workbench" and not versions:
            wrong.append(f"{name} has no pin")
        wrong += [
            f"{name} {v} is outside {requirement.specifier}"
            for v in versions
            if v not in requirement.specifier
        ]
    nothing(wrong, "run `make pins`")


@pytest.mark.parametrize("python", PYTHONS)
def test_each_package_has_one_pin_a_python(python):
    names = [name for name, _ in pins(python)]
    nothing(sorted({name for name in names if names.count(name) > 1}), f"pinned twice for Python {python}")


@pytest.mark.parametrize("python", PYTHONS)
def test_only_one_tensorflow_is_ever_installed(python):
    declared = requirements(*PROJECT["optional-dependencies"], python=python)
    names = {name for name, _ in pins(python)} | set(declared)
    assert "tensorflow" in names
    assert not names & {"tensorflow-cpu", "tensorflow-gpu", "tf-nightly", "intel-tensorflow"}
    assert "and-cuda" in requirements("gpu", python=python)["tensorflow"].extras


@pytest.mark.parametrize("python", PYTHONS)
def test_each_python_has_one_of_the_two_stacks(python):
    versions = dict(pins(python))
    old = python in ("3.10", "3.11")
    assert versions["tensorflow"].startswith("2.15." if old else "2.21.")
    assert ("tensorflow-addons" in versions, "tf-keras" in versions) == (old, not old)
    assert versions["keras"].startswith("2." if old else "3.")
    inside = python in SpecifierSet(PROJECT["requires-python"])
    assert inside and "3.14" not in SpecifierSet(PROJECT["requires-python"])


def test_what_is_imported_is_declared():
    declared = set(requirements())
    folders = ("workbench", "analysis", "experiments")
    ours = {*folders, *(path.stem for path in files("experiments"))}  # a spec imports its siblings
    wrong = []
    for path in files(*folders):
        for name, line in imports(path):
            top = name.split(".")[0]
            if top in ours | set(OPTIONAL) | set(sys.stdlib_module_names):
                continue
            if plain(PACKAGES.get(top, top)) not in declared:
                wrong.append(f"{shown(path, line)} {top}")
    nothing(sorted(set(wrong)), "pyproject.toml does not declare it")


# Declared though no module of ours imports them, and why.
NEEDED_BY_OTHERS = {
    "psutil": "MLflow's monitors of processor and memory",
    "setuptools": "TensorBoard 2.15 imports pkg_resources",
}


def test_what_is_declared_is_imported():
    """A dependency that nothing imports any more only costs: every one is imported, or needed by another package."""
    used = {
        plain(PACKAGES.get(name.split(".")[0], name.split(".")[0]))
        for path in files("workbench", "analysis", "experiments")
        for name, _ in imports(path)
    }
    lazily = re.compile(r"(?:Lazy|import_module|find_spec|version)\(\"([a-z_0-9]+)")
    for path in files("workbench", "analysis"):
        used |= {plain(PACKAGES.get(name, name)) for name in lazily.findall(path.read_text(encoding="utf-8"))}
    nothing(
        sorted(set(requirements(*set(OPTIONAL.values()))) - used - set(NEEDED_BY_OTHERS)),
        "pyproject.toml declares what nothing imports",
    )


def test_optional_packages_are_never_needed_to_import_a_module():
    wrong = [
        f"{shown(path, line)} {name}"
        for path in files("workbench", "analysis")
        for name, line in imports(path, top_level=True)
        if name.split(".")[0] in OPTIONAL
    ]
    nothing(wrong, "import it inside the function that needs it")
    assert set(OPTIONAL.values()) <= set(PROJECT["optional-dependencies"])


def test_every_folder_of_tests_is_run(root: Path):
    settings = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["pytest"][
        "ini_options"
    ]
    on_demand = {"tests/acceptance", "tests/benchmarks", "tests/tools"}
    with_tests = {
        "/".join(path.relative_to(root).parts[:2]) for path in files("tests") if path.name.startswith("test_")
    }
    assert with_tests - on_demand <= set(settings["testpaths"])


def make(folder: Path, *words: str, path: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run make in `folder`, if it is here; `path` replaces PATH."""
    program = shutil.which("make")
    if program is None:
        pytest.skip("no make on this machine")
    environment = {"PATH": path or "/usr/bin:/bin", "HOME": str(folder), "LC_ALL": "C"}
    return subprocess.run([program, *words], cwd=folder, capture_output=True, text=True, env=environment)


def test_make_help_lists_every_chore(root: Path):
    result = make(root, "help").stdout
    chores = [
        "help",
        "demo",
        "test",
        "fast",
        "lint",
        "types",
        "imports",
        "docs",
        "site",
        "bench",
        "check",
        "acceptance",
        "stack",
        "gpu",
        "pins",
        "wheels",
    ]
    assert [chore for chore in chores if f"make {chore} " not in result] == []


def test_an_unsuitable_python_is_refused_in_one_line(tmp_path: Path, root: Path):
    shutil.copy(root / "Makefile", tmp_path)
    old = tmp_path / "python2.7"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    done = make(tmp_path, "demo", f"PYTHON={old}")
    assert done.returncode == 2
    ours = [line for line in done.stderr.splitlines() if not line.startswith("make:")]
    assert len(ours) == 1
    assert ours[0].startswith(f"error: {old} is not a working 64-bit Python 3.10, 3.11, 3.12 or 3.13")
    assert "PYTHON=" in ours[0]
    assert not (tmp_path / ".venv").exists()


def test_interpreters_are_tried_in_order_and_behind_the_shims_of_pyenv(tmp_path: Path, root: Path):
    shutil.copy(root / "Makefile", tmp_path)
    shims, tried = tmp_path / "shims", tmp_path / "tried"
    places = [shims / f"python3.{v}" for v in range(9, 14)]
    places += [shims / "python3", shims / "python", tmp_path / "pyenv/versions/3.13.0/bin/python3.13"]
    for place in places:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(f"#!/bin/sh\necho {place} >> {tried}\nexit 1\n")
        place.chmod(0o755)
    path = f"{shims}:/usr/bin:/bin"
    make(tmp_path, "demo", f"PYENV_ROOT={tmp_path}/pyenv", "PYTHON=python3.13", path=path)
    assert tried.read_text().split() == [f"{shims}/python3.13", str(places[-1])]
    tried.unlink()
    done = make(tmp_path, "demo", "-n", f"PYENV_ROOT={tmp_path}/pyenv", path=path)
    found = [re.search(rf"python3\.{v}\b", done.stdout).start() for v in (11, 10, 12, 13)]
    assert found == sorted(found)
