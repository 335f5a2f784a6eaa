"""Several runs as Python sees them: a list that shows what tells its runs apart, and compares them."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from workbench.errors import RecordError
from workbench.notebook import api
from workbench.notebook.run_view import Run
from workbench.spec import html, labels
from workbench.tracking.best import best_values

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

KEYS_ASIDE = ("devices", "seed")  # settings that no run is told apart by


class Runs(list):  # type: ignore[type-arg]
    """Runs of a store, the oldest first."""

    def table(self, select: str | None = None) -> pd.DataFrame:
        """Return what `workbench table` shows of them: differing settings, best values, seeds, states.

        Warns, as the command does, where accuracies of several conventions stand beside each other.

        Args:
            select: The metric that chooses each best epoch; None: what the runs' specs say.
        """
        records, summary = self._records(), api().analysis("tables.summary")
        note = api().analysis("tables.conventions").convention_note(records)
        if note:
            warnings.warn(note, stacklevel=2)
        found: pd.DataFrame = summary.with_states(summary.summary(records, select), records.runs)
        return found

    def figure(self, metrics: Any = None, **options: Any) -> Figure:
        """Return their curves in one figure; `metrics` and `options` as in `Run.figure`."""
        return api().analysis("figures.curves").plot_curves(self._records(), metrics, **options)

    def _records(self) -> Any:
        if not self:
            raise RecordError("no run to compare", do="train some with workbench.run")
        stores = {run.store: [other.run for other in self if other.store == run.store] for run in self}
        read = api().analysis("sources").read_store
        parts = [read(store, names, journals=True) for store, names in stores.items()]
        return api().analysis("frames").concat(parts)

    def _lines(self) -> tuple[list[str], list[list[str]], list[list[float]]]:
        settings = [
            {name: value for name, value in run.settings.items() if not name.startswith(KEYS_ASIDE)}
            for run in self
        ]
        distinct = labels.distinguishing(settings)
        names = list(distinct[0]) if distinct else []
        lines, curves = [], []
        for run, differing in zip(self, distinct):
            text, own, rows = run._shown()
            best = best_values(rows)
            counted = next((name for name in reversed(own) if name in best), None)
            words = f"{counted} {best[counted]['value']:.4f} @{best[counted]['epoch']}" if counted else ""
            values = [labels.value_text(differing.get(name)) for name in names]
            title, _, state = text.partition("  ")
            lines.append([title, *values, state, words])
            curves.append(own.get(counted or "", []))
        return ["run", *names, "state", "best"], lines, curves

    def __repr__(self) -> str:
        if not self:
            return "<Runs: none>"
        from tabulate import tabulate

        titles, lines, _ = self._lines()
        return tabulate(lines, titles, "plain", disable_numparse=True)

    def _repr_html_(self) -> str:
        if not self:
            return html.line("no runs")
        titles, lines, curves = self._lines()
        rows = [[*line, html.sparkline(curve)] for line, curve in zip(lines, curves)]
        return html.table([*titles, ""], rows, raw=(len(titles),))


class SweepRun:
    """A sweep of a store as Python sees it: its trials as runs, and the best of them."""

    def __init__(self, store: Any, run: str) -> None:
        self.store, self.run = store, run

    @property
    def record(self) -> Any:
        """What the store holds of it: objective, trials, their values and scores."""
        from workbench.tracking import sweeps

        return sweeps.read(self.store, self.run)

    @property
    def trials(self) -> pd.DataFrame:
        """A row a trial: its values, the score, epoch, status and runs; the best first."""
        import pandas as pd

        record = self.record
        rows = [
            {
                "trial": trial.id,
                **trial.request.settings,
                record.objective: trial.score,
                "epoch": trial.epoch,
                "status": trial.status,
                "runs": ", ".join(trial.request.runs),
            }
            for trial in record.trials
        ]
        frame = pd.DataFrame(rows).set_index("trial")
        return frame.sort_values(record.objective, ascending=record.lower, na_position="last", kind="stable")

    @property
    def runs(self) -> Runs:
        """The runs of its trials."""
        return Runs(Run(self.store, run) for run in self.record.runs if self.store.journal(run).exists())

    @property
    def best(self) -> Run:
        """The run with the best score; raises `RecordError` before the first."""
        found = self.record.best()
        if found is None:
            raise RecordError("no trial succeeded", where=f"sweep {self.record.name}")
        return Run(self.store, found.request.runs[0])

    def _head(self) -> str:
        record = self.record
        return f"{record.study}/{record.name}: {len(record.trials)} trials by {record.objective}"

    def __repr__(self) -> str:
        return f"<Sweep {self._head()}>\n{self.trials}"

    def _repr_html_(self) -> str:
        return html.line(f"sweep {self._head()}", self.run) + str(self.trials.to_html(na_rep=""))
