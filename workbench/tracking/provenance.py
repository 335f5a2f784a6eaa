"""Where a run came from: code, packages, machine, process and environment, collected in well under a second.

Nothing here needs git to be there, a repository to exist or a package manager to start.
"""

from __future__ import annotations

import getpass
import hashlib
import os
import platform
import re
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from workbench.security.masking import mask, masked
from workbench.tracking import code, mlflow_client

NAMED_VERSIONS = (
    "tensorflow",
    "tensorflow-cpu",
    "tensorflow-addons",
    "keras",
    "tf-keras",
    "mlflow",
    "numpy",
    "workbench",
)
# Variables that can change what a training computes, or where its records go.
ENVIRONMENT = (
    "TF_",
    "XLA_",
    "OMP_",
    "MKL_",
    "KMP_",
    "CUDA_",
    "NVIDIA_",
    "NCCL_",
    "HOROVOD_",
    "KERAS_",
    "WORKBENCH_",
    "MLFLOW_",
    "PYTHONHASHSEED",
)
SET_BY_PROGRAMS = {  # where nobody else has: MLflow's by us, the others by joblib and scikit-learn
    **mlflow_client.SETTINGS,
    "KMP_INIT_AT_FORK": "FALSE",
    "KMP_DUPLICATE_LIB_OK": "True",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}


@dataclass(frozen=True)
class Provenance:
    """`facts` are short and go into the start row; `texts` (file name: content) lie beside it; `notes`
    are for the screen."""

    host: str
    process: int
    versions: dict[str, str]
    facts: dict[str, Any]
    texts: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def collect(spec_file: str | Path | None = None, project: str | Path | None = None) -> Provenance:
    """Return what can be known of this process and its code, without secrets.

    `spec_file` is the file that defines the experiment, `project` a folder in the repository where the
    spec file is in none (default: the working directory). Texts: `spec.py`, `uncommitted.diff`,
    `packages.txt`, and `untracked/...`, modules of the project that are loaded and that git does not know.
    """
    folder = Path(project) if project else Path.cwd()
    spec = Path(spec_file) if spec_file is not None and Path(spec_file).is_file() else None
    # Read from the metadata on disk: importing packages to ask for their versions would start TensorFlow.
    packages = installed_packages()
    texts = {"packages.txt": "".join(f"{name}=={version}\n" for name, version in packages.items())}
    facts: dict[str, Any] = {
        "user": _user(),
        "platform": platform.platform(),
        "processor": processor(),
        "python": platform.python_version(),
        "processors": os.cpu_count(),
        "command": masked(sys.argv),
        "folder": str(folder),
        "environment": environment(),
        "engine": engine(),
    }
    # The spec's own repository before the project's: a spec may live beside the data, in a repository of its own.
    state = code.state(spec.resolve().parent if spec else folder) or code.state(folder)
    if state is not None:
        facts.update(state.facts())
        texts.update(state.texts())
        # Named in the row as well: whether the code can be made again must be known without opening artifacts.
        facts["untracked_modules"] = sorted(
            name.removeprefix("untracked/") for name in texts if name.startswith("untracked/")
        )
    if spec is not None:
        facts["spec_file"] = str(spec_file)
        texts["spec.py"] = spec.read_text(encoding="utf-8")
    versions = {"python": platform.python_version()}
    versions.update({name: packages[name] for name in NAMED_VERSIONS if name in packages})
    # Masked here, before it is handed on: whatever a caller does with it, no secret is in it.
    clean = {name: mask(text, code=not name.endswith(".txt")) for name, text in texts.items()}
    notes = state.notes() if state is not None else ()
    return Provenance(socket.gethostname(), os.getpid(), versions, masked(facts), clean, notes)


def environment() -> dict[str, str]:
    """Return the environment variables that may change a training, the secret ones masked."""
    chosen = {name: value for name, value in os.environ.items() if name.startswith(ENVIRONMENT)}
    found: dict[str, str] = masked(dict(sorted(chosen.items())))
    return set_by_users(found)


def set_by_users(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the variables without those that the workbench or a library sets by itself once it is loaded."""
    return {name: value for name, value in variables.items() if SET_BY_PROGRAMS.get(name) != value}


def engine_folder() -> Path:
    """Return where the workbench's own files are installed."""
    return Path(__file__).resolve().parent.parent


def engine() -> str:
    """Return a digest of the workbench's own source files, wherever they are installed."""
    found = hashlib.sha256()
    root = engine_folder()
    # Sorted, with names and a separator: the digest must not depend on the file system's order, nor on where one file
    # ends and the next begins.
    for path in sorted(root.rglob("*.py")):
        found.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return found.hexdigest()[:16]


def processor() -> str:
    """Return the processor's model: the last bits of floating-point sums differ between models."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.machine())


def installed_packages() -> dict[str, str]:
    """Return the installed packages and their versions by name."""
    found: dict[str, str] = {}
    for distribution in metadata.distributions():
        name, version = name_and_version(distribution)
        if "_vendor" in Path(str(distribution.locate_file(""))).parts:
            continue  # setuptools' own copies, on the path once anything has imported pkg_resources
        if name and name not in found:  # the first on the path is the one that is imported
            found[name] = version
    return dict(sorted(found.items(), key=lambda item: item[0].lower()))


def name_and_version(distribution: metadata.Distribution) -> tuple[str, str]:
    """Return what a package calls itself, and its version.

    `metadata` parses the package's whole description as an e-mail: hundreds of packages cost a run most of a second.
    """
    text = distribution.read_text("METADATA") or distribution.read_text("PKG-INFO") or ""
    head = text.partition("\n\n")[0]
    name, version = (re.search(rf"^{field}: *(\S+)\s*$", head, re.MULTILINE) for field in ("Name", "Version"))
    if name is None or version is None:
        return distribution.metadata["Name"], distribution.version
    return name[1], version[1]


def stack_change(before: Mapping[str, str], now: Mapping[str, str]) -> str:
    """Return in words that a record is of another TensorFlow than the one here; empty for the same.

    Settings, names and states mean the same in every TensorFlow of the project; the last bits of its sums do not.
    """
    there, here = (versions.get("tensorflow") or versions.get("tensorflow-cpu") for versions in (before, now))
    if not there or not here or there == here:
        return ""
    return f"TensorFlow {there} in the record, {here} here: bits may differ"


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container whose user has no name
        return str(os.getuid())
