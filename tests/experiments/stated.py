"""What the notebook's pages and the names of its files state of each study: read, and set against the specs.

`experiments/published/settings/STUDY.csv` has a row for each stated setting: the variants it is said of (`*`:
all), the setting, its value, and page and line where it stands. Settings are named as in a run's parameters,
beside these:

- `own.N.SETTING`, `trunk.N.SETTING`: of the Nth stage after the trunk, of the trunk; what a stage inherits is filled in;
- `epochs`, `scales`, `weights.LOSS`: of the stages after the trunk, in a row; `trunk.epochs`: where they begin;
- `rate.N`: learning rate of the Nth epoch after the trunk; `random`: the notebook's number of an augmentation;
- `own.N.main`: the loss that terms stand beside;
- `space.SETTING`, `tuner`, `objective`: of a sweep, named as it is;
- `file`: a name whose parts are settings, see `FILE`; `ours`: why a variant of no page is there.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench import Flip
from workbench.augment.legacy_strength import numbered
from workbench.spec.experiment import Experiment
from workbench.spec.interfaces import Loss, terms
from workbench.spec.part import Part
from workbench.spec.plan import Plan
from workbench.sweep.spec import Sweep

SETTINGS = Path(__file__).resolve().parents[2] / "experiments" / "published" / "settings"
FILLED = ("data", "optimizer", "weight_decay", "label_smoothing", "augment", "batch_size")


@dataclass(frozen=True)
class Stated:
    """One stated setting."""

    variant: str
    setting: str
    value: str
    page: str
    line: int | None

    @property
    def place(self) -> str:
        return f"{self.page}, line {self.line}"


def read(study: str) -> list[Stated]:
    """Return the rows of a study, one a variant."""
    with (SETTINGS / f"{study}.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return [
        Stated(name, row["setting"], row["value"], row["page"], int(row["line"]) if row["line"] else None)
        for row in rows
        for name in row["variant"].split()
    ]


def own(experiment: Experiment) -> tuple[Plan, ...]:
    """Return the plans of the stages after the trunk."""
    return experiment.plans()[experiment.trunk.stages if experiment.trunk else 0 :]


def effective(experiment: Experiment) -> dict[str, Any]:
    """Return the settings as named above; a run's `batch_size` and the like are those of its own stages if all agree."""
    plans, before = own(experiment), experiment.trunk.stages if experiment.trunk else 0
    full = experiment.but(
        trunk=None,
        stages=tuple(
            stage.but(
                **{
                    name: getattr(plan, name) or None if name == "augment" else getattr(plan, name)
                    for name in FILLED
                }
            )
            for stage, plan in zip(experiment.stages, experiment.plans())
        ),
    )
    found = {name: value for name, value in experiment.parameters().items() if not name.startswith("stages.")}
    stages: dict[str, Any] = {}
    for name, value in full.parameters().items():
        if name.startswith("stages."):
            number, _, rest = name.removeprefix("stages.").partition(".")
            place = f"own.{int(number) - before}" if int(number) > before else f"trunk.{number}"
            stages[f"{place}.{rest}"] = value
    found |= dict(_agreed(stages, len(plans)))
    found["epochs"] = " ".join(str(plan.epochs) for plan in plans)
    found["scales"] = " ".join(
        f"{scale:g}" for plan in plans if (scale := getattr(_main(plan), "scale", None))
    )
    for position, plan in enumerate(plans, start=1):
        found[f"own.{position}.main"] = type(_main(plan)).__name__
    found["trunk.epochs"] = plans[0].first_epoch - 1
    found |= stages | _weights(plans)
    return found


def _agreed(stages: dict[str, Any], count: int) -> Iterator[tuple[str, Any]]:
    for name in FILLED:
        rows = [
            {
                key.partition(".")[2].partition(".")[2]: value
                for key, value in stages.items()
                if key.startswith(f"own.{number}.{name}")
            }
            for number in range(1, count + 1)
        ]
        if all(row == rows[0] for row in rows):
            yield name, None
            yield from rows[0].items()


def _main(plan: Plan) -> Loss:
    """Return the loss that others stand beside: the first one on logits, else the first."""
    losses = [term.loss for term in terms(plan.loss)]
    return next((loss for loss in losses if loss.classifier() is not None), losses[0])


