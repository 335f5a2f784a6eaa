"""What comes from outside goes through `workbench/security/`: rules that find other ways."""

from __future__ import annotations

import ast
import re

import pytest
from source import files, nothing, shown, tree

SAFE = "workbench/security/"
# Each other place that may do so, and why.
COPIES = {
    "workbench/files.py": "links or copies a file that this process made",
    "workbench/train/shared_trunk.py": "a sound state of our own store, read and judged before",
}
FOREIGN = (
    r"provenance|\.tags\b|\.trunk\b|\btrunk\[|spec_path|\blandmarks\b|\bstart\.(study|name|files|parent)\b"
)
PATHS = {
    "workbench/tracking/branch_history.py": "the trunk's run, which the typed reader holds to be a name",
    "workbench/tracking/remarks.py": "the same",
    "workbench/train/shared_trunk.py": "the same",
    "workbench/train/from_record.py": "the one place that says where a record's spec file lies",
    "workbench/views/tensorboard.py": "through safe_name",
}

# Each other place of an output or opener, and why.
HOMES = {
    "csv": ("analysis/tables/render.py",),  # where cells are escaped
    # a cache with a checksum of our own; what a child of ours answers
    "load": ("workbench/data/cache.py", "workbench/verification/tflite_child.py"),
}


def calls(pattern: str, *folders: str) -> list[str]:
    """Return the calls outside of `security/` whose source matches."""
    found = []
    for path in files(*(folders or ("workbench", "analysis"))):
        if not shown(path).startswith(SAFE):
            for node in ast.walk(tree(path)):
                if isinstance(node, ast.Call) and re.search(pattern, ast.unparse(node.func)):
                    found.append(f"{shown(path, node.lineno)} {ast.unparse(node.func)}")
    return found


def test_trees_and_files_are_copied_in_one_place():
    pattern = r"shutil\.(copy\w*|move|unpack_archive)$|\.extract(all)?$|tarfile\.open$"
    nothing(
        [text for text in calls(pattern) if text.split(":")[0] not in COPIES], "copy through foreign_files"
    )


def test_a_path_of_a_records_name_is_made_in_one_place():
    found = []
    for path in files("workbench", "analysis"):
        name = shown(path)
        if name.startswith(SAFE) or name in PATHS:
            continue
        for node in ast.walk(tree(path)):
            joined = isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div) and ast.unparse(node.right)
            made = isinstance(node, ast.Call) and ast.unparse(node.func) == "Path" and ast.unparse(node)
            if re.search(FOREIGN, str(joined or made or "")):
                found.append(f"{name}:{node.lineno}")
    nothing(found, "make the path with security.foreign_names.within, or ask from_record for it")


@pytest.mark.parametrize(
    ("pattern", "place"),
    [
        (r"(^|\.)Console$", "shown.console"),
        (r"csv\.writer$", "shown.spreadsheet_cell"),
        (r"(np|numpy)\.(load|fromfile|loadtxt|genfromtxt)$", "safe_npz.load"),
        (r"ast\.get_docstring$", "safe_source.docstring"),
        (r"^yaml\.\w*load\w*$", "safe_yaml.read"),
    ],
)
def test_one_place_for_each_kind_of_output_and_opener(pattern: str, place: str):
    homes = next((known for word, known in HOMES.items() if word in pattern), ())
    nothing([text for text in calls(pattern) if not text.startswith(homes or "-")], f"use {place}")
