"""The safe reader takes what the field's `.bin` files hold and refuses the rest without running it."""

from __future__ import annotations

import collections
import os
import pickle
import re
from pathlib import Path

import numpy as np
import pytest

from workbench.errors import DataError
from workbench.security.safe_pickle import load, loads

IMAGES = [b"\xff\xd8 one", b"\xff\xd8 two", "text", np.arange(12, dtype=np.uint8).reshape(2, 2, 3)]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_reads_what_evaluation_files_hold(protocol: int) -> None:
    fortran = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    big = np.arange(4, dtype=">i4")
    value = ([*IMAGES, fortran, big], [True, np.bool_(False), np.float32(0.5), 7, np.zeros((0, 3))])
    images, flags = loads(pickle.dumps(value, protocol=protocol))
    assert images[:3] == IMAGES[:3]
    for got, expected in zip(images[3:], (IMAGES[3], fortran, big), strict=True):
        np.testing.assert_array_equal(got, expected)
        assert got.dtype == expected.dtype
    assert flags[:4] == [True, False, 0.5, 7]
    assert flags[4].shape == (0, 3)


def test_reads_texts_of_python_2() -> None:
    python2 = b"(lp0\nS'\\xff\\xd8'\np1\naI01\na."  # [bytes, True] in protocol 0 of Python 2
    assert loads(python2) == [b"\xff\xd8", True]


@pytest.mark.parametrize("module", [b"numpy.core.multiarray", b"numpy._core.multiarray"], ids=["1", "2"])
def test_reads_a_file_of_numpy(module: bytes) -> None:
    written = pickle.dumps(IMAGES[3], protocol=2)
    assert re.search(rb"numpy\._?core\.multiarray", written)
    other = re.sub(rb"numpy\._?core\.multiarray", module, written)
    np.testing.assert_array_equal(loads(other), IMAGES[3])


class Call:
    """Pickles as a call of `function(*arguments)`."""

    def __init__(self, function: object, *arguments: object) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return self.call


PAYLOADS = {
    "posix.system": lambda marker: Call(os.system, f"echo x > {marker}"),
    "builtins.exec": lambda marker: Call(exec, f"open({str(marker)!r}, 'w').close()"),
    "builtins.eval": lambda marker: Call(eval, f"open({str(marker)!r}, 'w').close()"),
    "io.open": lambda marker: Call(open, str(marker), "w"),
    "builtins.getattr": lambda marker: Call(getattr, Call(Path, str(marker)), "touch"),
    "numpy.save": lambda marker: Call(np.save, str(marker), 1),
}


@pytest.mark.parametrize("name", PAYLOADS)
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_hostile_file_runs_nothing(name: str, protocol: int, tmp_path: Path) -> None:
    marker = tmp_path / "marker.npy"
    file = tmp_path / "pairs.bin"
    payload = PAYLOADS[name](marker)
    file.write_bytes(pickle.dumps(([b"image", payload], [True]), protocol=protocol))
    with pytest.raises(DataError, match=rf"pairs\.bin: refused, it holds [\w.]*{name.split('.')[1]}"):
        load(file)
    assert not marker.exists()
    opened = pickle.loads(file.read_bytes())  # noqa: S301  the proof that the payload is a real one
    if name == "builtins.getattr":
        opened[0][1]()
    assert marker.exists()


@pytest.mark.parametrize(
    "value",
    [
        {"a": 1},
        {1},
        None,
        1j,
        collections.OrderedDict(),
        np.array(["x"]),
        np.array([b"x", None], dtype=object),
        np.zeros(2, dtype=[("a", "O")]),
        slice(1),
        np.datetime64("2020"),
        print,
        np.array(1 + 1j),
    ],
)
@pytest.mark.parametrize("protocol", [2, 5])
def test_other_types_are_refused(value: object, protocol: int) -> None:
    with pytest.raises(DataError, match="refused, it holds"):
        loads(pickle.dumps(([value], []), protocol=protocol))


def test_lying_arrays_are_refused() -> None:
    honest = pickle.dumps(np.zeros((2, 3), np.uint8), protocol=2)
    lying = honest.replace(b"K\x02K\x03\x86", b"K\x02K\x7f\x86")
    assert lying != honest
    with pytest.raises(DataError, match="does not fit its 6 bytes"):
        loads(lying)


def test_the_table_of_names_cannot_be_changed_from_a_file() -> None:
    attack = (
        b"c_codecs\nencode\nN}S'__defaults__'\n(S'utf-7'\nts\x86b."  # BUILD with a state for the function
    )
    with pytest.raises(DataError, match="refused, it holds a change of a function"):
        loads(attack)


def test_damaged_files_and_self_holding_lists_are_refused() -> None:
    whole = pickle.dumps(([b"image"] * 20, [True] * 10))
    for content in (b"", whole[:-5], b"not a pickle", b"\x80\x05\x8e" + b"\xff" * 8, b"P1\n."):
        with pytest.raises(DataError):
            loads(content)
    own: list = []
    own.append(own)
    with pytest.raises(DataError, match="refused"):
        loads(pickle.dumps(own))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere\.bin: cannot be read"):
        load(tmp_path / "nowhere.bin")


def test_shared_parts_stay_shared() -> None:
    shared = [b"x"]
    first, second = loads(pickle.dumps([shared, shared]))
    assert first is second
    assert first == [b"x"]
