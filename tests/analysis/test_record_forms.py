"""The forms in which programs write records, each in its smallest form: what is read, and what is remarked."""

from __future__ import annotations

import math
import pickle
from collections import OrderedDict

import numpy as np
import pytest

from analysis.sources import Options, load
from workbench.errors import RecordError

TWO = {"loss": {1: 1.5, 2: 1.2}}
FORMS = {  # file: its text, what is read by run (or of the only one), words of a remark
    "comma.csv": ("epoch;loss\n0;1,5\n1;1,2\n", TWO, "decimal points"),
    "quoted.csv": ('epoch,loss\n0,"1,5"\n1,"1,2"\n', TWO, "decimal points"),
    "tabs.tsv": ("epoch\tloss\n0\t1.5\n1\t1.2\n", TWO, ""),
    "spaces.txt": ("epoch  loss\n1      1.5\n2      1.2\n", TWO, ""),
    "padded.csv": ("  Epoch, loss \n    1,  1.5\n    2, 1.2\n", TWO, ""),
    "blank.csv": ("epoch,loss\r\n\r\n0,1.5\r\n\r\n1,1.2\r\n", TWO, ""),
    "two_indexes.csv": (",epoch,loss\n0,1,1.5\n1,2,1.2\n", TWO, ""),
    "no_epoch.csv": ("loss,accuracy\n1.5,0.1\n1.2,0.2\n", TWO, "a row is taken for an epoch"),
    "floats.csv": ("epoch,loss\n0.0,1.5\n1.0,1.2\n", TWO, ""),
    "before.csv": ("# made by me\nepoch,loss\n0,1.5\n1,1.2\n", TWO, "before the header"),
    "percent.csv": ("epoch,loss\n0,1.5%\n1,1.2 %\n", TWO, "percent"),
    "tensors.csv": ("epoch,loss\n0,tensor(1.5)\n1,\"tensor(1.2, device='cuda:0')\"\n", TWO, "tensor"),
    "arrays.csv": ('epoch,loss,cm\n0,1.5,"[[1 2]\n [3 4]]"\n1,1.2,"[[1 2]\n [3 4]]"\n', TWO, "left out"),
    "impossible.csv": ("epoch,loss\n-1,9\n0,1.5\n1,1.2\n", TWO, "not possible"),
    "milliseconds.csv": ("step,loss\n1700000000000,1.5\n1700000001000,1.2\n", TWO, "inferred"),
    "columns_change.csv": (
        "epoch,loss\n0,1.5\nepoch,loss,lr\n1,1.2,0.1\n",
        {**TWO, "lr": {2: 0.1}},
        "another header",
    ),
    "resumed.csv": ("epoch,loss\n0,1.5\n1,9\n2,9\n1,1.2\n", TWO, "supersedes"),
    "anew.csv": (
        "epoch,loss\n0,1.5\n1,1.2\n0,3\n1,2\n",
        {"anew#1": TWO, "anew#2": {"loss": {1: 3, 2: 2}}},
        "anew",
    ),
    "timm.csv": (
        "epoch,train_loss,eval_top1,lr\n0,6.9,0.1,1e-6\n1,6.8,1.1,2e-6\n",
        {"eval_top1": {1: 0.1, 2: 1.1}},
        "",
    ),
    "lightning.csv": (
        "lr-Adam,step,epoch,train_loss,val_loss\n0.1,0,,,\n,49,0,1.5,\n,99,0,1.3,\n,99,0,,1.3\n0.05,100,,,\n,149,1,1.2,\n"
        ",199,1,,1.1\n",
        {"train_loss": {1: 1.4, 2: 1.2}, "val_loss": {1: 1.3, 2: 1.1}, "lr-Adam": {1: 0.1, 2: 0.05}},
        "inferred",
    ),
    "wandb_history.csv": (
        ",_step,_runtime,_timestamp,epoch,train/loss,val/loss\n0,0,1.2,1700000000.1,0,1.5,\n1,100,2.2,1700000001.1,0,,1.3\n"
        "2,200,3.2,1700000002.1,1,1.2,1.0\n",
        {"train/loss": {1: 1.5, 2: 1.2}, "val/loss": {1: 1.3, 2: 1.0}},
        "",
    ),
    "wandb_chart.csv": (
        '"Step","one - loss","one - loss__MIN","two - loss"\n"0","1.5","1.5","1.4"\n"1","1.2","1.2","1.1"\n',
        {"one": TWO, "two": {"loss": {1: 1.4, 2: 1.1}}},
        "",
    ),
    "mae.txt": (
        '{"train_lr": 1e-06, "loss": 1.5, "epoch": 0}\n{"train_lr": 1e-05, "loss": 1.2, "epoch": 1}\n',
        TWO,
        "",
    ),
    "cut.jsonl": (
        '{"epoch": 1, "loss": 1.5}\n{"epoch": 2, "loss": 1.2}\n{"epoch": 3, "lo',
        TWO,
        "not a JSON object",
    ),
    "objects.json": (
        '[{"epoch":1,"loss":1.5,"val":{"acc":0.5}},{"epoch":2,"loss":1.2}]',
        {**TWO, "val/acc": {1: 0.5}},
        "",
    ),
    "history.json": ('{"history":{"loss":[1.5,1.2]},"epoch":[0,1],"params":{"epochs":2}}', TWO, ""),
    "by_epoch.json": ('{"0":{"loss":1.5},"1":{"loss":1.2}}', TWO, ""),
    "split.json": ('{"columns":["loss"],"index":[0,1],"data":[[1.5],[1.2]]}', TWO, "inferred"),
    "inner.json": ('{"train":{"loss":[1.5,1.2]}}', {"train/loss": TWO["loss"]}, ""),
    "single.json": ('{"loss":[[1.5],[1.2]]}', TWO, ""),
    "texts.json": ('{"loss":["1.5","1.2"],"who":["a","b"]}', TWO, "left out"),
    "printed.txt": ("{'loss': [1.5, 1.2], 'acc': [0.1, nan]}", TWO, ""),
    "bars.log": (
        "Epoch 1/2\n   32/600 [>.....] - ETA: 10:00 - loss: 2.3000\n600/600 [=======] - 12s 200us/step - loss: 1.5000\n"
        "Epoch 2/2\n600/600 [=======] - 12s - loss: 1.2000\n10/10 [=====] - 1s 100us/step - loss: 0.9000\n",
        {**TWO, "seconds": {1: 12, 2: 12}},
        "",
    ),
    "keras1.log": (
        "Train on 6 samples\nEpoch 1/2\n - 5s - loss: 1.5000 - acc: 0.9\nEpoch 2/2\n - 5s 81us/step - loss: 1.2000\n",
        TWO,
        "",
    ),
    "keras3.log": (
        "Epoch 1/2\n6/6 - 1s - 113ms/step - loss: 1.5000\nEpoch 2/2\n6/6 - 0s - 13ms/step - loss: 1.2000\n",
        TWO,
        "",
    ),
    "colours.log": (
        "\x1b[1mEpoch 1/2\x1b[0m\n\x1b[1m1/6\x1b[0m \x1b[32m━━\x1b[37m━━\x1b[0m \x1b[1m4s\x1b[0m 9ms/step - loss: 1.7"
        "\x08\x08\r\x1b[1m6/6\x1b[0m \x1b[32m━━━\x1b[0m \x1b[1m1s\x1b[0m 7ms/step - loss: 1.5000\n"
        "Epoch 2/2\n6/6 ━━━ 1s 7ms/step - loss: 1.2000\n",
        TWO,
        "",
    ),
    "wrapped.log": (
        "Epoch 1/2\n9/9 [====] - 5s 2ms/step - loss: 1.5000 - val_loss: \n1.4000\nEpoch 2/2\n9/9 [====] - 5s 2ms/step - lo\n"
        "ss: 1.2000\n",
        {**TWO, "val_loss": {1: 1.4}},
        "",
    ),
    "killed.log": (
        "Epoch 1/3\n6/6 [===] - 1s 7ms/step - loss: 1.5000\nEpoch 2/3\n6/6 [===] - 1s 7ms/step - loss: 1.2000\nEpoch 3/3\n"
        "3/6 [=>...] - ETA: 4s - loss: 0.6\n",
        TWO,
        "ended within it",
    ),
    "insightface.log": (
        "Epoch 1/25\n\nLearning rate for iter 1 is 0.1, weight decay is 5e-05\n"
        "45/45 [===] - 7034s 155ms/step - loss: 1.5000 - accuracy: 0.0123\n\n"
        ">>>> /data/lfw.bin evaluation max accuracy: 0.989333, thresh: 0.278, previous max accuracy: 0.980000\n"
        "Epoch 2/25\n45/45 [===] - 7034s 155ms/step - loss: 1.2000\n",
        {
            **TWO,
            "lr": {1: 0.1},
            "lfw": {1: 0.989333},
            "lfw_thresh": {1: 0.278},
            "seconds": {1: 7034, 2: 7034},
        },
        "",
    ),
    "parall.log": (
        "lr_steps [100000]\nINFO:root:Iter[0] Batch [8520]\tSpeed: 301.72 samples/sec\n{fc7_acc} 236000 0.80078125\n"
        "CELOSS,236000,1.500000\n[lfw][236000]Accuracy-Flip: 0.99817+-0.00273\nlr change to 0.01\n",
        {"accuracy": {1: 0.80078125}, "loss": {1: 1.5}, "lfw": {1: 0.99817}, "lr": {1: 0.01}},
        "",
    ),
    "headless.log": (
        "[lfw][90000]Accuracy-Flip: 0.99817+-0.00273\n"
        "INFO:root:Epoch[12] Batch [8540]\tSpeed: 301.72 samples/sec\tacc=0.100000\nINFO:root:Epoch[12] Train-acc=0.500000\n",
        {"lfw": {13: 0.99817}, "accuracy": {13: 0.5}},
        "",
    ),
    "no_steps.log": (
        "Called with argument: Namespace(batch_size=512, lr=0.1, lr_steps='', margin_m=0.5)\nlr_steps [5, 30]\n"
        "INFO:root:Epoch[0] Batch [10]\tSpeed: 301.72 samples/sec\tacc=0.100000\n",
        {"lr": {1: pytest.approx(0.01)}},
        "",
    ),
    "torch.log": (
        "Training: 2021-03-14 21:40:00,151-Speed 4475.51 samples/sec   Loss 1.6000   LearningRate 0.1000   Epoch: 0   "
        "Global Step: 50   Required: 9 hours\n"
        "Training: 2021-03-14 21:50:00,151-Speed 4475.51 samples/sec   Loss 1.4000   LearningRate 0.1000   Epoch: 0   "
        "Global Step: 100   Required: 9 hours\n"
        "Training: 2021-03-14 21:50:00,151-[/data/lfw.bin][100]Accuracy-Flip: 0.97933+-0.00720\n",
        {"loss": {1: 1.5}, "lfw": {1: 0.97933}, "seconds": {1: 600}},
        "",
    ),
}


