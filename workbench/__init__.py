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
    "Experiment": "workbench.experiment",
    "Stage": "workbench.experiment",
    "Stages": "workbench.experiment",
    "Safety": "workbench.experiment",
    "Trunk": "workbench.trunks",
    "INHERIT": "workbench.parts",
    "OneDevice": "workbench.families",
    "Mirrored": "workbench.devices.kinds",
    "MultiWorker": "workbench.devices.kinds",
    "Horovod": "workbench.devices.kinds",
    "FromRun": "workbench.start",
    "FromModel": "workbench.start",
    "Dense": "workbench.heads.full",
    "Normalised": "workbench.heads.full",
    "SubCenter": "workbench.heads.full",
    "Euclidean": "workbench.heads.full",
    "Sampled": "workbench.heads.sampled",
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
    "Constant": "workbench.schedules",
    "Steps": "workbench.schedules",
    "Exponential": "workbench.schedules",
    "InverseTime": "workbench.schedules",
    "Cosine": "workbench.schedules",
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
    "HeldOutPairs": "workbench.data.pairs",
    "MobileNet": "workbench.backbones.mobilenet",
    "MobileFaceNet": "workbench.backbones.mobilefacenet",
    "GhostNet": "workbench.backbones.ghostnet",
    "FaceResNet": "workbench.backbones.faceresnet",
    "SEResNeXt": "workbench.backbones.bottleneck",
    "ResNeSt": "workbench.backbones.bottleneck",
    "BoTNet": "workbench.backbones.bottleneck",
    "VarGFaceNet": "workbench.backbones.vargfacenet",
    "MobileNetV2": "workbench.backbones.kerasnets",
    "MobileNetV3": "workbench.backbones.kerasnets",
    "ResNet": "workbench.backbones.kerasnets",
    "ResNetV2": "workbench.backbones.kerasnets",
    "EfficientNet": "workbench.backbones.kerasnets",
    "EfficientNetV2": "workbench.backbones.kerasnets",
    "KerasApplication": "workbench.backbones.kerasnets",
    "OrientedGradients": "workbench.backbones.gradients",
    "PlainCNN": "workbench.backbones.small",
    "MLP": "workbench.backbones.small",
    "LeakyCNN": "workbench.backbones.small",
    "Changed": "workbench.surgery",
    "ReLUToPReLU": "workbench.surgery",
    "PReLUToDepthwise": "workbench.surgery",
    "UpSamplingToTranspose": "workbench.surgery",
    "SetNorms": "workbench.surgery",
    "Freeze": "workbench.surgery",
    "GDC": "workbench.embeddings",
    "E": "workbench.embeddings",
    "GAP": "workbench.embeddings",
    "F": "workbench.embeddings",
    "Features": "workbench.embeddings",
    "Linear": "workbench.embeddings",
    "SyntheticFaces": "workbench.data.embedded",
    "Digits": "workbench.data.embedded",
    "ImageFolder": "workbench.data.folder",
    "RecordIO": "workbench.data.records",
    "TFRecords": "workbench.data.records",
    "KerasData": "workbench.data.arrays",
    "Npz": "workbench.data.arrays",
    "Identities": "workbench.data.samplers",
    "Balanced": "workbench.data.samplers",
    "MinedTriplets": "workbench.data.samplers",
    "Flip": "workbench.augment.flip",
    "Colour": "workbench.augment.colour",
    "RandAugment": "workbench.augment.randaugment",
    "AutoAugment": "workbench.augment.autoaugment",
    "Cutout": "workbench.augment.hiding",
    "LowerFaceMask": "workbench.augment.hiding",
    "RandomErasing": "workbench.augment.hiding",
    "Affine": "workbench.augment.geometry",
    "Mixup": "workbench.augment.mixup",
    "Sweep": "workbench.sweep.spec",
    "Choice": "workbench.sweep.domains",
    "Int": "workbench.sweep.domains",
    "Float": "workbench.sweep.domains",
    "Boolean": "workbench.sweep.domains",
    "RandomSearch": "workbench.sweep.tuners",
    "GridSearch": "workbench.sweep.tuners",
    "BayesianOptimization": "workbench.sweep.tuners",
    "Hyperband": "workbench.sweep.tuners",
}

__all__ = ["PARTS", *PARTS]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    if name in PARTS:
        value = getattr(importlib.import_module(PARTS[name]), name)
        globals()[name] = value
        return value
    close = nearest(name, PARTS)
    hint = f"; did you mean {' or '.join(close)}?" if close else ""
    raise AttributeError(f"workbench has no part {name!r}{hint}")


def __dir__() -> list[str]:
    return sorted({*globals(), *PARTS})
