"""The words that records are written in: metric names, tags and parameter names.

This file is the contract between the engine, which writes records, and `analysis`, which reads
them; it imports `errors` alone. Epochs are 1-based and global; that number is the step in MLflow.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from workbench.errors import few

SAID = 5  # of many names in one line
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
TAG_NAME = "workbench.name"  # of the variant; MLflow's own name of a run tells its seed too
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
SYSTEM_PREFIX = "system/"  # in MLflow: what the training took of its machine
BEST_PREFIX = "best/"  # in MLflow and TensorBoard: the best value so far of the metric behind it
TAG_RERUN = "workbench.rerun"  # the run that this one repeats
TAG_IMPORTED = "workbench.imported"  # the hash of the content of a run that was read from files
TAG_ORIGIN = "workbench.origin"  # of such a run: the file or address that it was read from
TAG_LOWER = "workbench.lower"  # metrics, by comma, of which the spec or the user said that they fall
TAG_HIGHER = "workbench.higher"  # the same of those that rise
TAG_FORECAST = "workbench.forecast"  # the words of `run --forecast`, taken up again by a resume

RUNNING = "running"
FINISHED = "finished"
FAILED = "failed"  # a non-finite loss, an error, no memory, no space: the reason stands in the record
KILLED = "killed"  # by whom is not known: a run of another tracker, or of an earlier version after Ctrl-C
STOPPED = "stopped"  # SIGTERM or Ctrl-C: resumable
INTERRUPTED = "interrupted"  # no end recorded and no process alive
UNREADABLE = "unreadable"  # its record says what no record can; never written, only reported
STATUSES = (RUNNING, FINISHED, FAILED, KILLED, STOPPED, INTERRUPTED)

DERIVED_SUFFIXES = (THRESHOLD_SUFFIX, TENFOLD_SUFFIX, TENFOLD_STD_SUFFIX, NORM_SUFFIX)

# ---------------------------------------------------------------- which direction is better

LOWER, HIGHER = DIRECTIONS = ("lower", "higher")


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


# The words of metric names. A name is cut into words, and its last known word decides: `loss_scale` is a
# scale, `top1_error` an error. A word that is in no list says nothing, and a name of such words alone has
# no direction: then nobody guesses, and a person says (`--lower NAME`, `--higher NAME`, `select_direction`).
_FALLING = _set("""loss losses lossvalue nll bce ce xent crossentropy logloss hinge huber logcosh poisson kl kld kullback
    leibler divergence deviance penalty cost regret risk perplexity ppl bpb bpc bpd
    error errors err errs mistakes mae mse rmse msle rmsle mape smape wape mase medae male nmse nrmse nme mre
    mpjpe epe ade fde aic bic edit levenshtein hausdorff hd95 hd assd wasserstein frechet emd
    wer cer ter mer eer far frr fmr fnmr fpr fnr fpir fnir fdr fta ftar hter acer apcer bpcer dcf mindcf
    errorrate ece mce ace brier lpips fid kid niqe brisque regularizer regulariser meanrank medr
    misclassification hamming residual residuals""")
_RISING = _set("""accuracy accuracies acc auc auroc roc aupr auprc ap map mar ar f1 f2 fscore dice jaccard iou miou giou
    precision prec recall sensitivity specificity tpr tnr tmr tar gar tpir tdr ppv npv truerate r2 ev
    correlation corr pearson pearsonr spearman spearmanr kendall kendalltau kappa qwk mcc matthews
    cosine cossim ssim msssim psnr snr sisnr sdr pesq stoi bleu sacrebleu rouge rougel rougelsum meteor cider
    spice chrf ndcg dcg mrr hit hits hitrate cmc em elbo likelihood reward rewards return returns success
    purity nmi ari ami silhouette pck oks nds mota hota idf1 fitness""")
_COSTS = {  # they have a direction, but are not measures of what was learnt
    LOWER: _set("""time times seconds secs sec ms millis milliseconds minutes hours duration elapsed runtime latency eta
        memory mem wallclock walltime std stddev stderr sem sd var variance"""),
    HIGHER: _set("throughput fps speed"),
}
_BOOKKEEPING = _set(  # neither falls nor rises for the better, whatever words stand before it
    """lr lrs learningrate wd momentum count counts num number nb size threshold thresholds thresh thr timestamp
    seed index id date stage scale temperature margin weight weights param params parameters flops macs gflops
    flos norm xnorm gradnorm samples images examples pairs support dropout ratio progress grad gradient
    gap drop diff difference delta change"""
)
_NEUTRAL = _set("epoch epochs step steps iter iters iteration iterations batch batches runtime")
_WEAK = _set("top rank1 rank5 rank10 pass")  # they rise where no other word says more
_FACE_SET = re.compile(r"[a-z]*lfw|cfp(?:fp|ff)?|agedb|vgg2(?:fp)?|vggface2|ijb[abcs]?|megaface|rfw|ytf")
_ACCEPTED = _set("tar gar tpr tmr tpir tdr truerate recall sensitivity")
_FALSELY = _set("far fpr fmr fpir fdr")  # `tar_far_1e-3` is a TAR at a FAR

_WORDS = re.compile(r"[^A-Za-z0-9]+|(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_PHRASES = tuple(
    (re.compile(rf"(?<![a-z0-9]){pattern}(?![a-z])"), word)
    for pattern, word in (
        (r"learning_rate", "lr"),
        (r"weight_decay", "wd"),
        (r"(?:best|last)_(?:epoch|step|iter)", "count"),
        (r"neg(?:ative)?_log_likelihood", "nll"),
        (r"neg_(?:mean|median|root|max|brier|log)_.*", "negated"),  # scikit-learn's scorers rise
        (r"bits_per_(?:byte|char|dim|token|character)", "bpb"),
        (r"per_(?:s|sec|secs|second)", "throughput"),
        (r"per_(?:step|batch|epoch|image|iter|iteration|sample|token|class|word|example|pixel)", ""),
        (r"cross_entropy", "crossentropy"),
        (r"io_u", "iou"),
        (r"r_squared|r_2|rsquared", "r2"),
        (r"f_(?:beta|score|measure|[0-9])|fbeta|f[0-9]*_?score", "fscore"),
        (r"exact_match", "em"),
        (r"explained_variance", "ev"),
        (r"mean_reciprocal_rank", "mrr"),
        (r"(?:mean|median|avg|average)_rank", "meanrank"),
        (r"rank_(?=[0-9])", "rank"),
        (r"positive_predictive_value|negative_predictive_value", "ppv"),
        (r"false_(?:non_)?[a-z]+_(?:identification_)?rates?", "errorrate"),
        (r"true_(?:non_)?[a-z]+_(?:identification_)?rates?", "truerate"),
        (r"(?:true|false)_(?:positives|negatives)", "count"),
    )
)

_SPLITS = _set("train val valid validation test eval evaluation dev holdout")
_FILLERS = _set("mean categorical sparse binary k top rate squared absolute percentage logarithmic coef")
_BEST_OF = re.compile(r"(?:acc|accuracy|top)_?(?:[2-9]|[1-9]\d+)(?!\d)")  # right among the first five
_NEVER = (FORECAST_PREFIX, BEST_PREFIX, "batch_")

_recorded: dict[str, str] = {}  # what specs and records say of metrics that the words do not know
_by_user: dict[str, str] = {}  # what the user says in this command; it goes before everything


def direction(metric: str) -> str | None:
    """Return LOWER or HIGHER, whichever values of `metric` are better, or None where nobody knows.

    What the user says (`directions`) goes before what a spec or a record says (`declare`), and that before
    the words of the name.
    """
    plain = _plain(metric)
    return _by_user.get(plain) or _recorded.get(plain) or _by_words(plain)[0]


def lower_is_better(metric: str) -> bool:
    """Tell whether small values of `metric` are good; no for a metric without a direction."""
    return direction(metric) == LOWER


def badness(values: Any, lower: bool) -> Any:
    """Return a number, an array or a column of them so that less is better: what orders and `min` go by."""
    return values if lower else -values


def best_label(values: Any, metric: str) -> Any:
    """Return the index label of the first best in a column of a metric; missing values are never best."""
    return badness(values, lower_is_better(metric)).idxmin()


def is_better(metric: str, value: float, known: float | None, side: str | None = None) -> bool:
    """Tell whether `value` is better than the best one `known` so far; any is better than none, equal is not.

    `side` is LOWER or HIGHER where a spec says it; else the direction of `metric` counts.
    """
    lower = (side or direction(metric)) == LOWER
    return known is None or bool(badness(value, lower) < badness(known, lower))


def counts(metric: str) -> bool:
    """Tell whether `metric` may be the one that counts: it has a direction and is not a bookkeeping or cost."""
    plain = _plain(metric)
    return plain in _by_user or plain in _recorded or _by_words(plain)[1]


def has_best(metric: str) -> bool:
    """Tell whether a best value of `metric` is shown: not of by-products, nor of what does not count or has no direction."""
    by_product = metric == REGULAR_LOSS or metric.endswith(DERIVED_SUFFIXES)
    return not by_product and counts(metric) and direction(metric) is not None


def user_directions() -> dict[str, str]:
    """Return what the user said in this command: {metric: LOWER or HIGHER}."""
    return dict(_by_user)


def of_unknown_direction(known: Iterable[str]) -> list[str]:
    """Return the metrics of which nobody knows whether they should fall or rise; bookkeeping need not."""
    return [
        name
        for name in dict.fromkeys(map(str, known))
        if direction(name) is None
        and not any(_word(w) is not None or w in _NEUTRAL for w in words_of(_plain(name)))
        and not name.startswith(_NEVER)
    ]


def declare(lower: Iterable[str] = (), higher: Iterable[str] = ()) -> None:
    """Note what a spec or a record says of its own metrics, for as long as the process lives."""
    _recorded.update({_plain(name): LOWER for name in lower} | {_plain(name): HIGHER for name in higher})


def declare_recorded(parameters: Mapping[str, object], tags: Mapping[str, str]) -> None:
    """Note what a run's own record says: its evaluation sets rise, `select` does as its spec says."""
    sets = [name for name in str(parameters.get("evaluate", "")).split(", ") if name]
    declare(higher=[name for name in sets if direction(name) is None])
    selected, said = parameters.get("select"), parameters.get("select_direction")
    if selected and said in DIRECTIONS:
        declare(**{str(said): [str(selected)]})
    declare(tags.get(TAG_LOWER, "").split(",") if TAG_LOWER in tags else (), ())
    declare((), tags.get(TAG_HIGHER, "").split(",") if TAG_HIGHER in tags else ())


