"""Which Keras is used: chosen once, before TensorFlow is imported, and said where another came first.

Folders stand in for the packages, so that both stacks are tested wherever the tests run, without TensorFlow.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

KERAS_3 = {"keras/__init__.py": "version = lambda: '3.9'", "keras/_tf_keras/__init__.py": ""}
KERAS_2 = {"keras/__init__.py": "class Model: pass"}
TF_KERAS = {
    "tf_keras/__init__.py": "class Model: pass",
    "tf_keras/api/__init__.py": "",
    "tf_keras/api/_v2/__init__.py": "",
    "tf_keras/api/_v2/keras.py": "from tf_keras import Model",
}
# As TensorFlow does it: the variable counts when `keras` is first read, and the choice stays.
TENSORFLOW = {
    "tensorflow/__init__.py": """
import os, sys
os.write(2, b"I0000 00:00:17 port.cc:153] chatter\\n")
os.write(2, b"a real warning\\n")
__version__ = "2.21.0"
def __getattr__(name):
    if name != "keras":
        raise AttributeError(name)
    if os.environ.get("TF_USE_LEGACY_KERAS") == "1":
        import tf_keras as keras
    else:
        import keras
        keras.Model = type("Model", (), {"__module__": "keras.src.models"})
    globals()["keras"] = keras
    return keras
