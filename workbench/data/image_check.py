"""Is this file a whole image? Asked once for each file, when an index of a folder is made.

The first and last bytes answer for nearly every JPEG and PNG; where they do not, Pillow decodes the
file and its verdict holds.
"""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Callable

HEADS = {b"\xff\xd8\xff": b"\xff\xd9", b"\x89PNG\r\n\x1a\n": b"IEND\xaeB`\x82"}  # first and last bytes
OTHERS = (b"BM", b"GIF87a", b"GIF89a")
ENDINGS = (".jpg", ".jpeg", ".jpe", ".png", ".bmp", ".gif")
FOREIGN = (".webp", ".tif", ".tiff", ".pgm", ".ppm", ".heic", ".avif", ".jp2")  # no decoder in TensorFlow


def fault(path: str | bytes, thorough: bool = False) -> str | None:
    """Return what is wrong with an image file, in words, or None; `thorough` decodes every one."""
    try:
        with open(path, "rb") as file:
            head = file.read(8)
            length = file.seek(0, os.SEEK_END)
            file.seek(max(0, length - 8))
            tail = file.read(8)
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    return _verdict(head, tail, length, thorough, lambda: _decodable(os.fsdecode(path)))


def fault_of(content: bytes) -> str | None:
    """Return what is wrong with the bytes of an image, in words, or None."""
    return _verdict(content[:8], content[-8:], len(content), False, lambda: _decodable(io.BytesIO(content)))


def _verdict(
    head: bytes, tail: bytes, length: int, thorough: bool, decodable: Callable[[], bool]
) -> str | None:
    if length == 0:
        return "is empty"
    if not head.startswith((*HEADS, *OTHERS)):
        return "is not an image"
    ends = next((last for first, last in HEADS.items() if head.startswith(first)), None)
    if not thorough and ends is not None and tail.endswith(ends):
        return None
    return None if decodable() else "is cut short or damaged"


def _decodable(file: str | io.BytesIO) -> bool:
    """Tell whether Pillow can decode a whole image (bytes after its end do no harm)."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(file) as image:
                image.load()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return False
    return True