def declare_sets(known: Iterable[str]) -> None:
    """Note that a name with by-products of an evaluation beside it (`x` and `x_thresh`) is an accuracy."""
    there = {str(name) for name in known}
    sets = {name[: -len(s)] for name in there for s in (*DERIVED_SUFFIXES, PEAK_SUFFIX) if name.endswith(s)}
    declare(higher=[name for name in sets & there if direction(name) is None])


@contextmanager
def directions(lower: Iterable[str] = (), higher: Iterable[str] = ()) -> Iterator[None]:
    """Hold what the user says of metrics while a command runs."""
    before = dict(_by_user)
    _by_user.update({_plain(name): LOWER for name in lower} | {_plain(name): HIGHER for name in higher})
    try:
        yield
    finally:
        _by_user.clear()
        _by_user.update(before)


def no_direction(*metrics: str) -> str:
    """Return the one line about metrics of which nobody knows which values are better."""
    one = metrics[0]
    said = "it should" if len(metrics) == 1 else "they should"
    return (
        f"no best of {few(metrics, SAID)}: whether {said} fall or rise is not known; "
        f"say --lower {one} or --higher {one}"
    )


def is_evaluation(metric: str) -> bool:
    """Tell whether `metric` is the accuracy of an evaluation set rather than a by-product of one."""
    plain = (LOSS, REGULAR_LOSS, ACCURACY, LEARNING_RATE, STAGE, SECONDS, IMAGES_PER_SECOND)
    return not (
        metric in plain
        or metric.startswith((VAL_PREFIX, FORECAST_PREFIX))
        or metric.endswith((*DERIVED_SUFFIXES, PEAK_SUFFIX, LOSS_SUFFIX))
    ) and counts(metric)