"""
}
TUNER = {
    "keras_tuner/__init__.py": "import keras",
    "keras_tuner/src/__init__.py": "",
    "keras_tuner/src/backend/__init__.py": "",
    "keras_tuner/src/backend/config.py": "import keras_tuner\nmulti_backend = lambda: hasattr(keras_tuner.keras, 'version')",
}
NEW = {**KERAS_3, **TF_KERAS, **TENSORFLOW, **TUNER}


@pytest.fixture
def said(tmp_path: Path, root: Path):
    """Run code beside stand-ins for packages and return what it wrote."""

    def run(files: dict[str, str], code: str, **variables: str) -> str:
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        environment = {k: v for k, v in os.environ.items() if k not in ("TF_USE_LEGACY_KERAS",)}
        environment |= {"PYTHONPATH": f"{tmp_path}:{root}", "TF_CPP_MIN_LOG_LEVEL": "3", **variables}
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=1200
        )
        return done.stdout + done.stderr.strip().rpartition("\n")[2]

    return run


SHOW = "import os; print(os.environ.get('TF_USE_LEGACY_KERAS'), end='')"


def test_keras_2_is_asked_for_beside_keras_3_and_children_inherit_it(said):
    child = f"import workbench, subprocess, sys; subprocess.run([sys.executable, '-c', {SHOW!r}])"
    assert said(NEW, f"import workbench; {SHOW}") == "1"
    assert said(NEW, child, TF_USE_LEGACY_KERAS="0") == "1"


def test_beside_keras_2_a_variable_meant_for_another_project_is_dropped(said):
    assert said(KERAS_2, f"import workbench; {SHOW}", TF_USE_LEGACY_KERAS="1") == "None"


@pytest.mark.parametrize("first", ["workbench", "tensorflow"])
def test_tf_is_keras_2_whether_the_workbench_or_tensorflow_is_imported_first(said, first):
    code = f"import {first}; from workbench.lazy import tf; print(tf.keras.Model.__module__, end=' ')"
    assert said(NEW, code).startswith("tf_keras ")
    assert said(NEW, code + "; import tensorflow.keras as k; print(k.Model.__module__, end='')").startswith(
        "tf_keras tf_keras"
    )


def test_keras_tuner_takes_the_keras_of_tensorflow_and_leaves_the_name_keras_alone(said):
    code = "import workbench, keras_tuner as kt, keras; print(kt.keras.__name__, keras.__name__)"
    assert said(NEW, code).startswith("tf_keras keras\n")
    code = "from workbench.lazy import keras_tuner as kt; print(kt.keras.__name__)"
    assert said(NEW, code).startswith("tf_keras\n")


@pytest.mark.parametrize(
    "first, name, words",
    [
        ("import tensorflow; tensorflow.keras", "tf", "TensorFlow has taken Keras 3 already"),
        ("import keras_tuner", "keras_tuner", "Keras Tuner has taken Keras 3 already"),
    ],
)
def test_another_keras_that_came_first_is_named_with_what_to_do(said, first, name, words):
    line = said(NEW, f"{first}\nimport workbench.lazy; workbench.lazy.{name}.keras")
    assert line == (
        f"workbench.errors.InputError: {words}; expected Keras 2 (tf_keras); import workbench before TensorFlow, "
        "Keras and Keras Tuner, or set TF_USE_LEGACY_KERAS=1 before Python starts"
    )


INSTEAD = "; expected Keras 2 (tf_keras); take tf.keras instead of `import keras`, with `from workbench.lazy import tf`"
CALLS_KERAS_3 = "mine.py, build: calls Keras 3" + INSTEAD
IMPORTS_KERAS_3 = "a part imports Keras 3 while it is built" + INSTEAD


@pytest.mark.parametrize(
    "part, line",
    [
        ("import keras.layers\ndef build(x):\n    return keras.layers.Layer()(x)", CALLS_KERAS_3),
        ("import keras\ndef build(x):\n    return keras.refuse(x)", CALLS_KERAS_3),
        ("def build(x):\n    import keras.layers\n    return keras.layers.Layer()(x)", IMPORTS_KERAS_3),
        ("def build(x):\n    raise TypeError('mine')", "TypeError: mine"),
        ("import keras.layers\ndef build(x):\n    return x", "built"),
    ],
    ids=[
        "a layer that would work",
        "an error of its own",
        "imported there",
        "another error",
        "imported only",
    ],
)
def test_a_part_of_ones_own_that_calls_keras_3_is_told_what_to_take_instead(said, part, line):
    keras = {
        "keras/__init__.py": "from keras import layers\ndef refuse(x):\n    raise ValueError('symbolic')",
        "keras/layers.py": "class Layer:\n    def __call__(self, x):\n        return x",
    }
    code = "import mine\nfrom workbench.lazy import with_keras_2\nwith with_keras_2():\n    mine.build(1)\nprint('built', end='')"
    found = said({**NEW, **keras, "mine.py": part}, code)
    assert found.endswith(line)
    assert found.startswith("workbench.errors.InputError: " if line.endswith(INSTEAD) else line)


def test_layers_of_keras_3_work_again_after_a_network_is_built(said):
    keras = {"keras/layers.py": "class Layer:\n    def __call__(self, x):\n        return x"}
    code = (
        "import keras.layers\nfrom workbench.lazy import with_keras_2\nwith with_keras_2():\n    pass\n"
        "print(keras.layers.Layer()('works'), end='')"
    )
    assert said({**NEW, **keras}, code) == "works"


def test_a_missing_keras_2_is_named_with_its_version(said):
    files = {**KERAS_3, **TENSORFLOW}
    code = (
        "import sys, workbench.lazy, importlib.util as u; found = u.find_spec\n"
        "u.find_spec = lambda name: None if name == 'tf_keras' else found(name)\n"
        "workbench.lazy.tf.keras"
    )
    assert said(files, code) == (
        "workbench.errors.InputError: TensorFlow 2.21.0 comes with Keras 3, and Keras 2 is missing; "
        'expected the package tf_keras; pip install "tf_keras==2.21.*"'
    )


def test_what_tensorflow_writes_while_it_loads_is_kept_back_unless_asked_for(said):
    code = "import os, sys; os.dup2(1, 2); import workbench.lazy; workbench.lazy.tf.keras"
    assert said(NEW, code) == "a real warning\n"
    assert "chatter" in said(NEW, code, TF_CPP_MIN_LOG_LEVEL="0")


@pytest.mark.tensorflow
def test_the_installed_tensorflow_keras_and_keras_tuner_have_one_keras():
    from keras_tuner.src.backend import config, keras

    from workbench.lazy import keras_tuner, tf

    assert not config.multi_backend()
    assert keras.Model is tf.keras.Model
    assert tf.keras.Model.__module__.split(".")[0] in ("keras", "tf_keras")
    assert issubclass(tf.keras.optimizers.legacy.SGD, tf.keras.optimizers.legacy.Optimizer)
    assert keras_tuner.HyperModel
