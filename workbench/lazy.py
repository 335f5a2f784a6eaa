"""TensorFlow, its Keras and Keras Tuner: imported when first used, and always with Keras 2.

`from workbench.lazy import tf` costs nothing until one of its names is read. Layers, optimizers and files of
the workbench are Keras 2's. TensorFlow 2.15 has it as `keras`; beside TensorFlow 2.16 and later lies Keras 3, and
Keras 2 is the package `tf_keras`. TensorFlow chooses by an environment variable, Keras Tuner by what `import keras`
gives it. Both are settled here, when `workbench` is imported, and nowhere else; children and workers inherit the
variable.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.util
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import FrameType, ModuleType
from typing import TYPE_CHECKING, Any

from workbench.errors import InputError

VARIABLE = "TF_USE_LEGACY_KERAS"
KERAS_2 = "tf_keras"
EXPECTED = f"Keras 2 ({KERAS_2})"
INSTEAD = "take tf.keras instead of `import keras`, with `from workbench.lazy import tf`"
BEFORE = (
    f"import workbench before TensorFlow, Keras and Keras Tuner, or set {VARIABLE}=1 before Python starts"
)
# What TensorFlow says before its log level counts, in all levels; the rest of stderr is passed on.
CHATTER = (b"WARNING: All log messages before absl::InitializeLog()", b"I0000 ")


class Lazy:
    """Stand in for the module `name` until one of its names is read; `load` imports it.

    Args:
        name: The module's full name.
        load: Returns the module; called at every reading, so it must be quick once the module is there.
    """

    def __init__(self, name: str, load: Callable[[str], Any] = importlib.import_module) -> None:
        self._name = name
        self._load = load

    def __getattr__(self, attribute: str) -> Any:
        return getattr(self._load(self._name), attribute)

    def __repr__(self) -> str:
        return f"Lazy({self._name!r})"


def choose_keras() -> None:
    """Let TensorFlow and Keras Tuner take Keras 2, in this process and its children."""
    if not _keras_3_is_installed():
        os.environ.pop(VARIABLE, None)  # TensorFlow 2.15 would look for tf_keras, which it does not need
        return
    os.environ[VARIABLE] = "1"
    if not any(isinstance(finder, _TunerFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _TunerFinder())


@functools.cache
def _keras_3_is_installed() -> bool:
    """Tell by the folder that TensorFlow itself looks for: reading versions costs 50 ms at every start."""
    found = importlib.util.find_spec("keras")
    places = (found.submodule_search_locations if found else None) or []
    return any((Path(place) / "_tf_keras").is_dir() for place in places)


class _TunerFinder:
    """Gives Keras Tuner, while it is being imported, Keras 2 for its one `import keras`.

    Without the abstract class of finders: importing its module costs a tenth of a start of the program.
    """

    def find_spec(self, name: str, path: Any, target: ModuleType | None = None) -> ModuleSpec | None:
        if name != "keras_tuner":
            return None
        sys.meta_path.remove(self)  # it is asked once; the search below must not meet it again
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def with_keras_2(module: ModuleType) -> None:
                _tensorflow("tensorflow")  # Keras Tuner imports `tensorflow.keras`: see `_require_keras_2`
                others = sys.modules.pop("keras", None)
                sys.modules["keras"] = importlib.import_module(KERAS_2)
                try:
                    execute(module)
                finally:
                    del sys.modules["keras"]
                    if others is not None:
                        sys.modules["keras"] = others

            spec.loader.exec_module = with_keras_2  # type: ignore[method-assign]
        return spec


@functools.cache
def _tensorflow(name: str) -> Any:
    with _without_chatter():
        module = importlib.import_module(name)
    if _keras_3_is_installed():
        _require_keras_2(module)
    return module


def _require_keras_2(tensorflow: Any) -> None:
    """Raise `InputError` where TensorFlow has no Keras 2, or has taken another before the workbench came."""
    if importlib.util.find_spec(KERAS_2) is None:
        minor = tensorflow.__version__.rpartition(".")[0]
        raise InputError(
            f"TensorFlow {tensorflow.__version__} comes with Keras 3, and Keras 2 is missing",
            expected="the package tf_keras",
            do=f'pip install "tf_keras=={minor}.*"',
        )
    if tensorflow.keras.Model.__module__.partition(".")[0] != KERAS_2:
        raise InputError("TensorFlow has taken Keras 3 already", expected=EXPECTED, do=BEFORE)
    # Where TensorFlow was imported before the variable was set, `tf.keras` is Keras 2 by now, but its search path
    # still gives Keras 3 to `from tensorflow.keras import ...`: the module named so is the right one from here on.
    sys.modules.setdefault("tensorflow.keras", importlib.import_module("tf_keras.api._v2.keras"))


@functools.cache
def _keras_tuner(name: str) -> Any:
    module = importlib.import_module(name)
    if _keras_3_is_installed() and importlib.import_module("keras_tuner.src.backend.config").multi_backend():
        raise InputError("Keras Tuner has taken Keras 3 already", expected=EXPECTED, do=BEFORE)
    return module


def inside_tensorflow(name: str) -> Any:
    """Return the module `tensorflow.<name>`, of those that `tf` does not show."""
    _tensorflow("tensorflow")
    return importlib.import_module(f"tensorflow.{name}")


def inside_keras(name: str) -> Any:
    """Return the module `<name>` of Keras 2, whatever its package is called."""
    _tensorflow("tensorflow")
    return importlib.import_module(f"{keras_package()}.{name}")


def keras_package() -> str:
    """Return the name of Keras 2's package: `keras` with TensorFlow 2.15, `tf_keras` with a newer one."""
    return KERAS_2 if _keras_3_is_installed() else "keras"


