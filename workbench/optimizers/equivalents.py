"""What a weight decay means in the words of the other forms and of other frameworks, for `check`.

The equalities are those of one step of plain SGD at the schedule's peak; where momentum or an adaptive
rule breaks them, the text says so.
"""

from __future__ import annotations

from workbench.optimizers.rules import SGD
from workbench.optimizers.weight_decay import Coupled, Decoupled
from workbench.spec.optimization import Optimizer, Schedule, WeightDecay


def equivalents(decay: WeightDecay | None, rule: Optimizer, schedule: Schedule) -> list[str]:
    """Return lines that say what `decay` does under `rule` and what it equals in the other two forms."""
    if decay is None:
        return ["no weight decay"]
    peak = schedule.peak_rate()
    lines = [_meaning(decay, peak), *_equal(decay, rule, peak)]
    if decay.head != 1:
        lines.append(f"on the head's weights {decay.head:g} times as much: {decay.value * decay.head:.4g}")
    if isinstance(decay, Decoupled) and decay.head_l2 != 1:
        extra = decay.value / peak * (decay.head_l2 - 1)
        lines.append(f"on the head's weights also L2({extra:.4g}), Keras l2({extra / 2:.4g})")
    return [*lines, _scope(decay)]


def _meaning(decay: WeightDecay, peak: float) -> str:
    value = f"{decay.value:.4g}"
    if isinstance(decay, Decoupled):
        return f"Decoupled({value}): each step takes {value} * lr / {peak:g} of the weight off, beside the gradient"
    if isinstance(decay, Coupled):
        return f"Coupled({value}): the gradient gains {value} * w after the loss is taken"
    return f"L2({value}): the loss gains {decay.value / 2:.4g} * w**2, so the gradient {value} * w"


def _equal(decay: WeightDecay, rule: Optimizer, peak: float) -> list[str]:
    """Return the other forms; `wd` is the coupled number, `taken` what SGD takes off at the peak."""
    decoupled = isinstance(decay, Decoupled)
    wd = decay.value / peak if decoupled else decay.value
    addons = f"tfa SGDW weight_decay={wd * peak:.4g} at lr {peak:g}"
    mxnet = f"Coupled({wd:.4g}), MXNet and PyTorch SGD wd={wd:.4g}"
    keras = f"L2({wd:.4g}), Keras l2({wd / 2:.4g})"
    if decoupled:
        same = [f"is tfa SGDW or AdamW weight_decay={decay.value:.4g}"]
        return same + _with_limits([f"equals {mxnet} at lr {peak:g}", f"equals {keras} at lr {peak:g}"], rule)
    same = [f"equals {keras if isinstance(decay, Coupled) else mxnet}"]
    return same + _with_limits([f"equals {addons}"], rule)


def _with_limits(lines: list[str], rule: Optimizer) -> list[str]:
    if not isinstance(rule, SGD):
        name = type(rule).__name__
        return [f"has no equal across the decoupled form under {name}, which rescales gradients"]
    if rule.momentum:
        times = 1 / (1 - rule.momentum)
        limit = f" (in a first step; in the long run momentum {rule.momentum:g} makes L2 and Coupled {times:.4g} times as strong)"
        return [line + limit for line in lines]
    return lines


def _scope(decay: WeightDecay) -> str:
    spared = [
        words
        for wanted, words in (
            (decay.norms, "batch-normalisation and PReLU parameters"),
            (decay.biases, "biases"),
        )
        if not wanted
    ]
    return f"spares {' and '.join(spared)}" if spared else "decays every trained weight"
