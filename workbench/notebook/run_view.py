"""One run as Python sees it: its record as frames, its model to use, and what can be done with it next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench import names
from workbench.errors import RecordError, suggestion
from workbench.lazy import tf
from workbench.notebook import api, model
from workbench.spec import html
from workbench.spec.experiment import Experiment
from workbench.tracking import runs as stored
from workbench.tracking.best import best_values, summary
from workbench.tracking.branch_history import all_rows
from workbench.tracking.journal import Journal, read_journal
from workbench.tracking.logged_models import BEST
from workbench.tracking.pair_scores import read_pair_scores
from workbench.tracking.remarks import require_start
from workbench.tracking.rows import EpochRecord, StartRecord
from workbench.tracking.store import Store

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from workbench.train.classifier import Outputs

Images = Any  # uint8 [N, h, w, 3], or paths of image files


class Run:
    """A run of a store; what it says is read from the record at each call, so a running one can be watched."""

    def __init__(self, store: Store, run: str) -> None:
        self.store, self.run = store, run
        self._models: dict[str, Any] = {}
        self._states: Any = None  # the checkpoints that those are from

    def __eq__(self, other: object) -> bool:
        """Tell whether both are the same run of the same store, whoever found them."""
        return isinstance(other, Run) and (self.store, self.run) == (other.store, other.run)

    def __hash__(self) -> int:
        return hash((self.store, self.run))

    # ------------------------------------------------------------ the record

    @property
    def journal(self) -> Journal:
        """The record itself."""
        return read_journal(self.store.journal(self.run))

    @property
    def start(self) -> StartRecord:
        """What was recorded when the run began."""
        return require_start(self.journal)

    @property
    def title(self) -> str:
        """What a person calls it: `study/name:seed`."""
        return self.start.title

    @property
    def name(self) -> str:
        return self.start.name

    @property
    def study(self) -> str:
        return self.start.study

    @property
    def seed(self) -> int:
        return self.start.seed

    @property
    def id(self) -> str:
        """The identity of its settings, equal for all seeds."""
        return self.start.id

    @property
    def status(self) -> str:
        """running, finished, failed, killed, stopped or interrupted, as it is now."""
        return stored.read_state(self.store, self.run).status

    @property
    def settings(self) -> dict[str, Any]:
        """Its settings by dotted name; those that are off are absent."""
        return dict(self.start.parameters)

    @property
    def experiment(self) -> Experiment:
        """Its spec, made again from the record; raises `RecordError` where own parts of it have changed."""
        from workbench.train.from_record import recorded_experiment

        return recorded_experiment(self.start, store=self.store)

    @property
    def history(self) -> pd.DataFrame:
        """A row an epoch (the 1-based index): stage, stage_epoch, seconds and every metric."""
        import pandas as pd

        rows = [
            {
                "epoch": row.epoch,
                "stage": row.stage,
                "stage_epoch": row.stage_epoch,
                "seconds": row.seconds,
                **{name: value for name, value in row.metrics.items() if name != names.STAGE},
            }
            for row in self._rows()
        ]
        columns = ["epoch", "stage", "stage_epoch", "seconds"]
        return (pd.DataFrame(rows) if rows else pd.DataFrame(columns=columns)).set_index("epoch")

    @property
    def stages(self) -> pd.DataFrame:
        """A row a stage (the 1-based index): name, epochs, first_epoch, steps, batch_size."""
        import pandas as pd

        frame = pd.DataFrame([dict(stage) for stage in self.start.stages])
        return frame.set_index("number") if "number" in frame else frame

    @property
    def scores(self) -> pd.DataFrame:
        """A row a metric: its best value with epoch and stage, and its last value; NaN is never best."""
        import pandas as pd

        rows = self._rows()
        best = best_values(rows)
        last = {name: value for row in rows for name, value in row.metrics.items()}
        found = [
            {
                "metric": name,
                "best": b["value"],
                "epoch": int(b["epoch"]),
                "stage": int(b["stage"]),
                "last": last[name],
            }
            for name, b in best.items()
        ]
        return pd.DataFrame(found, columns=["metric", "best", "epoch", "stage", "last"]).set_index("metric")

    def pair_scores(self, name: str | None = None, which: str = "best") -> pd.DataFrame:
        """Return the cosine of every pair of an evaluation set, and whether it is genuine: a row a pair.

        Args:
            name: Of the set; None: the last one by name.
            which: After the `"best"` or the `"last"` epoch.

        Raises:
            RecordError: No scores of it are kept.
        """
        import pandas as pd

        folder = self.store.run_artifacts(self.run) / "scores" / which
        known = sorted(path.stem for path in folder.glob("*.npz")) if folder.is_dir() else []
        name = name or (known[-1] if known else "")
        if name not in known:
            raise RecordError(f"no {which} scores of {name!r}", where=self.run, do=suggestion(name, known))
        kept = read_pair_scores(self.store, self.run, name, which)
        return pd.DataFrame({"cosine": kept.scores, "genuine": kept.same} if kept else {})

    def _rows(self) -> list[EpochRecord]:
        return list(all_rows(self.journal))

    # ------------------------------------------------------------ figures and forecasts

    def figure(self, metrics: Sequence[str] | str | None = None, **options: Any) -> Figure:
        """Return its curves, as `workbench plot` draws them.

        Args:
            metrics: Which, one or several; None: the usual ones.
            options: Those of `analysis.plot_curves`, such as `loss_max`, `smooth`, `style` and `width` (inches).
        """
        return api().analysis("figures.curves").plot_curves(self._records(), metrics, **options)

    def forecast(self, metric: str | None = None, to: int | None = None) -> Any:
        """Return the forecast of a metric, with the study's other runs as prior.

        Args:
            metric: None: the one that chooses the best epoch.
            to: The epoch to forecast, from 1; None: its last planned one.
        """
        forecast_of = api().analysis("forecast.run_forecast").forecast_of
        return forecast_of(self._records(), metric, to, self.store.address)

    def _records(self) -> Any:
        return api().analysis("sources").read_store(self.store, [self.run], journals=True)

    # ------------------------------------------------------------ the model

    def model(self, which: str | int = "best", outputs: Outputs = "embedding") -> tf.keras.Model:
        """Return its network; it takes float images [N, s, s, 3] in -1 to 1, (pixel - 127.5) / 128.

        Args:
            which: After the `"best"` or the `"last"` epoch, or after the epoch of a number, if that is kept.
            outputs: What it gives: `"embedding"` [N, d], or by the classification head `"logits"` or
                `"probabilities"` [N, C].

        Raises:
            RecordError: That state is not kept, or has no head.
        """
        states = model.states(self.store, self.run)
        if states != self._states:  # of a run at work, or one that was resumed
            self._models, self._states = {}, states
        key = f"{which} {outputs}"
        if key not in self._models:
            self._models[key] = model.load(self.store, self.run, self.experiment, which, outputs)
        return self._models[key]

    def images(self, count: int = 16) -> np.ndarray:
        """Return images of its training data, spread evenly over its records, uint8 [N, s, s, 3]."""
        return model.images_of(self.experiment, self.store, count)

    def embed(self, images: Images, which: str | int = "best") -> np.ndarray:
        """Return embeddings float32 [N, d], not normalised: that of each image and of its mirror image summed.

        Args:
            images: uint8 [N, h, w, 3] of any size, one image, or paths of image files.
            which: As in `model`.
        """
        return model.embed(self.model(which), images, self.experiment.backbone.image_size, self.run)

    def predict(self, images: Images, which: str | int = "best") -> pd.DataFrame:
        """Return for each image the identity that its last head finds most probable: a row an image.

        Columns `identity`, its number `label` and `probability`, 0 to 1.

        Args:
            images: As in `embed`.
            which: As in `model`.

        Raises:
            RecordError: The stage of that state has no classification head.
        """
        return model.predict(self.store, self.run, self.experiment, images, which)

    # ------------------------------------------------------------ what comes next

    def resume(self, process: bool | None = None) -> Run:
        """Go on with it from its last checkpoint, if it is unfinished; return itself.

        Args:
            process: In a process of its own; None: in a notebook.

        Raises:
            RecordError: Nothing is left to do, or it is still running.
            RunFailed, RunStopped: As `workbench.run`.
        """
        api().resume(self, process)
        return self

    def branch(self, **changes: Any) -> Experiment:
        """Return an experiment that shares its epochs up to a stage or epoch: see `Experiment.branch`.

        `workbench.run(run.branch(after_stage=1, stages=...))` trains the rest.
        """
        return self.experiment.branch(**changes)

    @property
    def mlflow_run(self) -> Any:
        """Its run in MLflow, an `mlflow.entities.Run`; raises `RecordError` where MLflow has none yet."""
        from workbench.tracking.mlflow_client import open_client

        client = open_client(self.store)
        experiment = client.get_experiment_by_name(self.study)
        word = f"tags.`{names.TAG_RUN}` = '{self.run}'"
        found = client.search_runs([experiment.experiment_id], word) if experiment is not None else []
        if not found:
            raise RecordError("is not in MLflow yet", where=self.run, do="`workbench sync` brings it there")
        return found[0]

    @property
    def model_uri(self) -> str:
        """The address of its best network as a logged model, for `mlflow.pyfunc.load_model` and `mlflow models serve`.

        MLflow finds it where it was told `mlflow.set_tracking_uri(run.store.uri)`. Raises `RecordError` for a run
        that logged none.
        """
        found = self.mlflow_run
        outputs = found.outputs.model_outputs if found.outputs else []
        if not outputs:
            raise RecordError(
                "has logged no model",
                where=self.run,
                do=f'log_model="all" in its spec, or `workbench export {self.run} --register NAME`',
            )
        return f"runs:/{found.info.run_id}/{BEST}"

    # ------------------------------------------------------------ how it shows itself

    def summary(self) -> Mapping[str, Any]:
        """Return the line that `--json` prints of it."""
        return summary(self.store, self.run)

    def _shown(self) -> tuple[str, dict[str, list[float]], list[EpochRecord]]:
        start, rows = self.start, self._rows()
        epochs = sum(int(stage["epochs"]) for stage in start.stages)
        quick = ", quick" if start.quick else ""
        text = f"{start.title}  {self.status}{quick}, epoch {rows[-1].epoch if rows else 0} of {epochs}"
        curves: dict[str, list[float]] = {}
        for row in rows:
            for name, value in row.metrics.items():
                if names.is_evaluation(name) or name in (names.LOSS, names.ACCURACY, "val_accuracy"):
                    curves.setdefault(name, []).append(value)
        return text, curves, rows

    def __repr__(self) -> str:
        text, curves, rows = self._shown()
        best = best_values(rows)
        words = [
            f"{name} {best[name]['value']:.4f} @{best[name]['epoch']}" for name in curves if name in best
        ]
        return f"<Run {text}; best {', '.join(words)}>" if words else f"<Run {text}>"

    def _repr_html_(self) -> str:
        text, curves, rows = self._shown()
        best = best_values(rows)
        question = str(self.start.provenance.get("question") or "")
        lines = [
            [
                name,
                html.sparkline(values),
                f"{best[name]['value']:.4f}" if name in best else "",
                f"epoch {best[name]['epoch']}" if name in best else "",
                f"{values[-1]:.4f}",
            ]
            for name, values in curves.items()
        ]
        head = html.line(text, self.run) + (html.line(question) if question else "")
        return head + html.table(["metric", "", "best", "", "last"], lines, raw=(1,))