def _calls_keras_3(caller: FrameType) -> InputError:
    return InputError(
        "calls Keras 3",
        where=f"{caller.f_code.co_filename}, {caller.f_code.co_name}",
        expected=EXPECTED,
        do=INSTEAD,
    )


def other_keras(error: BaseException) -> InputError | None:
    """Return the error to raise in the place of one that came out of Keras 3, called by a part of the user's own.

    Its optimizers refuse what Keras 2 makes in words that name neither; None where it is about something else.
    """
    if isinstance(error, InputError) or not _keras_3_is_installed():
        return None
    import traceback  # of no use to a program that ends well

    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    modules = [str(frame.f_globals.get("__name__")) for frame in frames]
    first = next((number for number, name in enumerate(modules) if name.split(".")[0] == "keras"), 0)
    return _calls_keras_3(frames[first - 1]) if first else None


@contextlib.contextmanager
def with_keras_2() -> Iterator[None]:
    """Refuse layers of Keras 3 in a network that is built within.

    They take what Keras 2 makes, as if all was well, but their weights belong to no model of Keras 2: they would
    be neither trained nor saved.
    """
    keras = sys.modules.get("keras") if _keras_3_is_installed() else None

    def refused(*args: Any, **options: Any) -> Any:
        raise _calls_keras_3(sys._getframe(1))

    kept = keras.layers.Layer.__call__ if keras else None
    try:
        if keras:
            keras.layers.Layer.__call__ = refused
        yield
        # Too late to refuse its layers.
        if keras is None and _keras_3_is_installed() and "keras" in sys.modules:
            raise InputError("a part imports Keras 3 while it is built", expected=EXPECTED, do=INSTEAD)
    except (TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise other_keras(error) or error from error
    finally:
        if keras:
            keras.layers.Layer.__call__ = kept


def addons() -> Any:
    """Return TensorFlow Addons, or None where there are none: their wheels end at Python 3.11."""
    if importlib.util.find_spec("tensorflow_addons") is None:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # its notice of having reached its last release
        return importlib.import_module("tensorflow_addons")


@contextlib.contextmanager
def _without_chatter() -> Iterator[None]:
    """Keep back what TensorFlow's libraries write to stderr while they load, if its log level asks for quiet."""
    if os.environ.get("TF_CPP_MIN_LOG_LEVEL", "0") == "0" or "tensorflow" in sys.modules:
        yield
        return
    import tempfile  # 4 ms of a start that does not load TensorFlow

    kept = os.dup(2)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            file.seek(0)
            os.write(2, b"".join(line for line in file if not line.startswith(CHATTER)))


# The one import of TensorFlow: type checkers see the module, programs get it when they first use it.
if TYPE_CHECKING:
    import keras_tuner as keras_tuner
    import tensorflow as tf
else:
    tf = Lazy("tensorflow", _tensorflow)
    keras_tuner = Lazy("keras_tuner", _keras_tuner)