def by_run(records):
    found = {}
    for (run, metric), rows in records.epochs.groupby(["run", "metric"], observed=True, sort=False):
        rows = rows.drop_duplicates("epoch", keep="last")
        found.setdefault(run, {})[metric] = dict(zip(rows["epoch"], rows["value"]))
    return found


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_forms(tmp_path, name, encoding):
    text, expected, words = FORMS[name]
    path = tmp_path / name
    path.write_bytes(text.encode(encoding))
    found = load([path])
    runs = by_run(found)
    wanted = expected if set(expected) <= set(runs) else {next(iter(runs)): expected}
    for run, metrics in wanted.items():
        for metric, values in metrics.items():
            assert runs[run][metric] == values, metric
    assert len(runs) == len(wanted)
    assert words in " ".join(note.what for note in found.notes)
    assert not {"epoch", "Epoch", "step", "Step", "_step", "_timestamp"} & {
        m for own in runs.values() for m in own
    }


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("make", [dict, OrderedDict])
def test_pickled_histories(tmp_path, make, protocol):
    path = tmp_path / "trainHistoryDict"
    history = make(loss=[1.5, np.float32(1.25)], val_acc=[np.float64(0.5), 0.75], lr=np.array([0.1, 0.01]))
    path.write_bytes(pickle.dumps(history, protocol=protocol))
    (own,) = by_run(load([path])).values()
    assert own == {"loss": {1: 1.5, 2: 1.25}, "val_acc": {1: 0.5, 2: 0.75}, "lr": {1: 0.1, 2: 0.01}}


