"""The index of a TensorFlow checkpoint (`variables.index`): which tensor lies in which file, at which byte.

It is a sorted table as LevelDB keeps them: blocks of entries, an index of the blocks, and a footer. TensorFlow writes
such tables, and offers no way to change where a tensor is said to lie.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from workbench.lazy import inside_tensorflow

MAGIC = 0xDB4775248B80FB57  # of a sorted table
FOOTER = 48  # bytes: two places of blocks, padded, and the magic number
TRAILER = 5  # bytes behind a block: how it is compressed, and its checksum
HEADER = b""  # the key of what holds for all files


def read(path: Path) -> tuple[Any, dict[bytes, Any]]:
    """Return the header of an index and its entries by tensor; raises `ValueError` for a file that is none."""
    data = path.read_bytes()
    if len(data) < FOOTER or struct.unpack("<Q", data[-8:])[0] != MAGIC:
        raise ValueError(f"{path} is no index of tensors")
    place = _handle(data, _handle(data, len(data) - FOOTER)[2])  # the second of the two
    rows = dict(
        row
        for _, handle in _entries(_block(data, place))
        for row in _entries(_block(data, _handle(handle, 0)))
    )
    messages = inside_tensorflow("core.protobuf.tensor_bundle_pb2")
    header = messages.BundleHeaderProto.FromString(rows.pop(HEADER))
    return header, {key: messages.BundleEntryProto.FromString(value) for key, value in rows.items()}


def write(path: Path, header: Any, entries: Mapping[bytes, Any]) -> None:
    """Write an index; it is one block, for those of networks are small."""
    rows = {HEADER: header, **entries}
    data, index = bytearray(), {}
    texts = [(key, rows[key].SerializeToString()) for key in sorted(rows)]
    index[texts[-1][0]] = _append(data, texts)
    metaindex = _append(data, [])
    footer = metaindex + _append(data, list(index.items()))
    path.write_bytes(bytes(data) + footer.ljust(FOOTER - 8, b"\0") + struct.pack("<Q", MAGIC))


def _append(data: bytearray, rows: list[tuple[bytes, bytes]]) -> bytes:
    """Append a block and return its place. No key is shortened by what it shares with the one before."""
    from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c

    block, restarts = bytearray(), []
    for key, value in rows:
        restarts.append(len(block))
        block += _varint(0) + _varint(len(key)) + _varint(len(value)) + key + value
    restarts = restarts or [0]
    block += struct.pack(f"<{len(restarts) + 1}I", *restarts, len(restarts))
    handle = _varint(len(data)) + _varint(len(block))
    plain = bytes(block) + b"\0"  # not compressed
    data += plain + struct.pack("<I", masked_crc32c(plain))
    return handle


def _block(data: bytes, place: tuple[int, int, int]) -> bytes:
    offset, size, _ = place
    if len(data) < offset + size + TRAILER or data[offset + size] != 0:
        raise ValueError("a compressed or cut block of an index")
    return data[offset : offset + size]


def _entries(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    (restarts,) = struct.unpack("<I", block[-4:])
    end, at, key = len(block) - 4 * (restarts + 1), 0, b""
    while at < end:
        shared, at = _number(block, at)
        own, at = _number(block, at)
        length, at = _number(block, at)
        key = key[:shared] + block[at : at + own]
        yield key, block[at + own : at + own + length]
        at += own + length


def _handle(data: bytes, at: int) -> tuple[int, int, int]:
    """Return offset and size of a block as they stand at a place, and the place behind them."""
    offset, at = _number(data, at)
    size, at = _number(data, at)
    return offset, size, at


def _number(data: bytes, at: int) -> tuple[int, int]:
    """Return a number of seven bits a byte, and the place behind it."""
    value = shift = 0
    while True:
        value |= (data[at] & 0x7F) << shift
        if data[at] < 0x80:
            return value, at + 1
        at, shift = at + 1, shift + 7


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])
