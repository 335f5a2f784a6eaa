"""Surgery: rewrite a built or loaded Keras model, exactly where it can be, and say where it cannot."""

from workbench.surgery.activations import prelu_to_depthwise, relu_to_prelu
from workbench.surgery.freezing import freeze, train_only
from workbench.surgery.parts import (
    Changed,
    Freeze,
    Operation,
    PReLUToDepthwise,
    ReLUToPReLU,
    SetNorms,
    UpSamplingToTranspose,
)
from workbench.surgery.regularizers import add_l2, set_norms
from workbench.surgery.upsampling import upsampling_to_transpose
from workbench.surgery.wrap import dynamic_size, wrapped