def metric_that_counts(known: Iterable[str], requested: Iterable[object] = ()) -> str | None:
    """Return the metric that chooses the best epoch: the first one `requested` that is known, else the usual; or None.

    `requested` is what records and specs say, in the order in which it goes, None and missing values among it.
    The last evaluation set goes before held-out data, that before training; what is not a loss before losses;
    accuracies before other measures, and the plain one before the best of five.
    """
    there = dict.fromkeys(map(str, known))
    said = next((name for name in requested if isinstance(name, str) and name in there), None)
    if said is not None:
        return said
    able = [name for name in there if counts(name) and not name.startswith(_NEVER)]
    split = any(_SPLITS.intersection(words_of(name)[:1]) == {"train"} for name in able)

    def rank(position: int) -> tuple[int, ...]:
        name = able[position]
        words = words_of(name)
        held_out = bool(_SPLITS.intersection(words) - {"train"})
        training = "train" in words or f"{VAL_PREFIX}{name}" in able
        loss = name == REGULAR_LOSS or any("loss" in word for word in words)
        bare = all(_known(word) for word in words)  # `mae` names no set, and alone is of the training
        own = is_evaluation(name) and not (training or loss or (bare and (held_out or not split)))
        best_of = bool(_BEST_OF.search("_".join(words)))
        accurate = any(word.startswith(("acc", "top")) or word.endswith("accuracy") for word in words)
        usual = name in (LOSS, f"{VAL_PREFIX}{LOSS}", ACCURACY, f"{VAL_PREFIX}{ACCURACY}", "agedb_30")
        at = bool(re.search(r"@|[_ ]at[_ ]", name))
        place = 3 if own else 2 if held_out else 1 if not training or name == ACCURACY else 0
        falls = direction(name) == LOWER
        return (not loss, place, usual, accurate and not best_of, not best_of, not at, not falls, position)

    return able[max(range(len(able)), key=rank)] if able else None


