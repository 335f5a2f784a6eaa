"""A tracking server over its public REST interface: a pool of threads, a time-out on every request.

A server that does not answer at all is refused in one line; one that answers some requests too late
gives records that are labelled partial.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from analysis.frames import Note, Notes, Records, RunData, build
from analysis.sources.mlflow_common import facts_of, is_derived, is_sweep, run_data, times_of, with_infinity
from workbench.errors import RecordError, StoreError
from workbench.names import TAG_RUN
from workbench.tracking.credentials import credentials

THREADS = 8
CONNECT_SECONDS, READ_SECONDS = 5.0, 30.0
PAGE = 1000
Point = tuple[int, float]  # step, value


class Server:
    """One tracking server; `timeout` bounds the silence of each request in seconds."""

    def __init__(self, address: str, timeout: float = READ_SECONDS) -> None:
        import requests
        from requests.adapters import HTTPAdapter

        self.address = address.rstrip("/")
        self.timeout = (min(CONNECT_SECONDS, timeout), timeout)
        self.session = requests.Session()
        self.session.auth = credentials()
        for scheme in ("http://", "https://"):
            self.session.mount(scheme, HTTPAdapter(pool_maxsize=THREADS, max_retries=1))

    def ask(self, path: str, **fields: Any) -> dict[str, Any]:
        """Return the answer to one request: GET, or POST where the interface wants a search.

        Raises `StoreError` in one line for silence, refusal and answers that are not JSON.
        """
        import requests

        address = f"{self.address}/api/2.0/mlflow/{path}"
        try:
            if path.endswith("/search"):
                answer = self.session.post(address, json=fields, timeout=self.timeout)
            else:
                answer = self.session.get(address, params=fields, timeout=self.timeout)
            if answer.status_code == 401:
                raise StoreError(
                    "the tracking server refuses this user name or password",
                    where=self.address,
                    do="set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD",
                )
            answer.raise_for_status()
            content = answer.json()
        except requests.Timeout as error:
            raise StoreError(f"no answer within {self.timeout[1]:g} s", where=self.address) from error
        except (requests.RequestException, ValueError) as error:
            reason = str(error).split(" (Caused by")[0][:200]
            raise StoreError(
                f"cannot be read: {reason}", where=self.address, do="is it a tracking server?"
            ) from error
        return dict(content)

    def pages(self, path: str, item: str, **fields: Any) -> Iterator[dict[str, Any]]:
        """Yield the items of all pages of an answer."""
        token = None
        while True:
            answer = self.ask(path, **fields, **({"page_token": token} if token else {}))
            yield from answer.get(item, [])
            token = answer.get("next_page_token")
            if not token:
                return


def read_server(
    address: str,
    runs: Sequence[str] | None = None,
    timeout: float = READ_SECONDS,
    epochs_from: int | None = None,
) -> Records:
    """Return the frames of a server's runs: all, or those named (our names or MLflow's ids).

    Raises `StoreError` when it does not answer, `RecordError` for an unknown run. Where single metrics
    are not answered in time the records say so under `partial`.
    """
    server = Server(address, timeout)
    studies = {
        e["experiment_id"]: e["name"]
        for e in server.pages("experiments/search", "experiments", max_results=PAGE)
    }
    found = (
        list(server.pages("runs/search", "runs", experiment_ids=list(studies), max_results=PAGE))
        if studies
        else []
    )
    chosen = [
        run
        for run in found
        if not is_sweep(_tags(run))
        if runs is None or {run["info"]["run_id"], _tags(run).get(TAG_RUN)} & set(runs)
    ]
    known = {name for run in chosen for name in (run["info"]["run_id"], _tags(run).get(TAG_RUN))}
    missing = [name for name in runs or () if name not in known]
    if missing:
        raise RecordError(f"no run {missing[0]!r}", where=address)
    jobs = [(run["info"]["run_id"], m["key"]) for run in chosen for m in run["data"].get("metrics", [])]
    jobs = [job for job in jobs if not is_derived(job[1])]
    with ThreadPoolExecutor(THREADS) as pool:
        answers = dict(zip(jobs, pool.map(lambda job: _history(server, *job), jobs), strict=True))
    late = [job for job, points in answers.items() if points is None]
    if jobs and len(late) == len(jobs):
        raise StoreError(f"none of {len(jobs)} metric histories was answered", where=address)
    chosen.sort(key=lambda run: (int(run["info"].get("start_time", 0)), run["info"]["run_id"]))
    remarks = Notes(address)
    data = [_run(run, studies, answers, address, remarks, epochs_from) for run in chosen]
    partial = f"{len(late)} of {len(jobs)} metric histories were not answered by {address}" if late else None
    notes = (
        [Note(address, partial)] if partial else [] if chosen else [Note(address, "the store holds no run")]
    )
    return build(data, [*notes, *remarks.all()], partial)


def _history(server: Server, run: str, metric: str) -> list[Point] | None:
    """Return a metric's points, None where the server did not answer."""
    try:
        points = server.pages(
            "metrics/get-history", "metrics", run_id=run, metric_key=metric, max_results=25_000
        )
        return [(int(point.get("step", 0)), float(point["value"])) for point in points]
    except StoreError:
        return None


def _tags(run: dict[str, Any]) -> dict[str, str]:
    return {tag["key"]: tag["value"] for tag in run["data"].get("tags", [])}


def _run(
    run: dict[str, Any],
    studies: dict[str, str],
    answers: dict[tuple[str, str], Any],
    address: str,
    notes: Notes,
    epochs_from: int | None,
) -> RunData:
    info, tags = run["info"], _tags(run)
    facts = facts_of(tags, info["run_id"], info.get("run_name", ""), address, info.get("status", ""))
    facts["study"] = facts["study"] or studies.get(info["experiment_id"])
    facts |= times_of(info.get("start_time"), info.get("end_time"))
    found = {}
    for (run_id, metric), points in answers.items():
        if run_id == info["run_id"] and points:
            steps, values = (np.array(column) for column in zip(*points))
            # No order of a history is promised, and places in stages are found by going through it.
            order = np.argsort(steps, kind="stable")
            found[metric] = (steps[order], with_infinity(values[order]))
    parameters = {p["key"]: p["value"] for p in run["data"].get("params", [])}
    return run_data(facts, tags, parameters, found, notes, epochs_from)
