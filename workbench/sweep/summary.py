"""What a person sees at the end of a sweep: its trials, the best first, and what to do next."""

from __future__ import annotations

import statistics
from collections.abc import Mapping

from workbench.names import badness
from workbench.spec.labels import short_names, value_text
from workbench.sweep.search_space import Domain
from workbench.tracking.sweeps import SweepRecord, TrialRow

SHOWN = 10


def closing(record: SweepRecord, domains: Mapping[str, Domain]) -> str:
    """Return the closing table of a sweep and the commands to look closer."""
    done = ranked(record)
    failed = [trial for trial in record.trials if trial.status == "failed"]
    lines = ["", table(record, domains, done[:SHOWN])]
    if len(done) > SHOWN:
        lines.append(f"... and {len(done) - SHOWN} more")
    for trial in failed[:3]:
        lines.append(f"failed: trial {trial.id}: {trial.reason}")
    if len(failed) > 3:
        lines.append(f"... and {len(failed) - 3} more failed trials")
    commands = {
        f"workbench effects {record.name}": "what each setting does, and how surely",
        f"workbench table {record.name}": "all trials with their best values",
        "workbench ui": "MLflow and TensorBoard's HParams tab",
    }
    width = max(map(len, commands))
    lines += ["", "Next:", *(f"  {command:{width}}  {what}" for command, what in commands.items())]
    return "\n".join(lines)


def ranked(record: SweepRecord) -> list[TrialRow]:
    """Return the last completed trial of every chain, the best first."""
    last = {trial.request.chain: trial for trial in record.trials if trial.status == "completed"}
    return sorted(last.values(), key=lambda t: (badness(float(t.score or 0.0), record.lower), t.id))


def table(record: SweepRecord, domains: Mapping[str, Domain], trials: list[TrialRow]) -> str:
    """Return trials as a text table: number, settings, epochs, the target's best value, its epoch, the run."""
    from tabulate import tabulate

    short = short_names(domains, domains)
    spread = any(len(trial.results) > 1 for trial in trials)
    head = ["trial", *(short[name] for name in domains), "epochs", record.objective]
    head += ["±"] * spread + ["@", "run"]
    rows = []
    for trial in trials:
        settings = [
            shown(domains[name].decode(trial.request.settings[name]))
            if name in trial.request.settings
            else ""
            for name in domains
        ]
        row = [trial.request.chain, *settings, str(trial.request.epochs), f"{trial.score:.4f}"]
        row += [f"{statistics.stdev(trial.results):.4f}"] if spread else []
        rows.append([*row, str(trial.epoch), trial.request.runs[0]])
    return str(tabulate(rows, head, tablefmt="plain", disable_numparse=True))


def shown(value: object) -> str:
    """Return a setting's value for a person: four digits of a drawn number are enough."""
    if isinstance(value, float):
        return f"{value:.4g}"
    return "off" if value is None else value_text(value)
