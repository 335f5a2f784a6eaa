"""Head and loss at 85,742 identities, 512 numbers, batch 128: time against the three matrix products.

The products (logits, gradient of the embeddings, gradient of the weights) are the least that any full
head does. Beside them stand: a plain implementation with normalised weights and one-hot labels, the
update by SGD with momentum, Partial FC, and how time grows with the identities. Memory is the peak of a
process of its own above its size when TensorFlow was loaded, weights and momentum included.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from paired import Ratio, Row, compare, main, seconds, spread

os.environ.setdefault("OMP_NUM_THREADS", "2")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

C, D, B = 85_742, 512, 128
GROWTH = (10_000, 40_000, 85_742, 180_000, 360_000)
REPEATS = 7


def batch(classes: int) -> tuple[Any, Any]:
    """Return random embeddings [B, d] and labels [B]."""
    import tensorflow as tf

    return tf.random.normal([B, D], seed=1), tf.random.uniform([B], 0, classes, tf.int32, seed=1)


def ours(loss: Any, classes: int = C, optimizer: Any = None) -> Any:
    """Return a compiled step of a loss and its head: value and gradients, or with an update."""
    import tensorflow as tf

    from workbench.spec.interfaces import Batch

    head, term = loss.classifier().layer(classes, D), loss.layer(classes, D, B)
    head.compiled = False  # as the trainer says without XLA
    x, y = batch(classes)

    @tf.function
    def step() -> Any:
        with tf.GradientTape() as tape:
            tape.watch(x)
            logits, targets = head(x, y, training=True)
            value = term(Batch(x, y, logits, 0.0, None, True, targets))
        dx, dw = tape.gradient(value, [x, head.trainable_variables[0]])
        if optimizer is None:
            return value, dx, dw
        optimizer.apply_gradients([(dw, head.trainable_variables[0])])
        return value, dx

    return step


def products(classes: int = C) -> Any:
    """Return the three matrix products alone."""
    import tensorflow as tf

    x, w, g = (
        tf.random.normal([B, D]),
        tf.Variable(tf.random.normal([classes, D])),
        tf.random.normal([B, classes]),
    )

    @tf.function
    def step() -> Any:
        logits = tf.matmul(x, w, transpose_b=True)
        with tf.control_dependencies([logits]):
            dx = tf.matmul(g, w)
        with tf.control_dependencies([dx]):
            return logits, dx, tf.matmul(g, x, transpose_a=True)

    return step


def one_hot(optimizer: Any = None) -> Any:
    """Return ArcFace as it is most often written for Keras: normalised weights, labels as one-hot rows, the
    margin computed for every logit and chosen by the labels, softmax, all gradients automatic."""
    import tensorflow as tf

    w, (x, y) = tf.Variable(tf.random.normal([D, C], stddev=0.01)), batch(C)
    labels, m, s = tf.one_hot(y, C), 0.5, 64.0

    @tf.function
    def step() -> Any:
        with tf.GradientTape() as tape:
            tape.watch(x)
            cos = tf.matmul(tf.nn.l2_normalize(x, 1), tf.nn.l2_normalize(w, 0))
            t = tf.cos(tf.acos(tf.clip_by_value(cos, -1 + 1e-7, 1 - 1e-7)) + m)
            logits = s * (cos * (1 - labels) + t * labels)
            value = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(labels, logits))
        dx, dw = tape.gradient(value, [x, w])
        if optimizer is None:
            return value, dx, dw
        optimizer.apply_gradients([(dw, w)])
        return value, dx

    return step


def sgd() -> Any:
    """Return the workbench's SGD with momentum."""
    from workbench import SGD

    return SGD(momentum=0.9).build()


def update() -> Any:
    """Return the update alone, of the whole weights."""
    import tensorflow as tf

    w, g, optimizer = tf.Variable(tf.random.normal([C, D])), tf.random.normal([C, D]), sgd()

    @tf.function
    def step() -> None:
        optimizer.apply_gradients([(g, w)])

    return step


def memory(kind: str) -> float:
    """Return the peak of a process that does three steps with updates, MiB above its start."""
    words = [sys.executable, __file__, "--memory", kind]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return float(done.stdout.strip().splitlines()[-1])


def measure_memory(kind: str) -> None:
    """Print the peak of this process above its size once TensorFlow runs, MiB."""
    import tensorflow as tf

    from workbench import ArcFace

    tf.matmul(tf.ones([64, 64]), tf.ones([64, 64]))
    start = resident("VmRSS")
    step = one_hot(sgd()) if kind == "one-hot" else ours(ArcFace(), optimizer=sgd())
    for _ in range(3):
        step()
    print((resident("VmHWM") - start) / 1024)


def resident(field: str) -> int:
    """Return the memory of this process, KiB: now (VmRSS) or at its peak (VmHWM)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:"))


def growth() -> list[Row]:
    """Return the time per identity at each size against that at the smallest."""
    from workbench import ArcFace

    found = {}
    for classes in GROWTH:
        step = ours(ArcFace(), classes)
        step()
        found[classes] = spread([seconds(step) / classes for _ in range(3)])
    base = found[GROWTH[0]].median
    return [
        Row(
            f"time an identity, {classes:,} / {GROWTH[0]:,} identities",
            Ratio(*(value / base for value in found[classes])),
            note=f"{found[classes].median * classes * 1e3:.0f} ms a step",
        )
        for classes in GROWTH[1:]
    ]


def rows() -> list[Row]:
    """Measure everything, in pairs with the products."""
    from workbench import ArcFace, Sampled, Softmax

    limit, full = products(), ours(ArcFace())
    size = "85,742 x 512, batch 128"
    result = [
        Row(
            "ArcFace, forward and backward / three products",
            compare(full, limit, REPEATS, warmup=2),
            at_most=1.7,
            note=f"{size}; stretch 1.35",
        ),
        Row(
            "Softmax, forward and backward / three products",
            compare(ours(Softmax()), limit, REPEATS, warmup=2),
        ),
        Row("update by SGD with momentum / three products", compare(update(), limit, REPEATS, warmup=2)),
        Row(
            "ArcFace with its update / three products",
            compare(ours(ArcFace(), optimizer=sgd()), limit, REPEATS, warmup=2),
        ),
        Row("one-hot, forward and backward / three products", compare(one_hot(), limit, 5, warmup=2)),
        Row("one-hot with its update / three products", compare(one_hot(sgd()), limit, 5, warmup=2)),
        Row(
            "Partial FC at rate 0.1 / full head",
            compare(ours(ArcFace(head=Sampled(rate=0.1))), full, REPEATS, warmup=2),
            at_most=0.25,
        ),
    ]
    peaks = [(memory("ours"), memory("one-hot")) for _ in range(3)]
    note = f"{spread([a for a, _ in peaks]).median:.0f} and {spread([b for _, b in peaks]).median:.0f} MiB above the start, with momentum"
    result.append(Row("memory / the one-hot's", spread([a / b for a, b in peaks]), at_most=0.6, note=note))
    return result + growth()


if __name__ == "__main__":
    if "--memory" in sys.argv:
        measure_memory(sys.argv[-1])
    else:
        main(rows)
