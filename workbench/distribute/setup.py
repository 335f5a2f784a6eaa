"""Where a run executes: which devices TensorFlow sees, how many take part, precision, determinism, seeds."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from workbench.errors import InputError
from workbench.lazy import tf
from workbench.spec.devices import Devices, ManyDevices

if TYPE_CHECKING:
    from workbench.spec.experiment import Experiment

_MIX = 1_000_003  # seeds of stages lie apart, so that stage 1 of seed 1 is not stage 0 of seed 2


def prepare(experiment: Experiment) -> str:
    """Set up TensorFlow for a run and return the name of the device it will use, for the screen.

    Takes the first GPU where there is one (memory growth on), else the CPU. Raises `InputError` where
    the devices that the spec asks for are not there.
    """
    tf.get_logger().setLevel("ERROR")  # notes of AutoGraph and of slow callbacks tell users nothing
    settings = experiment.devices
    gpus = visible(settings)
    several = isinstance(settings, ManyDevices)
    if several and not gpus and any(plan.devices.xla for plan in experiment.plans()):
        raise InputError(
            "XLA compiles no step of several CPU devices",
            where="devices.xla",
            expected="GPUs, or one device",
            do="leave xla out",
        )
    # Everything from here to the policy must happen before TensorFlow touches a device.
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, settings.memory_growth)
    if settings.deterministic:
        tf.config.experimental.enable_op_determinism()
    # Keras's older generators keep their state in Python, where no checkpoint can read it.
    tf.keras.backend.experimental.enable_tf_random_generator()
    tf.keras.mixed_precision.set_global_policy(experiment.precision)
    # Last, for the calls above may draw numbers.
    seed(experiment.seed, 0)
    if not gpus:
        return f"CPU ({os.cpu_count()} cores), {experiment.precision}"
    details = tf.config.experimental.get_device_details(gpus[0])
    return f"GPU ({details.get('device_name', gpus[0].name)}), {experiment.precision}"


def visible(settings: Devices) -> list[Any]:
    """Return the GPUs that the run may use, none for `kind="cpu"`; raises `InputError` for GPUs missed."""
    if settings.kind == "cpu":
        # Hidden, not just unused: TensorFlow takes nearly all memory of every GPU that it can see.
        tf.config.set_visible_devices([], "GPU")
        return []
    gpus = tf.config.list_physical_devices("GPU")
    if settings.kind == "gpu" and not gpus:
        raise InputError(
            "TensorFlow sees no GPU on this machine",
            where=f'{type(settings).__name__}(kind="gpu")',
            do="install the extra `gpu` and a driver, or leave kind out",
        )
    return list(gpus)


def seed(value: int, stage: int) -> None:
    """Seed Python, NumPy and TensorFlow for a stage, so that a resumed run builds it alike."""
    tf.keras.utils.set_random_seed((value * _MIX + stage) % 2**31)
