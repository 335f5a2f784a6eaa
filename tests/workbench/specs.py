"""Small experiments that many tests share: everything at a size that a CPU runs in seconds."""

from __future__ import annotations

from typing import Any

from workbench import (
    GDC,
    SGD,
    ArcFace,
    E,
    Experiment,
    Flip,
    MobileFaceNet,
    PlainCNN,
    Softmax,
    Stage,
    SyntheticFaces,
)


def tiny(**changes: Any) -> Experiment:
    """Return a three-stage experiment on eight drawn identities, two epochs of 3 steps a stage."""
    settings: dict[str, Any] = {
        "data": SyntheticFaces(identities=8, images=8, hold_out=0.25),
        "backbone": MobileFaceNet(image_size=32, width=0.25),
        "embedding": GDC(size=16, dropout=0.2),
        "stages": (
            Stage(loss=Softmax(), epochs=2),
            Stage(loss=ArcFace(scale=16), epochs=1, train="head"),
            Stage(loss=ArcFace(scale=16), epochs=2),
        ),
        "optimizer": SGD(momentum=0.9),
        "learning_rate": 0.05,
        "weight_decay": 5e-4,
        "augment": Flip(),
        "batch_size": 16,
        "log_model": "none",  # a model takes longer than the training
    }
    return Experiment(**{**settings, **changes})


def small(**changes: Any) -> Experiment:
    """Return `tiny` with a network that is traced in a second, for tests of what happens around a training."""
    network = {"backbone": PlainCNN(image_size=32), "embedding": E(size=16, dropout=0.2)}
    return tiny(**{**network, **changes})
