"""The words that records are written in: metric names, tags and parameter names.

This file is the contract between the engine, which writes records, and `analysis`, which reads
them; it imports nothing. Epochs are 1-based and global; that number is the step in MLflow.
"""

from __future__ import annotations

LOSS = "loss"  # as optimised: the weighted sum of the terms and the regulariser
REGULAR_LOSS = "regular_loss"  # the regulariser's part of `loss`
ACCURACY = "accuracy"  # share of right classes on margin-free logits, 0 to 1
LEARNING_RATE = "lr"  # of the last step of the epoch
STAGE = "stage"  # 1-based number of the stage, recorded as a metric beside the others
SECONDS = "seconds"  # duration of the epoch
IMAGES_PER_SECOND = "images_per_second"
VAL_PREFIX = "val_"  # the hold-out split of the training data
FORECAST_PREFIX = "forecast."

THRESHOLD_SUFFIX = "_thresh"  # cosine at the best accuracy of an evaluation set
TENFOLD_SUFFIX = "_tenfold"  # mean of ten folds, the threshold chosen on the other nine
TENFOLD_STD_SUFFIX = "_tenfold_std"
NORM_SUFFIX = "_xnorm"  # mean length of the embeddings, as the insightface logs print it
PEAK_SUFFIX = "_peak"  # best value of an evaluation inside the epoch (`evaluate_every`)
LOSS_SUFFIX = "_loss"

TAG_PREFIX = "workbench."
TAG_RUN = "workbench.run"
TAG_ID = "workbench.id"
TAG_STUDY = "workbench.study"
TAG_SEED = "workbench.seed"
TAG_QUICK = "workbench.quick"
TAG_STATUS = "workbench.status"
TAG_PARENT = "workbench.parent"  # the sweep of a trial, else the trunk of a branch
TAG_TRUNK = "workbench.trunk"  # of a branch: its trunk's run and the last epoch shared, `<run>@80`
TAG_KIND = "workbench.kind"  # "sweep" for a sweep's own run, which trains nothing; else absent
TAG_SWEEP = "workbench.sweep"  # of a trial's run: the name of its sweep, whose run is the parent
TAG_TRIAL = "workbench.trial"  # the number of the trial that this attempt works on
TAG_ORDER = "workbench.order"  # the tuner's values of that trial, as JSON
TAG_OBJECTIVE = "workbench.objective"  # the metric that is sought
SWEEP = "sweep"
BEST_PREFIX = "best/"  # in MLflow and TensorBoard: the best value so far of the metric behind it
TAG_RERUN = "workbench.rerun"  # the run that this one repeats
TAG_FORECAST = "workbench.forecast"  # the words of `run --forecast`, taken up again by a resume

RUNNING = "running"
FINISHED = "finished"
FAILED = "failed"  # a non-finite loss, an error, no memory, no space: the reason stands in the record
KILLED = "killed"  # the first Ctrl-C
STOPPED = "stopped"  # SIGTERM: resumable
INTERRUPTED = "interrupted"  # no end recorded and no process alive
STATUSES = (RUNNING, FINISHED, FAILED, KILLED, STOPPED, INTERRUPTED)

DERIVED_SUFFIXES = (THRESHOLD_SUFFIX, TENFOLD_SUFFIX, TENFOLD_STD_SUFFIX, NORM_SUFFIX)


def lower_is_better(metric: str) -> bool:
    """Tell whether small values of `metric` are good: losses, errors and the learning rate's kin."""
    name = metric.removeprefix(FORECAST_PREFIX).removeprefix(VAL_PREFIX)
    return name == LOSS or name.endswith((LOSS_SUFFIX, "error", "_std")) or name == "seconds"


def is_evaluation(metric: str) -> bool:
    """Tell whether `metric` is the accuracy of an evaluation set rather than a by-product of one."""
    plain = (LOSS, REGULAR_LOSS, ACCURACY, LEARNING_RATE, STAGE, SECONDS, IMAGES_PER_SECOND)
    return not (
        metric in plain
        or metric.startswith((VAL_PREFIX, FORECAST_PREFIX))
        or metric.endswith((*DERIVED_SUFFIXES, PEAK_SUFFIX, LOSS_SUFFIX))
    )


def stage_parameter(number: int, field: str) -> str:
    """Return the parameter name of a stage's setting: `stages.1.loss.scale` for (1, "loss.scale")."""
    return f"stages.{number}.{field}"
