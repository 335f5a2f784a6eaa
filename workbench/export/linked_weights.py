"""A SavedModel's weights where they lie already: in the checkpoint that they came from, under a second name.

A SavedModel says of each weight in which of its files, and at which byte, its numbers begin. A checkpoint of a run is
one file with the same numbers in the same form. So it becomes one of the model's files, as a hard link, and the index
points into it: TensorFlow reads such a model as any other, and the disk holds the weights once.

Checkpoints are never changed in place (they are written aside and renamed), so the link keeps what it was made of.
"""

from __future__ import annotations

import json
import mmap
import os
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workbench.export import tensor_index
from workbench.files import replacing_folder
from workbench.lazy import tf

VARIABLES, INDEX = "variables", "variables.index"
OWN, LINKED = "variables.data-00000-of-00002", "variables.data-00001-of-00002"
# A checkpoint holds optimizer and head, too, and goes wherever the model is sent. Beside a head of many identities a
# copy of the network is cheap on disk, and the model stays small.
LEAST = 0.1


def link(model: Path, checkpoint: Path) -> bool:
    """Make `checkpoint` the file that holds the weights of the SavedModel `model`; tell whether that was done.

    It is not done, and the model left as it is, where the file system has no hard links, where the two lie on
    different ones, where a weight is not in the checkpoint, or where the weights are less than a tenth of it.
    """
    before = model / VARIABLES
    header, entries = tensor_index.read(before / INDEX)
    data = (before / "variables.data-00000-of-00001").read_bytes() if header.num_shards == 1 else b""
    places = _places(checkpoint, data, entries)
    shared = sum(entries[key].size for key in places)
    if not places or shared < LEAST * checkpoint.stat().st_size:
        return False
    try:
        with replacing_folder(before) as aside:
            aside.mkdir()
            os.link(checkpoint, aside / LINKED)
            _write(aside, header, entries, data, places)
            # Safetensors makes files for their owner alone; whoever may read the store may read its models.
            (aside / LINKED).chmod((aside / INDEX).stat().st_mode)
            _read_all(aside)
    except OSError:  # no links here
        return False
    # It is that of the index before; TensorFlow does without.
    (model / "fingerprint.pb").unlink(missing_ok=True)
    return True


def _places(checkpoint: Path, data: bytes, entries: Mapping[bytes, Any]) -> dict[bytes, int]:
    """Return the byte of the checkpoint at which each tensor begins; none where one of the weights is not in it."""
    found, numbers = {}, [key for key, entry in entries.items() if entry.dtype != tf.string.as_datatype_enum]
    with checkpoint.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        length = 8 + int.from_bytes(content[:8], "little")
        tensors = json.loads(content[8:length])
        by_size: dict[int, list[int]] = defaultdict(list)
        for name, facts in tensors.items():
            if name != "__metadata__":
                first, last = facts["data_offsets"]
                by_size[last - first].append(length + first)
        for key in numbers:
            entry = entries[key]
            own = data[entry.offset : entry.offset + entry.size]
            at = next((at for at in by_size[entry.size] if content[at : at + entry.size] == own), None)
            if at is None:
                return {}
            found[key] = at
    return found


def _write(
    folder: Path, header: Any, entries: Mapping[bytes, Any], data: bytes, places: Mapping[bytes, int]
) -> None:
    """Write the index that points into the linked file, and what is left beside it: the names of the variables."""
    own = bytearray()
    header.num_shards = 2
    for key, entry in entries.items():
        if key in places:
            entry.shard_id, entry.offset = 1, places[key]
        else:
            start = entry.offset
            entry.offset = len(own)
            own += data[start : start + entry.size]
    (folder / OWN).write_bytes(own)
    tensor_index.write(folder / INDEX, header, entries)


def _read_all(folder: Path) -> None:
    """Let TensorFlow read every tensor, which compares it with its checksum; raises its error where one differs."""
    reader = tf.train.load_checkpoint(str(folder / VARIABLES))
    for name in reader.get_variable_to_shape_map():
        reader.get_tensor(name)
