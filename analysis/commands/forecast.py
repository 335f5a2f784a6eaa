"""`workbench forecast`: where runs are going, from the command line."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from analysis.commands.record_options import EPOCHS_FROM, ITEMS, STAGES, say_notes
from workbench.commands.common_options import DEBUG, STORE, json_option
from workbench.commands.direction_options import direction_options
from workbench.errors import InputError, RecordError, StoreError
from workbench.tracking.runs import find_titled
from workbench.tracking.store import find_store

if TYPE_CHECKING:
    from analysis.forecast.curve import Curve
    from analysis.forecast.ranking import Recommendation
    from analysis.frames import Records


NAMES_SHOWN = 12  # of the other runs


@click.command()
@ITEMS
@click.option(
    "--metric", metavar="NAME", help="What to forecast.  [default: the metric that counts, `select`]"
)
@click.option("--to", type=int, metavar="EPOCH", help="The epoch to forecast.  [default: the planned end]")
@click.option("--at", type=int, metavar="EPOCH", help="Forecast as if the run had only reached this epoch.")
@click.option("--beat", metavar="VALUE_OR_RUN", help="A value, or a run whose final value, is to be beaten.")
@click.option(
    "--prior", multiple=True, metavar="RUN_OR_FILE", help="Other runs to learn from (again for more)."
)
@click.option("--alone", is_flag=True, help="Learn nothing from other runs.")
@STAGES
@EPOCHS_FROM
@click.option("--score", "as_score", is_flag=True, help="Print the forecaster's own record on finished runs.")
@STORE
@direction_options
@json_option("one JSON line a run")
@click.option("-o", "--output", metavar="FIG", help="Draw the fan charts into an SVG, PNG or PDF file.")
@click.option(
    "--by-hand", is_flag=True, help="Also draw the four classic extrapolations, cubic to exponential."
)
@DEBUG
def forecast(
    items: tuple[str, ...], as_score: bool, as_json: bool, output: str | None, by_hand: bool, **given: Any
) -> None:
    """Forecast runs, histories and logs (all runs of the store, if nothing is named).

    Prints median, intervals, chances and the time left, or "no forecast" and why; several runs are ranked
    by whether they are worth continuing.
    """
    from analysis.figures.draw import FORMATS
    from analysis.forecast.runs import curves
    from analysis.sources import Options, load
    from analysis.tables.summary import default_metric

    if output and not output.lower().endswith(FORMATS):
        raise InputError(f"cannot draw {output!r}", where="-o", expected=", ".join(FORMATS))
    if by_hand and not output:
        raise InputError("--by-hand draws", do="give the figure a name with -o")
    options = Options(stages=given["stages"], epochs_from=given["epochs_from"])
    records = load(items, given["store"], options)
    say_notes(records)
    metric = given["metric"] or default_metric(records)
    found = curves(records, metric, given["store"])
    if as_score:
        _score(records, found, metric, as_json)
        return
    recommended, learnt = _recommended(found, _prior(found, metric, given), given)
    for one in recommended:
        if as_json:
            click.echo(json.dumps(one.line()))
    if not as_json:
        click.echo(_text(recommended))
        click.echo(learnt)
    if output:
        from analysis.figures.draw import save
        from analysis.forecast.fan_chart import fan_chart

        truth = found if given["at"] is not None else ()
        click.echo(
            f"{save(fan_chart(recommended, truth, by_hand), output)}: {len(recommended)} runs", err=as_json
        )


def _prior(found: Sequence[Curve], metric: str, given: dict[str, Any]) -> list[Curve]:
    """Return the runs to learn from: those named by --prior, else the other runs of the same studies."""
    from analysis.forecast.runs import curves
    from analysis.sources import load, trainings

    if given["alone"]:
        return []
    if given["prior"]:
        return curves(load(given["prior"], given["store"]), metric, given["store"])
    studies = {curve.study for curve in found if curve.study}
    if not studies:
        return list(found)
    try:
        known = trainings(given["store"])
    except StoreError:  # a journal of elsewhere, forecast where no store is
        if given["store"]:
            raise
        return list(found)
    kept = known.only(known.runs["run"][known.runs["study"].isin(studies)])
    if metric not in set(kept.epochs["metric"]):
        return list(found)
    more = curves(kept, metric, given["store"])
    named = {curve.run for curve in found}
    return [*found, *(curve for curve in more if curve.run not in named)]


def _recommended(
    found: Sequence[Curve], prior: Sequence[Curve], given: dict[str, Any]
) -> tuple[list[Recommendation], str]:
    """Return the forecasts with advice, and in words which runs they learnt from and which were left out."""
    from analysis.forecast.cross_run_prior import CrossRunPrior, same_data
    from analysis.forecast.forecaster import forecast as forecast_curve
    from analysis.forecast.ranking import rank, value_to_beat
    from analysis.forecast.runs import priors

    at, to = given["at"], given["to"]
    seen = [curve.until(at) if at is not None else curve for curve in found]
    empty = [curve for curve in seen if not len(curve.values)]
    if empty:
        raise RecordError(f"no value up to epoch {at}", where=empty[0].run, do="give a later --at")
    usable, reasons = priors([curve for curve in prior if len(found) > 1 or curve.run != found[0].run])
    elsewhere = sum(not any(same_data(curve, other) for curve in seen) for other in usable)
    reasons |= {"on other data": elsewhere} if elsewhere else {}
    group = CrossRunPrior(usable)
    named = {curve.run for curve in found}
    more = [curve for curve in usable if curve.run not in named]
    known = [*found, *(curve for curve in prior if curve.run not in named)]
    beat, whose = value_to_beat(_meant(given["beat"], given["store"]), known) if given["beat"] else (None, "")
    ends = [
        to if to is not None else curve.total or (curve.last if curve.finished else None) for curve in seen
    ]
    forecasts = [forecast_curve(curve, end, group) for curve, end in zip(seen, ends, strict=True)]
    names = {curve.run: curve.name or curve.run for curve in usable}
    used = [names[run] for run in dict.fromkeys(run for one in forecasts for run in one.prior_runs)]
    return rank(forecasts, beat, whose, [*found, *more]), _learnt(used, reasons)


def _meant(beat: str, store: str | None) -> str:
    """Return the run's own name for `study/name:seed` or `@last`, anything else as it is: a number, a file."""
    with contextlib.suppress(RecordError):
        return find_titled(find_store(store), beat) or beat
    return beat