def test_a_pickle_that_is_more_than_numbers_is_refused_by_name(tmp_path):
    path = tmp_path / "history.pkl"
    path.write_bytes(pickle.dumps({"loss": [1.0], "model": math.sqrt}))
    with pytest.raises(Exception, match="refused, it holds math.sqrt"):
        load([path])


def test_nan_is_a_value_and_an_empty_cell_is_none(tmp_path):
    path = tmp_path / "nan.csv"
    path.write_text("epoch,loss,acc\n0,1.5,\n1,nan,0.5\n2,inf,NA\n")
    (own,) = by_run(load([path])).values()
    assert math.isnan(own["loss"][2]) and own["loss"][3] == math.inf and own["acc"] == {2: 0.5}


def test_of_several_files_one_that_cannot_be_read_is_told(tmp_path):
    (tmp_path / "good.json").write_text('{"loss": [1.5, 1.2]}')
    (tmp_path / "bad.json").write_text("{")
    found = load([tmp_path / "*.json"])
    assert found.runs["run"].tolist() == ["good"] and "not read" in str(found.notes[0])
    with pytest.raises(RecordError, match="cannot be read as JSON"):
        load([tmp_path / "bad.json"])


def test_a_refusal_shows_its_evidence_and_the_nearest_form(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("epoch,who\n0,me\n1,you\n")
    with pytest.raises(
        RecordError, match="who: a cell that is not a number.*expected a CSV file: a first line"
    ):
        load([path])
    (tmp_path / "b.log").write_text("hello\n")
    with pytest.raises(RecordError, match="begins with 'hello'.*console output of Keras"):
        load([tmp_path / "b.log"])


def test_a_folder_of_a_training_is_read_by_its_record(tmp_path):
    run = tmp_path / "lightning_logs" / "version_3"
    run.mkdir(parents=True)
    (run / "metrics.csv").write_text("epoch,step,val_loss\n0,9,1.5\n1,19,1.2\n")
    (run / "hparams.yaml").write_text("lr: 0.1\n")
    assert by_run(load([run])) == {"version_3": {"val_loss": {1: 1.5, 2: 1.2}}}
    assert by_run(load([tmp_path / "lightning_logs"])) == {"version_3": {"val_loss": {1: 1.5, 2: 1.2}}}


def test_stages_are_kept_only_where_they_fit(tmp_path):
    for name, epochs in (("long", 3), ("short", 2)):
        (tmp_path / f"{name}_hist.json").write_text(f'{{"loss": {[1.0] * epochs}}}')
    found = load([tmp_path / "*.json"], options=Options(stages=(2, 1)))
    stages = found.epochs.groupby("run", observed=True)["stage"].max()
    assert stages.to_dict() == {"long": 2, "short": 1}
    assert "--stages 2,1 do not fit its 2 epochs" in str(found.notes[0])


def values_of(path, metric):
    own = load([path]).epochs.query("metric == @metric")
    return own["epoch"].tolist(), own["value"].tolist()


@pytest.mark.parametrize(
    ("name", "text", "metric", "epochs", "values"),
    [
        (  # durations that grow are not a clock, whose steps are alike
            "history.csv",
            "epoch,train_loss,valid_loss,accuracy,time\n0,.7,.5,.8,00:18\n1,.5,.4,.8,01:02\n2,.2,.4,.8,1:00:05\n",
            "seconds",
            [1, 2, 3],
            [18, 62, 3605],
        ),
        (
            "clock.csv",
            "epoch,loss,time\n0,3,10.5\n1,2,20\n2,1,30.5\n",
            "seconds",
            [1, 2, 3],
            [10.5, 9.5, 10.5],
        ),
        (  # mmengine counts epochs as the steps of evaluations, and iterations as those of training
            "scalars.json",
            '{"lr": 0.1, "loss": 2.0, "epoch": 1, "step": 50}\n{"lr": 0.1, "loss": 1.0, "epoch": 1, "step": 100}\n'
            '{"coco/bbox_mAP": 0.1, "step": 1}\n{"lr": 0.1, "loss": 0.5, "epoch": 2, "step": 150}\n'
            '{"coco/bbox_mAP": 0.2, "step": 2}\n',
            "coco/bbox_mAP",
            [1, 2],
            [0.1, 0.2],
        ),
        (  # detectron2: evaluations end the epochs, whatever they are called
            "metrics.json",
            "".join(f'{{"iteration": {n}9, "total_loss": 1.0}}\n' for n in range(1, 9))
            + '{"bbox/AP": 10.5, "iteration": 99, "total_loss": 1.0}\n{"iteration": 119, "total_loss": 0.9}\n'
            '{"bbox/AP": 20.5, "iteration": 199, "total_loss": 0.5}\n',
            "bbox/AP",
            [1, 2],
            [10.5, 20.5],
        ),
        (
            "mxnet.log",
            "INFO:root:Epoch[0] Train-accuracy=0.250000\nINFO:root:Epoch[0] Time cost=10.500\n"
            "INFO:root:Epoch[0] Validation-accuracy=0.300000\nINFO:root:Epoch[1] Train-accuracy=0.450000\n"
            "INFO:root:Epoch[1] Validation-accuracy=0.500000\n",
            "val_accuracy",
            [1, 2],
            [0.3, 0.5],
        ),
        ("by_epoch.json", '{"epoch_1": {"loss": 2.0}, "epoch_2": {"loss": 1.0}}', "loss", [1, 2], [2.0, 1.0]),
    ],
    ids=["durations", "clock", "mmengine", "detectron2", "mxnet validation", "epoch keys"],
)
def test_what_a_number_means_is_seen_from_the_file(tmp_path, name, text, metric, epochs, values):
    (tmp_path / name).write_text(text)
    assert values_of(tmp_path / name, metric) == (epochs, values)


def test_a_curve_without_a_direction_is_drawn_without_a_best(tmp_path):
    from analysis.figures.curves import line

    (tmp_path / "a.json").write_text('{"train_loss": [2, 1], "smoothness": [1, 2]}')
    epochs = load([tmp_path / "a.json"]).epochs
    bests = [
        line(epochs[epochs["metric"] == name], name, "run").best for name in ("train_loss", "smoothness")
    ]
    assert bests == [[1], []]


def test_offline_folders_of_wandb_are_refused_with_what_to_do(tmp_path):
    folder = tmp_path / "wandb" / "offline-run-20240101_000000-abcdefgh"
    (folder / "files").mkdir(parents=True)
    (folder / "files" / "config.yaml").write_text("lr: 0.1\n")
    record = folder / "run-abcdefgh.wandb"
    record.write_bytes(b":W&B\xe1\xbe\x00" + bytes(64))
    for item in (record, folder, tmp_path / "wandb"):
        with pytest.raises(RecordError, match="Weights & Biases, which is not read") as caught:
            load([item])
        assert "CSV" in str(caught.value) and "\n" not in str(caught.value)
