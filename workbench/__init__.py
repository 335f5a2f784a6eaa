"""The names that a spec file imports. Importing this costs no TensorFlow: each part's file is loaded
when its name is first used.
"""

from __future__ import annotations

import importlib
from typing import Any

from workbench.errors import nearest
from workbench.lazy import choose_keras

choose_keras()  # before anything imports TensorFlow, Keras or Keras Tuner

# The one table of parts: the name that a spec imports, and the module that holds it.
PARTS: dict[str, str] = {
    "Experiment": "workbench.spec.experiment",
    "Stage": "workbench.spec.stage",
    "Stages": "workbench.spec.stage",
    "Safety": "workbench.spec.experiment",
    "Trunk": "workbench.spec.branch",
    "Fold": "workbench.spec.folding",
    "INHERIT": "workbench.spec.part",
    "OneDevice": "workbench.spec.devices",
    "Mirrored": "workbench.distribute.settings",
    "MultiWorker": "workbench.distribute.settings",
    "Horovod": "workbench.distribute.settings",
    "FromRun": "workbench.train.initialize",
    "FromModel": "workbench.train.initialize",
    "Dense": "workbench.models.heads.full",
    "Normalised": "workbench.models.heads.full",
    "SubCenter": "workbench.models.heads.full",
    "Euclidean": "workbench.models.heads.full",
    "Sampled": "workbench.models.heads.partial_fc",
    "Softmax": "workbench.losses.softmax",
    "MarginSoftmax": "workbench.losses.softmax",
    "ScaledSoftmax": "workbench.losses.softmax",
    "ArcFace": "workbench.losses.margin",
    "CosFace": "workbench.losses.margin",
    "SphereFace": "workbench.losses.margin",
    "CombinedMargin": "workbench.losses.margin",
    "AirFace": "workbench.losses.margin",
    "CurricularFace": "workbench.losses.adaptive",
    "MagFace": "workbench.losses.adaptive",
    "AdaFace": "workbench.losses.adaptive",
    "AdaCos": "workbench.losses.adaptive",
    "Center": "workbench.losses.metric",
    "Triplet": "workbench.losses.metric",
    "DistillEmbedding": "workbench.losses.distill",
    "DistillLogits": "workbench.losses.distill",
    "Constant": "workbench.optimizers.schedules",
    "Steps": "workbench.optimizers.schedules",
    "Exponential": "workbench.optimizers.schedules",
    "InverseTime": "workbench.optimizers.schedules",
    "Cosine": "workbench.optimizers.schedules",
    "ReduceLROnPlateau": "workbench.optimizers.plateau",
    "SGD": "workbench.optimizers",
    "SGDW": "workbench.optimizers",
    "Adam": "workbench.optimizers",
    "AdamW": "workbench.optimizers",
    "Nadam": "workbench.optimizers",
    "Adamax": "workbench.optimizers",
    "LAMB": "workbench.optimizers",
    "LazyAdam": "workbench.optimizers",
    "RectifiedAdam": "workbench.optimizers",
    "Lookahead": "workbench.optimizers",
    "Decoupled": "workbench.optimizers",
    "Coupled": "workbench.optimizers",
    "L2": "workbench.optimizers",
    "Pairs": "workbench.data.pairs",
    "PeopleOf": "workbench.data.people",
    "HeldOutPairs": "workbench.data.pairs",
    "MobileNet": "workbench.models.backbones.mobilenet",
    "MobileFaceNet": "workbench.models.backbones.mobilefacenet",
    "GhostNet": "workbench.models.backbones.ghostnet",
    "FaceResNet": "workbench.models.backbones.faceresnet",
    "SEResNeXt": "workbench.models.backbones.bottleneck",
    "ResNeSt": "workbench.models.backbones.bottleneck",
    "BoTNet": "workbench.models.backbones.bottleneck",
    "VarGFaceNet": "workbench.models.backbones.vargfacenet",
    "MobileNetV2": "workbench.models.backbones.keras_nets",
    "MobileNetV3": "workbench.models.backbones.keras_nets",
    "ResNet": "workbench.models.backbones.keras_nets",
    "ResNetV2": "workbench.models.backbones.keras_nets",
    "EfficientNet": "workbench.models.backbones.keras_nets",
    "EfficientNetV2": "workbench.models.backbones.keras_nets",
    "KerasApplication": "workbench.models.backbones.keras_nets",
    "OrientedGradients": "workbench.models.backbones.hog",
    "PlainCNN": "workbench.models.backbones.small",
    "MLP": "workbench.models.backbones.small",
    "LeakyCNN": "workbench.models.backbones.small",
    "Changed": "workbench.surgery",
    "ReLUToPReLU": "workbench.surgery",
    "PReLUToDepthwise": "workbench.surgery",
    "UpSamplingToTranspose": "workbench.surgery",
    "SetNorms": "workbench.surgery",
    "Freeze": "workbench.surgery",
    "GDC": "workbench.models.embeddings",
    "E": "workbench.models.embeddings",
    "GAP": "workbench.models.embeddings",
    "F": "workbench.models.embeddings",
    "Features": "workbench.models.embeddings",
    "Linear": "workbench.models.embeddings",
    "SyntheticFaces": "workbench.data.sources.builtin",
    "Digits": "workbench.data.sources.builtin",
    "Mislabelled": "workbench.data.sources.mislabelled",
    "ImageFolder": "workbench.data.sources.folder",
    "RecordIO": "workbench.data.sources.record_files",
    "TFRecords": "workbench.data.sources.record_files",
    "KerasData": "workbench.data.sources.keras_data",
    "Npz": "workbench.data.sources.arrays",
    "Identities": "workbench.data.samplers",
    "Balanced": "workbench.data.samplers",
    "MinedTriplets": "workbench.data.samplers",
    "Flip": "workbench.augment.flip",
    "Colour": "workbench.augment.colour",
    "RandAugment": "workbench.augment.randaugment",
    "AutoAugment": "workbench.augment.autoaugment",
    "Cutout": "workbench.augment.occlusion",
    "LowerFaceMask": "workbench.augment.occlusion",
    "RandomErasing": "workbench.augment.occlusion",
    "Affine": "workbench.augment.geometry",
    "Mixup": "workbench.augment.mixup",
    "Sweep": "workbench.sweep.spec",
    "Choice": "workbench.sweep.search_space",
    "Int": "workbench.sweep.search_space",
    "Float": "workbench.sweep.search_space",
    "Boolean": "workbench.sweep.search_space",
    "RandomSearch": "workbench.sweep.tuners",
    "GridSearch": "workbench.sweep.tuners",
    "BayesianOptimization": "workbench.sweep.tuners",
    "Hyperband": "workbench.sweep.tuners",
}

