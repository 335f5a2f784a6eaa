"""Keras Tuner's chief and workers: more than one process on one search, on one machine or several.

The chief serves the search by Keras Tuner's own protocol and sees to its workers: one that dies is
started anew and takes up its trial; one started by hand elsewhere that is lost gives its trial back.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent import futures
from dataclasses import dataclass, field
from typing import Any

from workbench.errors import InputError, RunKilled, RunStopped
from workbench.jobs.placement import Place, shared_place
from workbench.security.children import die_with_parent
from workbench.security.loopback import require_loopback
from workbench.sweep.search import Search, run_trials
from workbench.sweep.trials import TrialRunner
from workbench.tracking import origin
from workbench.tracking.journal import is_locked
from workbench.tracking.sweeps import TrialRequest

TUNER, HOST, PORT = "KERASTUNER_TUNER_ID", "KERASTUNER_ORACLE_IP", "KERASTUNER_ORACLE_PORT"
POLL_SECONDS = 0.2  # between two looks at the workers
LOST_SECONDS = 120.0  # a trial of a foreign worker whose runs nobody writes for so long is given to another
STARTS = 3  # of a worker within one trial; then the trial has failed
STOP_SECONDS = 60.0  # for workers to save and end: twice the grace that a run takes for its last checkpoint


@dataclass
class Worker:
    """One worker process on this machine: its place, and how often it was started in its present trial."""

    number: int
    process: subprocess.Popen[bytes] | None = None
    trial: str = ""
    starts: int = 0
    done: bool = False

    @property
    def name(self) -> str:
        return f"worker-{self.number}"


@dataclass
class Chief:
    """The chief of a search: serves it at an address and keeps `workers` processes at work on it."""

    search: Search
    words: list[str]  # the command of a worker
    workers: list[Worker] = field(default_factory=list)
    # Foreign worker: trial, last sign of life.
    seen: dict[str, tuple[str, float]] = field(default_factory=dict)

    def lead(self, count: int, host: str, port: int) -> None:
        """Serve until the search is over and every worker has been told so."""
        with served(self.search.oracle, host, port, chief_token(self.search.runner)) as (bound, servicer):
            self.search.say(f"chief at {host}:{bound}" + (f", {count} workers" if count else ""))
            self.workers = [Worker(number) for number in range(count)]
            address = {HOST: host, PORT: str(bound)}
            try:
                while not self._over(servicer):
                    for worker in self.workers:
                        self._look_after(worker, address)
                    self._look_for_lost()
                    time.sleep(POLL_SECONDS)
            finally:
                self._stop()

    # ------------------------------------------------------------ the end

    def _over(self, servicer: Any) -> bool:
        oracle = self.search.oracle
        # Own workers are waited for as processes; of others Keras Tuner knows who asked and has not yet been told the end.
        if self.workers:
            return all(worker.done for worker in self.workers)
        return servicer.stop_triggered and not oracle.ongoing_trials and not oracle.tuner_ids

    def _stop(self) -> None:
        """End what is still at work, gently: each saves its run."""
        alive = [w.process for w in self.workers if w.process is not None and w.process.poll() is None]
        for process in alive:
            process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        for process in alive:
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    # ------------------------------------------------------------ workers of this machine

    def _look_after(self, worker: Worker, address: Mapping[str, str]) -> None:
        if worker.done:
            return
        if worker.process is None:
            self._start(worker, address)
            return
        status = worker.process.poll()
        if status is None:
            return
        if status == 0:
            worker.done = True
            return
        # What was refused once would be refused again: no second start.
        if status == InputError.exit_status:
            raise InputError(
                f"{worker.name} refused its work", do="its reason stands above; `--resume` goes on"
            )
        if status in (RunStopped.exit_status, RunKilled.exit_status):
            raise (RunStopped if status == RunStopped.exit_status else RunKilled)("a worker was stopped")
        self._take_up(worker, address, status)

    def _take_up(self, worker: Worker, address: Mapping[str, str], status: int) -> None:
        """Start a worker that died anew; it gets its own trial back, unless that keeps killing it."""
        trial = self._trial_of(worker.name)
        worker.starts = worker.starts + 1 if trial == worker.trial else 1
        worker.trial = trial
        how = f"signal {-status}" if status < 0 else f"status {status}"
        self.search.say(
            f"note: {worker.name} died ({how})" + (f" in trial {trial}; it goes on" if trial else "")
        )
        if trial and worker.starts >= STARTS:
            # A note beside the state: whoever takes the trial up finds it ended, and the search counts a failure.
            self.search.runner.note(trial, f"its worker died {worker.starts} times in it, last by {how}")
        elif not trial and worker.starts >= STARTS:
            raise InputError(
                f"{worker.name} died {worker.starts} times before any trial", do="look above for why"
            )
        self._start(worker, address)

    def _trial_of(self, worker: str) -> str:
        trial = self.search.oracle.ongoing_trials.get(worker)
        return str(trial.trial_id) if trial else ""

    def _start(self, worker: Worker, address: Mapping[str, str]) -> None:
        where = shared_place(worker.number, len(self.workers))
        environment = {**os.environ, **address, TUNER: worker.name, **where.environment()}
        worker.process = subprocess.Popen(self.words, env=environment, preexec_fn=_prepared(where))

    # ------------------------------------------------------------ workers elsewhere

    def _look_for_lost(self) -> None:
        """Give the trials of foreign workers that show no life to the next that asks."""
        own = {worker.name for worker in self.workers}
        store, now = self.search.runner.store, time.monotonic()
        for name, trial in list(self.search.oracle.ongoing_trials.items()):
            if name in own:
                continue
            known, last = self.seen.get(name, ("", now))
            runs = TrialRequest.of(trial.hyperparameters.values).runs
            if known != trial.trial_id or any(is_locked(store.journal(run)) for run in runs):
                self.seen[name] = (trial.trial_id, now)
            elif now - last > LOST_SECONDS:
                self.search.oracle.hand_back(name)
                self.search.say(
                    f"note: {name} is lost; trial {trial.trial_id} goes to the next worker that asks"
                )


def silence_conditions() -> None:
    """Take away a leftover `print` in Keras Tuner 1.4: each message with a condition would write to the output."""
    from keras_tuner.src.engine import conditions

    conditions.print = lambda *words: None  # hides the builtin within that module only


@contextlib.contextmanager
def served(oracle: Any, host: str, port: int, token: str) -> Iterator[tuple[int, Any]]:
    """Serve a search by Keras Tuner's protocol to who has the token; yield the port and the servicer.

    Raises `InputError` for a port that is in use and for an address beyond this machine.
    """
    refuse_place(host, port)
    silence_conditions()
    import grpc
    from keras_tuner.src import protos
    from keras_tuner.src.distribute.oracle_chief import OracleServicer

    from workbench.sweep.chief_token import RequireToken

    server = grpc.server(
        # One thread, as in Keras Tuner's own chief: trials are handed out one after another.
        futures.ThreadPoolExecutor(max_workers=1),
        # gRPC shares a port by default: of two chiefs at one each would get some of the calls.
        options=(("grpc.so_reuseport", 0),),
        interceptors=(RequireToken(token),),
    )
    servicer = OracleServicer(oracle)
    protos.get_service_grpc().add_OracleServicer_to_server(servicer, server)
    try:
        bound = server.add_insecure_port(f"{host}:{port}")
    except RuntimeError as error:
        raise InputError(
            "the port is in use or not ours", where=f"{host}:{port}", do="choose another"
        ) from error
    server.start()
    try:
        yield bound, servicer
    finally:
        server.stop(grace=1.0).wait()


def chief_token(runner: TrialRunner) -> str:
    """Return what a worker shows its chief: known to whoever can read the key of their store."""
    return origin.token(runner.store, "chief of sweeps")


def refuse_place(host: str, port: int) -> None:
    """Raise `InputError` for an address that no chief may or can listen at.

    The port is tried with a plain socket: its error says why, gRPC's does not.
    """
    require_loopback(host, "Keras Tuner's chief", where=HOST, port=port or "PORT")
    if not port:
        return
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        # A port of a chief that has just ended is free, as it is for gRPC.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise InputError(
                f"cannot be listened at: {error.strerror}", where=f"{host}:{port}", do="choose another port"
            ) from error


# ---------------------------------------------------------------- processes


def _prepared(where: Place) -> Callable[[], None]:
    """Return what a worker does before it starts: take its cores, and end gently with its chief."""
    chief = os.getpid()

    def prepare() -> None:
        die_with_parent(chief)
        where.bind()

    return prepare


# ---------------------------------------------------------------- what the command calls


def role() -> tuple[str, str, int] | None:
    """Return (name, host, port) from Keras Tuner's environment variables; None where they are not set.

    Raises `InputError` where they contradict each other.
    """
    given = {name: os.environ.get(name, "") for name in (TUNER, HOST, PORT)}
    if not any(given.values()):
        return None
    for name, value in given.items():
        if not value:
            raise InputError("is not set", where=name, expected=f"{TUNER}, {HOST} and {PORT} together")
    if not given[PORT].isdigit() or not 0 < int(given[PORT]) < 65536:
        raise InputError(f"{given[PORT]!r} is not a port", where=PORT, expected="a number from 1 to 65535")
    return given[TUNER], given[HOST], int(given[PORT])


def worker_words(runner: TrialRunner, store: str | None, as_json: bool) -> list[str]:
    """Return the command of a worker of a sweep; with JSON it leaves standard output to its chief."""
    words = [sys.executable, "-m", "workbench", "sweep", runner.variant.path, runner.name]
    words += ["--store", store] if store else []
    words += ["--json"] * as_json
    return words + ["--quick"] * runner.variant.quick + ["--verbose"] * runner.verbose


def serve_worker(runner: TrialRunner, name: str, host: str, port: int) -> None:
    """Be a worker of the chief at an address until the search is over; `bench` has no run yet.

    Raises `InputError` where no chief answers, and where it is lost: the run at work is recorded.
    """
    import grpc
    from keras_tuner.src import protos
    from keras_tuner.src.distribute import oracle_client

    from workbench.sweep.chief_token import channel

    silence_conditions()
    oracle_client.TIMEOUT = 30  # seconds; Keras Tuner waits an hour for a chief that is gone
    client = oracle_client.OracleClient(None)
    # In the place of the client's own channel, which carries no token.
    own = channel(f"{host}:{port}", chief_token(runner))
    client.stub = protos.get_service_grpc().OracleStub(own)
    try:
        run_trials(client, runner, name)
    except grpc.RpcError as error:
        code = error.code().name if hasattr(error, "code") else type(error).__name__
        if code == grpc.StatusCode.UNAUTHENTICATED.name:
            raise InputError(
                "the chief there is of another store, or of another user",
                where=f"{host}:{port}",
                do="give chief and workers one folder of records with --store, and one user",
            ) from error
        raise InputError(
            f"the chief does not answer ({code})",
            where=f"{host}:{port}",
            do="nothing is lost: start the chief with --resume, then this worker again",
        ) from error
