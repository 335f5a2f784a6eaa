"""The forecast of one run for Python: learned from the finished runs of its study, shown as a line and a fan."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from analysis.forecast.cross_run_prior import CrossRunPrior
from analysis.forecast.forecaster import forecast
from analysis.forecast.runs import curves, study_curves
from analysis.frames import Records
from analysis.tables.summary import default_metric

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class RunForecast:
    """A forecast with the curve it was made of: `forecast` has the numbers, `figure()` draws the fan."""

    def __init__(self, curve: Any, made: Any) -> None:
        from analysis.forecast.ranking import rank

        self.curve, self.forecast = curve, made
        self.advice = rank([made], None, "", [curve])[0]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["forecast"], name)

    def figure(self) -> Figure:
        """Return the fan chart."""
        from analysis.forecast.fan_chart import fan_chart

        return fan_chart([self.advice], [self.curve])

    def __repr__(self) -> str:
        line = self.advice.line()
        last = line["last"]
        text = f"<Forecast {line['name']}: {line['metric']} is {last['value']:.4g} at epoch {last['epoch']}"
        if line["median"] is not None:
            low, high = line["interval80"]
            text += f"; epoch {line['to']}: {line['median']:.4g}, 80 %: {low:.4g} to {high:.4g}"
        return text + (f"; no forecast: {line['reason']}>" if line["reason"] else f"; {self.advice.advice}>")


def forecast_of(records: Records, metric: str | None, to: int | None, store: str) -> RunForecast:
    """Return the forecast of the one run in `records`; raises `RecordError` where it has no metric that counts."""
    metric = metric or default_metric(records)
    curve = curves(records, metric, store)[0]
    others = study_curves(records.runs["study"].iloc[0], metric, store)
    end = to or curve.total or (curve.last if curve.finished else None)
    return RunForecast(curve, forecast(curve, end, CrossRunPrior([one for one in others if one.finished])))