def _known(word: str) -> bool:
    said = word in _WEAK or word in _FILLERS or word in _SPLITS or word.rstrip("0123456789") in ("", "top")
    return said or _word(word) is not None


def _plain(metric: str) -> str:
    name = metric.removeprefix(FORECAST_PREFIX).removeprefix(BEST_PREFIX)
    return name.removesuffix(PEAK_SUFFIX).removesuffix(TENFOLD_SUFFIX)


@lru_cache(maxsize=4096)
def _by_words(metric: str) -> tuple[str | None, bool]:
    """Return the direction that the words of a name say, and whether the metric may count."""
    words = words_of(metric)
    found: tuple[str | None, bool] | None = None
    for position in range(len(words) - 1, -1, -1):
        found = _word(words[position])
        if found is not None:
            if words[position] in _FALSELY and not _ACCEPTED.isdisjoint(words[:position]):
                return HIGHER, True
            return found
    if any(word.rstrip("0123456789") in _WEAK or word in _WEAK for word in words) or (
        words and _FACE_SET.fullmatch(words[0])
    ):
        return HIGHER, True
    return None, False


def words_of(metric: str) -> list[str]:
    """Return the words of a name in small letters; what follows `@` or `at` only says where it was measured."""
    text = "_".join(word.lower() for word in _WORDS.split(metric.replace("@", " at ")) if word)
    for pattern, word in _PHRASES:
        text = pattern.sub(word, text)
    words = [word for word in text.split("_") if word]
    return words[: words.index("at")] if "at" in words[1:] else words


def _word(word: str) -> tuple[str | None, bool] | None:
    """Return what one word says: a direction and whether it may count; None where it says nothing."""
    if word == "negated":
        return HIGHER, True
    for form in (word, word.rstrip("0123456789")):
        if form in _BOOKKEEPING:
            return None, False
        for side in DIRECTIONS:
            if form in _COSTS[side]:
                return side, False
        if form in _FALLING:
            return LOWER, True
        if form in _RISING:
            return HIGHER, True
    if "loss" in word or "error" in word:
        return LOWER, True
    if "accuracy" in word or word.endswith(("acc", "auc", "recall", "precision")):
        return HIGHER, True
    return None


def stage_parameter(number: int, field: str) -> str:
    """Return the parameter name of a stage's setting: `stages.1.loss.scale` for (1, "loss.scale")."""
    return f"stages.{number}.{field}"
