"""Is this file a whole image? Asked once for each file, when an index of a folder is made.

The first and last bytes answer for nearly every JPEG and PNG; where they do not, Pillow decodes the
file and its verdict holds.
"""

from __future__ import annotations

import os
import warnings

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
    if length == 0:
        return "is empty"
    if not head.startswith((*HEADS, *OTHERS)):
        return "is no image"
    ends = next((last for first, last in HEADS.items() if head.startswith(first)), None)
    if not thorough and ends is not None and tail.endswith(ends):
        return None
    return None if _decodable(path) else "is cut short or damaged"


def _decodable(path: str | bytes) -> bool:
    """Tell whether Pillow can decode the whole file (bytes after its end do no harm)."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(os.fsdecode(path)) as image:
                image.load()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return False
    return True
