"""The one literal table of backbones: every name, its class and the settings that make it.

`workbench models` prints it, the contract test runs over it. Names are the field's; the classes take more
settings than a name says.
"""

from __future__ import annotations

import importlib
from typing import Any

from workbench.errors import SpecError, suggestion
from workbench.spec.interfaces import Backbone

_B = "workbench.models.backbones"

# Any other network of Keras: KerasApplication("DenseNet121").
TABLE: dict[str, tuple[str, dict[str, Any]]] = {
    "mobilenet": (f"{_B}.mobilenet:MobileNet", {}),
    "mobilenet_v2": (f"{_B}.keras_nets:MobileNetV2", {}),
    "mobilenet_v3_small": (f"{_B}.keras_nets:MobileNetV3", {"variant": "small"}),
    "mobilenet_v3_large": (f"{_B}.keras_nets:MobileNetV3", {"variant": "large"}),
    "mobilefacenet": (f"{_B}.mobilefacenet:MobileFaceNet", {}),
    "se_mobilefacenet": (f"{_B}.mobilefacenet:MobileFaceNet", {"squeeze_excite_ratio": 1 / 16}),
    "ghostnet": (f"{_B}.ghostnet:GhostNet", {}),
    "ghostnet_1.3": (f"{_B}.ghostnet:GhostNet", {"width": 1.3}),
    **{f"r{n}": (f"{_B}.faceresnet:FaceResNet", {"layers": n}) for n in (18, 34, 50, 100)},
    **{
        f"se_r{n}": (f"{_B}.faceresnet:FaceResNet", {"layers": n, "squeeze_excite_ratio": 1 / 16})
        for n in (18, 34, 50, 100)
    },
    "vargfacenet": (f"{_B}.vargfacenet:VarGFaceNet", {}),
    **{f"resnet{n}": (f"{_B}.keras_nets:ResNet", {"layers": n}) for n in (50, 101, 152)},
    **{f"resnet{n}_v2": (f"{_B}.keras_nets:ResNetV2", {"layers": n}) for n in (50, 101, 152)},
    "botnet50": (f"{_B}.bottleneck:BoTNet", {}),
    "resnest50": (f"{_B}.bottleneck:ResNeSt", {"layers": 50}),
    "resnest101": (f"{_B}.bottleneck:ResNeSt", {"layers": 101}),
    "se_resnext50": (f"{_B}.bottleneck:SEResNeXt", {"layers": 50}),
    "se_resnext101": (f"{_B}.bottleneck:SEResNeXt", {"layers": 101}),
    **{f"efficientnet_b{n}": (f"{_B}.keras_nets:EfficientNet", {"variant": f"B{n}"}) for n in range(8)},
    **{
        f"efficientnet_v2_{size.lower()}": (f"{_B}.keras_nets:EfficientNetV2", {"variant": size})
        for size in ("B0", "B1", "B2", "B3", "S", "M", "L")
    },
    "plain_cnn": (f"{_B}.small:PlainCNN", {}),
    "mlp": (f"{_B}.small:MLP", {}),
    "leaky_teacher": (f"{_B}.small:LeakyCNN", {"filters": (256, 512)}),
    "leaky_student": (f"{_B}.small:LeakyCNN", {"filters": (16, 32)}),
}


def backbone(name: str, **settings: Any) -> Backbone:
    """Return the backbone called `name`, with further settings; also names of keras.applications."""
    from workbench.models.backbones.keras_nets import APPLICATIONS, KerasApplication

    if name in APPLICATIONS:
        return KerasApplication(network=name, **settings)
    if name not in TABLE:
        raise SpecError(f"no backbone {name!r}", do=suggestion(name, [*TABLE, *APPLICATIONS]))
    place, own = TABLE[name]
    module, _, cls = place.partition(":")
    made = getattr(importlib.import_module(module), cls)(**{**own, **settings})
    assert isinstance(made, Backbone)
    return made