def _weights(plans: tuple[Plan, ...]) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    for plan in plans:
        for term in terms(plan.loss):
            found.setdefault(f"weights.{type(term.loss).__name__}", []).append(f"{term.weight:g}")
    return {name: " ".join(weights) for name, weights in found.items()}


def of_sweep(sweep: Sweep) -> dict[str, Any]:
    """Return what a sweep varies (`space.SETTING`: values in a row, or low, high and step) and how it chooses."""
    found: dict[str, Any] = {"tuner": type(sweep.tuner).__name__, "objective": sweep.objective}
    found |= {f"tuner.{name}": value for name, value in sweep.tuner.settings().items()}
    for name, domain in sweep.space:
        values = getattr(domain, "values", None) or (domain.low, domain.high, domain.step)
        found[f"space.{name}"] = " ".join(f"{value:g}" for value in values)
    return found


def rate(experiment: Experiment, epoch: int) -> float:
    """Return the learning rate with which the `epoch`th epoch after the trunk begins."""
    plans = own(experiment)
    first = plans[0].first_epoch - 1
    plan = next(plan for plan in plans if plan.first_epoch <= first + epoch <= plan.last_epoch)
    done = first + epoch - plan.first_epoch
    return plan.schedule.at(plan.schedule_offset + (done if plan.advances_schedule else 0))


def holds(experiment: Experiment, settings: dict[str, Any], setting: str, value: str) -> bool:
    """Tell whether a stated setting is the spec's; raises `KeyError` for a setting that there is not."""
    if setting == "random":
        wanted = numbered(float(value))
        ways = [wanted if isinstance(wanted, tuple) else (wanted,)] + ([(Flip(),)] if value == "0" else [])
        return all(plan.augment in ways for plan in own(experiment))
    if setting.startswith("rate."):
        return abs(rate(experiment, int(setting.removeprefix("rate."))) / float(value) - 1) < 0.005
    if value == "none":
        return settings.get(setting) is None
    return same(settings[setting], value)


def same(found: Any, value: str) -> bool:
    """Compare as numbers where both are, else as text; True is `true`."""
    if isinstance(found, bool):
        return str(found).lower() == value
    if isinstance(found, (int, float)):
        return abs(float(value) - found) <= 1e-9 * max(1.0, abs(found))
    return str(found) == value


# ---------------------------------------------------------------- names of files


def number(text: str) -> str:
    """Return 5e4 as 0.0005 and 09 as 0.9, as the names write them."""
    head, _, power = text.partition("e")
    return (
        f"{float(head) * 10 ** -float(power):.10g}"
        if power
        else f"{float('0.' + text.lstrip('0')) if text != '0' else 0:g}"
    )


Meaning = Callable[["re.Match[str]"], "list[tuple[str, str]]"]


def says(setting: str, value: str | None = None, read: Callable[[str], str] = str) -> Meaning:
    """Return what a matched part means: `value`, or what the pattern's group says."""
    return lambda match: [(setting, read(match[1]) if value is None else value)]


