"""The names that a spec file imports. Importing this costs no TensorFlow: each part's file is loaded
when its name is first used.
"""

from __future__ import annotations

import importlib
from typing import Any

from workbench.errors import nearest
from workbench.lazy import choose_keras

choose_keras()  # before anything imports TensorFlow, Keras or Keras Tuner


def _placed(names: dict[str, str]) -> dict[str, str]:
    """Return {name: module} of {file within the package: the names in it}."""
    return {name: f"workbench.{file}" for file, held in names.items() for name in held.split()}


# The one table of parts: each file that holds some, and the names that a spec imports from it.
PARTS: dict[str, str] = _placed(
    {
        "spec.experiment": "Experiment Safety",
        "spec.stage": "Stage Stages",
        "spec.branch": "Trunk",
        "spec.folding": "Fold",
        "spec.part": "INHERIT",
        "spec.devices": "OneDevice",
        "distribute.settings": "Mirrored MultiWorker Horovod",
        "train.initialize": "FromRun FromModel",
        "models.heads.full": "Dense Normalised SubCenter Euclidean",
        "models.heads.partial_fc": "Sampled",
        "losses.softmax": "Softmax MarginSoftmax ScaledSoftmax",
        "losses.margin": "ArcFace CosFace SphereFace CombinedMargin AirFace",
        "losses.adaptive": "CurricularFace MagFace AdaFace AdaCos",
        "losses.metric": "Center Triplet",
        "losses.distill": "DistillEmbedding DistillLogits",
        "optimizers.schedules": "Constant Steps Exponential InverseTime Cosine",
        "optimizers.plateau": "ReduceLROnPlateau",
        "optimizers": "SGD SGDW Adam AdamW Nadam Adamax LAMB "
        "LazyAdam RectifiedAdam Lookahead Decoupled Coupled L2",
        "data.pairs": "Pairs HeldOutPairs",
        "data.people": "PeopleOf",
        "models.backbones.mobilenet": "MobileNet",
        "models.backbones.mobilefacenet": "MobileFaceNet",
        "models.backbones.ghostnet": "GhostNet",
        "models.backbones.faceresnet": "FaceResNet",
        "models.backbones.bottleneck": "SEResNeXt ResNeSt BoTNet",
        "models.backbones.vargfacenet": "VarGFaceNet",
        "models.backbones.keras_nets": "MobileNetV2 MobileNetV3 ResNet ResNetV2 "
        "EfficientNet EfficientNetV2 KerasApplication",
        "models.backbones.hog": "OrientedGradients",
        "models.backbones.small": "PlainCNN MLP LeakyCNN",
        "surgery": "Changed ReLUToPReLU PReLUToDepthwise UpSamplingToTranspose SetNorms Freeze",
        "models.embeddings": "GDC E GAP F Features Linear",
        "data.sources.builtin": "SyntheticFaces Digits",
        "data.sources.mislabelled": "Mislabelled",
        "data.sources.folder": "ImageFolder",
        "data.sources.record_files": "RecordIO TFRecords",
        "data.sources.keras_data": "KerasData",
        "data.sources.arrays": "Npz",
        "data.samplers": "Identities Balanced MinedTriplets",
        "augment.flip": "Flip",
        "augment.colour": "Colour",
        "augment.randaugment": "RandAugment",
        "augment.autoaugment": "AutoAugment",
        "augment.occlusion": "Cutout LowerFaceMask RandomErasing",
        "augment.geometry": "Affine",
        "augment.mixup": "Mixup",
        "sweep.spec": "Sweep",
        "sweep.search_space": "Choice Int Float Boolean",
        "sweep.tuners": "RandomSearch GridSearch BayesianOptimization Hyperband",
    }
)

# What parts of your own are made of: their families, and what their methods are given.
FAMILIES: dict[str, str] = _placed(
    {
        "spec.part": "part setting Part",
        "spec.interfaces": "Augmentation Backbone Batch Embedding Head Images Loss "
        "PairImages PairSet Places Sampler Source Start",
        "spec.optimization": "Schedule WeightDecay Optimizer",
        "spec.watchers": "Evaluation Look Watcher",
        "data.sources.custom": "images_of_arrays images_of_examples images_of_files",
        "models.embeddings": "EmbeddingLayers",
        "losses.softmax": "ScaledLoss",
        "models.heads.base": "Slot WeightedHead",
        "losses.base": "StatefulLoss",
        "augment.random_bits": "uniform",
        "lazy": "tf",
    }
)

# What a notebook calls.
CALLS: dict[str, str] = _placed({"api": "Run Runs check find run runs"})

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
