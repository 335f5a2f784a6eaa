"""Which direction is better, and which metric counts, from names as real programs write them."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from workbench import names
from workbench.cli import program
from workbench.names import HIGHER, LOWER, counts, direction, metric_that_counts

FALL = [
    "loss",
    "val_loss",
    "regular_loss",
    "arcface_loss",
    "train/box_loss",
    "val/dfl_loss",
    "error",
    "val_error_rate",
    "EER",
    "LFW_eer",
    "lfw_far",
    "LFW_frr",
    "FNMR",
    "mae",
    "val_mae",
    "val_mean_absolute_error",
    "MSE",
    "rmse",
    "mape",
    "perplexity",
    "wer",
    "cer",
    "HTER",
    "ece",
    "brier",
    "brier_score",
    "top1_error",
    "err_top1",
    "top1_err",
    "time",
    "seconds",
    "lfw_tenfold_std",
    "train_loss_epoch",
    "train_loss_step",
    "eval_loss",
    "eval_runtime",
    "loss_bbox",
    "CELOSS",
    "crossentropy",
    "val_sparse_categorical_crossentropy",
    "false_accept_rate",
    "false_non_match_rate",
    "FNMR@FMR=1e-3",
    "equal_error_rate",
    "neg_log_likelihood",
    "nll",
    "valLoss",
    "Val~Loss",
    "lossvalue",
    "bits_per_byte",
    "mean_rank",
    "metrics/mse",
    "d_loss",
    "total_loss",
    "loss/total",
    "epoch_loss",
    "ms_per_step",
    "FRR@FAR",
    "val_err",
    "forecast.loss",
    "best/loss",
]
RISE = [
    "accuracy",
    "val_accuracy",
    "lfw",
    "cfp_fp",
    "agedb_30",
    "lfw_peak",
    "lfw_tenfold",
    "calfw",
    "vgg2_fp",
    "IJBB",
    "IJBC",
    "AgeDB30_accuracy",
    "LFW_auc",
    "AgeDB30_tar_at_far_1e-2",
    "TAR@FAR=1e-4",
    "tar_far_1e-4",
    "tpr_fpr_1e4",
    "metrics/mAP50-95(B)",
    "metrics/precision(B)",
    "metrics/recall(B)",
    "mAP",
    "mIoU",
    "mean_io_u_5",
    "val_mean_io_u",
    "dice_coef",
    "f1",
    "val_f1_score",
    "F1Score",
    "recall@1",
    "R2",
    "r2_score",
    "cosine_similarity",
    "eval_top1",
    "eval_top5",
    "test_acc1",
    "val/acc",
    "train_acc",
    "top_k_categorical_accuracy",
    "Acc@1",
    "Accuracy-Flip",
    "neg_mean_squared_error",
    "exact_match",
    "images_per_second",
    "train_samples_per_second",
    "Val~Acc",
    "psnr",
    "true_positive_rate",
    "rank1",
    "Rank-1",
    "bleu",
    "rouge1",
    "rougeLsum",
    "kappa",
    "avg_verification_accuracy",
    "{fc7_acc}",
    "accuracy_top1",
    "auc_2",
    "ilfw-test",
    "ROC_AUC",
    "r_squared",
    "eval/f1",
    "top1",
    "forecast.lfw",
    "best/lfw",
]
NEITHER = [
    "lr",
    "lr/pg0",
    "learning_rate",
    "learning_rate_group_0",
    "step",
    "global_step",
    "epoch",
    "_step",
    "_timestamp",
    "num_pairs",
    "LFW_num_pairs",
    "LFW_threshold",
    "lfw_thresh",
    "lfw_xnorm",
    "stage",
    "batch_size",
    "momentum",
    "weight_decay",
    "grad_norm",
    "loss_scale",
    "accuracy_threshold",
    "error_count",
    "total_flos",
    "n_samples",
    "lead",
    "foo",
    "beta_1",
    "train/lr-SGD",
    "x/lr0",
    "lr-AdamW",
    "update_ratio",
    "generalization_gap",
    "true_positives",
    "best_epoch",
]


@pytest.mark.parametrize(("side", "metrics"), [(LOWER, FALL), (HIGHER, RISE), (None, NEITHER)])
def test_the_words_of_a_name_tell_which_direction_is_better(side: str | None, metrics: list[str]):
    metrics = [metric.replace("~", " ") for metric in metrics]
    assert {metric: direction(metric) for metric in metrics} == dict.fromkeys(metrics, side)


def test_times_and_speeds_have_a_direction_but_never_count():
    costs = [
        "seconds",
        "time",
        "images_per_second",
        "lfw_tenfold_std",
        "eval_runtime",
        "train_samples_per_second",
        "lr",
    ]
    assert [metric for metric in costs if counts(metric)] == []
    assert direction("seconds") == LOWER and direction("images_per_second") == HIGHER


@pytest.mark.parametrize(
    ("metric", "known"),
    [
        ("agedb_30", "loss accuracy lr lfw agedb_30 cfp_fp lfw_thresh"),
        ("cfp_fp", "loss accuracy lr lfw cfp_fp cfp_fp_tenfold_std stage"),
        ("val_mae", "loss mae val_loss val_mae"),
        ("val_accuracy", "loss accuracy val_accuracy val_loss"),
        ("accuracy", "loss accuracy lr seconds images_per_second"),
        (
            "metrics/mAP50-95(B)",
            "time train/box_loss metrics/precision(B) metrics/recall(B) metrics/mAP50(B) metrics/mAP50-95(B)"
            " val/box_loss lr/pg0",
        ),
        (
            "LFW_accuracy",
            "loss lr avg_verification_accuracy seconds CALFW_accuracy CALFW_auc LFW_accuracy LFW_threshold LFW_far"
            " LFW_eer LFW_auc LFW_tar_at_far_1e-3 LFW_num_pairs",
        ),
        ("error_rate", "train_loss valid_loss error_rate time"),
        ("eval_top1", "train_loss eval_loss eval_top1 eval_top5 lr"),
        ("test_acc1", "train_lr train_loss test_loss test_acc1 test_acc5 n_parameters"),
        ("eval_accuracy", "loss learning_rate eval_loss eval_accuracy eval_runtime eval_samples_per_second"),
        ("val/acc", "train/loss train/acc val/acc val/loss _step _runtime"),
        ("val_loss", "loss lr val_loss"),
        ("loss", "loss lr seconds arcface_loss"),
        ("ilfw-test", "loss accuracy ilfw ilfw-test ilfw_xnorm images_per_second"),
        (None, "lr foo step num_pairs"),
    ],
)
def test_the_metric_that_counts_is_of_unseen_data_and_no_bookkeeping(metric: str | None, known: str):
    assert metric_that_counts(known.split()) == metric


def test_what_a_person_says_goes_before_a_record_and_that_before_the_words():
    assert direction("sharpness") is None and not counts("sharpness")
    names.declare(lower=["sharpness"])
    assert direction("sharpness") == LOWER and counts("sharpness")
    with names.directions(higher=["sharpness", "loss"]):
        assert direction("sharpness") == direction("loss") == HIGHER
    assert direction("sharpness") == direction("loss") == LOWER


def test_a_record_says_what_its_own_names_mean():
    names.declare_recorded(
        {"evaluate": "own_pairs, lfw", "select": "quaintness", "select_direction": "lower"}, {}
    )
    assert direction("own_pairs") == HIGHER and direction("quaintness") == LOWER
    names.declare_recorded({}, {names.TAG_LOWER: "oddness,queerness"})
    assert direction("oddness") == direction("queerness") == LOWER
    names.declare_sets(["strangers", "strangers_thresh"])
    assert direction("strangers") == HIGHER


def test_unknown_names_are_told_and_bookkeeping_is_not():
    assert names.of_unknown_direction(
        ["lr", "blah", "loss", "num_pairs", "_timestamp", "epoch", "stage"]
    ) == ["blah"]
    assert names.no_direction("blah").endswith("say --lower blah or --higher blah")


def test_an_unknown_metric_is_never_called_best_by_guess(tmp_path):
    history = tmp_path / "a_hist.json"
    history.write_text('{"loss": [3.0, 1.0, 2.0], "blah": [1.0, 9.0, 5.0]}')
    asked = ["table", str(history), "--select", "blah"]
    refused = CliRunner().invoke(program, asked)
    assert "--lower blah or --higher blah" in str(refused.exception)
    result = CliRunner().invoke(program, [*asked, "--higher", "blah"])
    assert (
        result.exit_code == 0
        and "| a_hist" in result.output.replace("a ", "a_hist", 1)
        and " 9 " in result.output
    )
    least = CliRunner().invoke(program, [*asked, "--lower", "blah"])
    assert least.exit_code == 0 and " 9 " not in least.output
