"""What every test has: real data where it lies, a project of its own, bounded threads and memory.

The environment is set before anything imports TensorFlow: two test processes on two cores must not
start four times two threads each.
"""

from __future__ import annotations

import atexit
import gc
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

ROOT = Path(__file__).resolve().parent.parent
# Test files may share a name (import mode importlib); what they share lies beside them as a module.
for _folder in sorted({_path.parent for _path in (ROOT / "tests").rglob("*.py")}):
    sys.path.insert(0, str(_folder))  # before installed packages, of which one is called `material` too
_CORES = "1" if "PYTEST_XDIST_WORKER" in os.environ else "2"
for _name, _value in {
    "OMP_NUM_THREADS": _CORES,
    "TF_NUM_INTRAOP_THREADS": _CORES,
    "TF_NUM_INTEROP_THREADS": "1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "MALLOC_ARENA_MAX": "2",
    "MPLBACKEND": "Agg",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}.items():
    os.environ.setdefault(_name, _value)

if "WORKBENCH_TEST_SCHEMA" not in os.environ:  # the first process of a session makes the folder for all
    os.environ["WORKBENCH_TEST_SCHEMA"] = tempfile.mkdtemp(prefix="schema-")
    atexit.register(shutil.rmtree, os.environ["WORKBENCH_TEST_SCHEMA"], ignore_errors=True)

# A shell without job control starts what runs behind it deaf to Ctrl-C, and children inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

import ready_schema  # noqa: E402

import workbench  # noqa: E402, F401 (it chooses Keras, before a test file imports TensorFlow by itself)

ready_schema.share()
# Tracing makes and drops objects by the hundred thousand: Python would look for cycles thousands of times.
gc.set_threshold(50_000, 20, 20)

# The same examples everywhere, and no failure because the machine was busy.
hypothesis.settings.register_profile(
    "house", derandomize=True, deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("house")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave files aside, unread, of which the half of the tests that is asked for has none: some import TensorFlow."""
    if collection_path.suffix != ".py":
        return None
    chosen, text = config.option.markexpr, collection_path.read_text(encoding="utf-8")
    if chosen == "not tensorflow" and "\npytestmark = pytest.mark.tensorflow\n" in text:
        return True
    return True if chosen == "tensorflow" and "pytest.mark.tensorflow" not in text else None


def pytest_collection_finish() -> None:
    """Leave what collecting made out of every later search for cycles: with thousands of tests, each took a second."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def root() -> Path:
    """The folder of the checkout that is tested."""
    return ROOT


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real inputs (ORL faces, old histories and logs); skips where it is absent."""
    folder = Path(os.environ.get("WORKBENCH_TEST_DATA") or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}: set WORKBENCH_TEST_DATA to the folder that holds orl_faces")
    return folder


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the user's own store and data out of every test."""
    for name in ("WORKBENCH_STORE", "WORKBENCH_DATA"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def _own_directions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what the records of one test say of their metrics out of every other: it lives as long as the process."""
    monkeypatch.setattr("workbench.names._recorded", {})


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project that is also the working folder: its records never meet those of the checkout."""
    folder = tmp_path / "project"
    (folder / "experiments").mkdir(parents=True)
    (folder / "mlruns").mkdir()
    (folder / "pyproject.toml").write_text('[project]\nname = "scratch"\n')
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture(autouse=True, scope="module")
def _bounded_memory(request: pytest.FixtureRequest) -> Iterator[None]:
    """Give back, after each file of the half that makes models, what Keras keeps of them."""
    yield
    # A search for cycles takes a second with TensorFlow loaded, so quick tests, which make no models, are spared it;
    # what outlives a file is left out of the search after the next one.
    if "tensorflow" in sys.modules and request.config.option.markexpr != "not tensorflow":
        sys.modules["tensorflow"].keras.backend.clear_session()
        gc.collect()
        gc.freeze()