PEAK = {"sgd": "SGD", "sgdw": "SGDW", "adamw": "AdamW"}
FILE: tuple[tuple[str, Meaning], ...] = (
    (r"_emb(\d+)", says("embedding.size")),
    (r"_dr(0|04|4)(?=_)", says("embedding.dropout", read=number)),
    (r"_dr0\.4_", says("embedding.dropout", "0.4")),
    (r"_[bB][sS](\d+)(?=_|$)(?!.*ipc)", says("batch_size")),
    (r"_(GDC|GAP|E)_(?!sgdw|baseline|REG|SGD|fix|adm|rand|arc32)", says("embedding")),
    (r"^(?:NNNN|TT)_resnet34_MXNET_(E)_", says("embedding")),
    (r"_wd(\de\d)(?=_)", says("weight_decay", read=number)),
    (r"(?<!REG_BN_SGD)_l2_(\de\d)(?=_)", says("weight_decay", read=number)),
    (r"_l2_\de\d(?=_)", says("weight_decay.form", "L2")),
    (r"_REG_(?:BN_)?SGD_(?:l2_)?(\de\d)(?=_)", says("weight_decay", read=number)),
    (r"_REG_", says("weight_decay.form", "L2")),
    (r"_REG_BN_", says("weight_decay.norms", "true")),
    (r"_(?:sgdw|SGDW|adamw)_(\de\d)(?=_)", says("weight_decay", read=number)),
    (
        r"^(?!.*_l2_\de\d_.*_sgdw).*?_(sgdw|adamw|sgd)(?=_)(?!.*_lr25e3)",
        says("optimizer", read=lambda text: PEAK[text]),
    ),
    (r"_SGDW_", says("optimizer", "SGDW")),
    (r"_(?:baseline_|REG_|REG_BN_)SGD_", says("optimizer", "SGD")),
    (r"_baseline_SGD_", says("weight_decay", "none")),
    (r"_nesterov_", says("optimizer.nesterov", "true")),
    (r"_float16|_fp16", says("precision", "mixed_float16")),
    (
        r"_bnm(\d+)",
        lambda match: [(f"{part}.norm_momentum", number(match[1])) for part in ("backbone", "embedding")],
    ),
    (
        r"_bne(\de\d)",
        lambda match: [(f"{part}.norm_epsilon", number(match[1])) for part in ("backbone", "embedding")],
    ),
    (r"_cos(\d+)(?!.*_E50)", says("learning_rate.cycle")),
    (r"_cos\d+_batch(?!.*_E50)", says("learning_rate.per", "batch")),
    (r"_cos\d+(?:_epoch|$|_float)", says("learning_rate.per", "epoch")),
    (r"_lrmin_(\de\d)", says("learning_rate.floor", read=number)),
    (r"_tmul_(\d)", says("learning_rate.growth")),
    (r"_restart_3(?!.*tmul)", says("learning_rate.growth", "1")),
    (r"_lrmin_1e4(?!_tmul)", says("learning_rate.growth", "1")),
    (r"_(?:E51_)?random_?(\d)(?=_[a-zA-Z]|$)(?!.*_E51_rand)", says("random")),
    (r"^TT_.*_randaug(?:_100)?(?=_|$)(?!_300|.*_E51_rand)", says("random", "100")),
    (r"_E51_randaug_100|_E51_random_0", lambda match: [("random", match[0].rpartition("_")[2])]),
    (r"_randaug_300", says("random", "300")),
    (
        r"_(relu|prelu|swish)_(?!GDC_arc_emb512_dr0_sgd_l2_5e4_bs1024_ms1m_bnm09_bne1e5_cos16_batch_fixed_f)",
        says("backbone.activation"),
    ),
    (r"_prelu_25", says("backbone.prelu_start", "0.25")),
    (r"_se_relu", says("backbone.squeeze_excite_activation", "relu")),
    (r"_strides_1_", says("backbone.stem_stride", "1")),
    (r"_shortcut_act_none", says("backbone.shortcut_activation", "none")),
    (r"_conv_no_bias", says("backbone.conv_bias", "false")),
    (r"_scale_(true|false)", says("embedding.norm_scale")),
    (r"_(?:use)?bias_(true|false)", says("embedding.bias")),
    (r"_ls1_", says("label_smoothing", "0.1")),
    (r"_distill_(\d+)_", lambda match: [("weights.DistillEmbedding", " ".join([match[1]] * 5))]),
    (r"_distill_emb", says("weights.DistillEmbedding", "7 7 7 7 7")),
    (r"_r100(?=_|$)", says("data", "TFRecords")),
    (r"_arc_(?:emb|dr|bs)", says("own.1.main", "ArcFace")),
    (r"_curricular_", says("own.1.main", "CurricularFace")),
    (r"_wdm45_", says("weight_decay.head", "4.5")),
    (r"_ipc_?(\d+)", says("own.1.sampler.images")),
    (r"_image_(\d)", says("own.1.sampler.images")),
    (r"_MSEDense_", says("own.1.loss.head", "Euclidean")),
    (r"_lr1e1_", says("rate.1", "0.1")),
    (r"_lr1e3_", says("rate.1", "0.001")),
    (r"_lr25e3_", says("rate.1", "0.0025")),
)


def in_name(name: str) -> list[tuple[str, str]]:
    """Return the settings that the name of a file states; in a row of several numbers the first one counts."""
    return [
        found for pattern, meaning in FILE if (match := re.search(pattern, name)) for found in meaning(match)
    ]


def parts_of(value: Any) -> Iterator[Part]:
    """Yield a part and all parts in it."""
    if isinstance(value, Part):
        yield value
        for inner in value.settings().values():
            yield from parts_of(inner)
    elif isinstance(value, tuple):
        for item in value:
            yield from parts_of(item)