# What parts of your own are made of: their families, and what their methods are given.
FAMILIES: dict[str, str] = {
    "part": "workbench.spec.part",
    "setting": "workbench.spec.part",
    "Part": "workbench.spec.part",
    **dict.fromkeys(
        (
            "Augmentation",
            "Backbone",
            "Batch",
            "Embedding",
            "Head",
            "Images",
            "Loss",
            "PairImages",
            "PairSet",
            "Places",
            "Sampler",
            "Source",
            "Start",
        ),
        "workbench.spec.interfaces",
    ),
    "Schedule": "workbench.spec.optimization",
    "WeightDecay": "workbench.spec.optimization",
    "Optimizer": "workbench.spec.optimization",
    "Evaluation": "workbench.spec.watchers",
    "Look": "workbench.spec.watchers",
    "Watcher": "workbench.spec.watchers",
    "images_of_arrays": "workbench.data.sources.custom",
    "images_of_examples": "workbench.data.sources.custom",
    "images_of_files": "workbench.data.sources.custom",
    "EmbeddingLayers": "workbench.models.embeddings",
    "ScaledLoss": "workbench.losses.softmax",
    "Slot": "workbench.models.heads.base",
    "StatefulLoss": "workbench.losses.base",
    "WeightedHead": "workbench.models.heads.base",
    "uniform": "workbench.augment.random_bits",
    "tf": "workbench.lazy",
}

# What a notebook calls.
CALLS: dict[str, str] = dict.fromkeys(("Run", "Runs", "check", "find", "run", "runs"), "workbench.api")

WHERE = {**PARTS, **FAMILIES, **CALLS}
__all__ = ["CALLS", "FAMILIES", "PARTS", *WHERE]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    if name == "sweep":  # a room that can be called: see its docstring
        return importlib.import_module("workbench.sweep")
    if name in WHERE:
        value = getattr(importlib.import_module(WHERE[name]), name)
        globals()[name] = value
        return value
    close = nearest(name, WHERE)
    hint = f"; did you mean {' or '.join(close)}?" if close else ""
    raise AttributeError(f"workbench has no part {name!r}{hint}")


def __dir__() -> list[str]:
    return sorted({*globals(), *WHERE, "sweep"})