def _learnt(used: Sequence[str], reasons: dict[str, int]) -> str:
    shown = ", ".join(used[:NAMES_SHOWN]) + (" ..." if len(used) > NAMES_SHOWN else "")
    words = f"learnt from {len(used)} other runs: {shown}" if used else "learnt from no other runs"
    out = ", ".join(f"{count} {reason}" for reason, count in reasons.items())
    return words + (f" (left out: {out})" if out else "")


def _text(recommended: Sequence[Recommendation]) -> str:
    if len(recommended) == 1:
        return "\n".join(_lines(recommended[0]))
    from tabulate import tabulate

    head = ("run", "advice", "now", "median at the end", "80 %", "chance", "best epoch", "hours left", "why")
    return tabulate(
        [_cells(one) for one in recommended], headers=head, tablefmt="simple", disable_numparse=True
    )


def _cells(one: Recommendation) -> tuple[str, ...]:
    line = one.line()
    hours = line["hours_left"]
    low, high = line["interval80"] or (None, None)
    return (
        line["name"],
        one.advice,
        f"{line['last']['value']:.4g} ({line['last']['epoch']})"
        if line["last"]["value"] is not None
        else "-",
        "-" if line["median"] is None else f"{line['median']:.4g} ({line['to']})",
        "-" if low is None else f"{low:.4g} to {high:.4g}",
        "-" if line["chance"] is None else f"{line['chance']:.0%}",
        "-" if line["best_epoch"] is None else str(line["best_epoch"]),
        "-" if hours is None else f"{hours:.1f}",
        one.why,
    )


def _lines(one: Recommendation) -> list[str]:
    line = one.line()
    last = line["last"]
    now = "not finite" if last["value"] is None else f"{last['value']:.4g}"
    lines = [f"{line['name']}: {line['metric']} is {now} at epoch {last['epoch']}"]
    if line["reason"]:
        lines.append(f"no forecast: {line['reason']}")
    if line["median"] is not None:
        word = "median" if line["reason"] is None else "last value"
        ends = [
            f"{name[8:]} %: {line[name][0]:.4g} to {line[name][1]:.4g}"
            for name in ("interval50", "interval80")
        ]
        lines.append(f"epoch {line['to']}: {word} {line['median']:.4g}, " + ", ".join(ends))
        later = line["best_still_to_come"]
        lines.append(
            f"best epoch: {line['best_epoch']} expected; chance that the best is still to come {later:.0%}"
        )
        if line["skill"] is not None:
            lines.append(f"back-test error of the fits {line['skill']:.2f} times the last value's")
    if line["beat"] is not None and line["chance"] is not None:
        whose = f" of {line['beat']['whose']}" if line["beat"]["whose"] else ""
        lines.append(f"chance to beat {line['beat']['value']:.4g}{whose}: {line['chance']:.0%}")
    hours = "" if line["hours_left"] is None else f", about {line['hours_left']:.1f} hours"
    lines.append(f"{line['epochs_left']} epochs left{hours}: {one.advice}")
    return [*lines, *(f"note: {note}" for note in line["notes"])]


def _score(records: Records, found: Sequence[Curve], metric: str, as_json: bool) -> None:
    """Print the record on finished runs, then that of forecasts recorded during trainings, if there are any."""
    import dataclasses

    from analysis.forecast.backtest import score, table
    from analysis.forecast.recorded_forecasts import recorded

    finished = [curve for curve in found if curve.finished]
    rows = score(finished)
    during = recorded(records, metric)
    if as_json:
        for row in rows:
            click.echo(json.dumps(dataclasses.asdict(row)))
        return
    click.echo(f"{metric} of {rows[0].curves} finished runs: mean absolute error of the final value\n")
    click.echo(table(rows))
    if len(during):
        click.echo("\nForecasts recorded during these trainings\n")
        click.echo(during.to_markdown(index=False, floatfmt=".4g"))
