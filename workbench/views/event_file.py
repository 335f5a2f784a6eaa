"""Event files as TensorBoard reads them, written without TensorFlow.

Only TensorBoard's own message classes and its record framing are used: one event holds all scalars
of an epoch. Files are named so that a later one sorts after an earlier one of the same folder.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

MARK = "tfevents"
_NUMBER = itertools.count()


class EventFile:
    """One event file, open for appending; every `flush` hands all that was added to the system."""

    def __init__(self, folder: Path, *, aside: bool = False) -> None:
        """Open a new file in `folder`; `aside` gives it a name that TensorBoard passes over."""
        from tensorboard.compat.proto import event_pb2
        from tensorboard.summary.writer.record_writer import RecordWriter

        folder.mkdir(parents=True, exist_ok=True)
        # Padded, for TensorBoard reads files in the order of their names; process and number, for two of one moment.
        name = f"events.out.{MARK}.{time.time():017.6f}.{os.getpid()}.{next(_NUMBER)}.workbench"
        self.path = folder / (f".aside-{name}".replace(MARK, "new") if aside else name)
        self._final = folder / name
        self._file = self.path.open("wb")
        self._records = RecordWriter(self._file)
        self._event = event_pb2.Event
        self._add(self._event(wall_time=time.time(), file_version="brain.Event:2"))

    def scalars(self, values: Mapping[str, float], step: int, moment: float) -> None:
        """Add `values` at `step`, recorded at `moment` (seconds since 1970)."""
        event = self._event(wall_time=moment, step=step)
        for tag, value in values.items():
            event.summary.value.add(tag=tag, simple_value=value)
        self._add(event)

    def image(self, tag: str, png: bytes, size: tuple[int, int], step: int, moment: float) -> None:
        """Add a PNG of `size` (width, height) in colour."""
        event = self._event(wall_time=moment, step=step)
        image = event.summary.value.add(tag=tag).image
        image.width, image.height, image.colorspace, image.encoded_image_string = *size, 3, png
        self._add(event)

    def plugin(self, tag: str, metadata: Any, tensor: Any, moment: float) -> None:
        """Add a summary whose content is in its plugin's metadata."""
        event = self._event(wall_time=moment)
        value = event.summary.value.add(tag=tag, tensor=tensor)
        value.metadata.CopyFrom(metadata)
        self._add(event)

    def flush(self) -> None:
        self._file.flush()

    def publish(self) -> None:
        """Give a file that was made aside its real name, and remove the folder's other event files."""
        self.flush()
        # The new file first: a reader that looks in between finds values twice, but never none.
        self.path.rename(self._final)
        self.path = self._final
        for path in self.path.parent.glob("*events.out.*.workbench"):  # not those of folders below
            if path != self.path:
                path.unlink(missing_ok=True)

    def close(self) -> None:
        self._file.close()

    def _add(self, event: Any) -> None:
        self._records.write(event.SerializeToString())
