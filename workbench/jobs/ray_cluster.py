"""Runs on a Ray cluster: each a Ray task with the resources of its spec, tried again where its node is lost.

Ray places and watches; nothing else is asked of it. Addresses are probed before Ray is called, because Ray
itself waits a minute for one that does not answer.
"""

from __future__ import annotations

import logging
import os
import secrets
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.distribute.settings import Horovod, MultiWorker
from workbench.errors import InputError
from workbench.jobs import ray_worker
from workbench.jobs.placement import Place
from workbench.jobs.process import FAILED, INTERRUPTED, STOPPED
from workbench.jobs.progress import log_of
from workbench.jobs.task import Task
from workbench.spec.experiment import Experiment
from workbench.tracking.locks import lock
from workbench.tracking.store import Store

CONNECT_SECONDS = 5.0
PROBE_SECONDS = 60.0
RETRIES = 20  # lost nodes that one run survives
# The opening of an HTTP/2 connection with an empty SETTINGS frame; RFC 9113, sections 3.4 and 6.5.
HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
SETTINGS_FRAME = 4
HANDED_ON = ("WORKBENCH_DATA", "PYTHONPATH")  # to nodes that have not set them otherwise


@dataclass(frozen=True)
class Needs:
    """What one run takes of a node."""

    cpus: int
    gpus: int

    def __str__(self) -> str:
        return f"{self.gpus} GPU{'s' if self.gpus > 1 else ''}" if self.gpus else f"{self.cpus} CPU"

    def fit(self, resources: Mapping[str, float]) -> bool:
        """Tell whether a node with these resources can hold the run when it is empty."""
        return resources.get("CPU", 0) >= self.cpus and resources.get("GPU", 0) >= self.gpus


class AnyPlace(Place):
    """The place of a run that Ray places."""

    def __str__(self) -> str:
        return "Ray"


def needs(experiment: Experiment, has_gpus: bool) -> Needs:
    """Return what the devices of a spec's stages take: GPUs where the cluster has any, else processors.

    Raises `InputError` for devices that are several processes: one run is one task here.
    """
    found = Needs(1, 0)
    for plan in experiment.plans():
        devices = plan.devices
        if isinstance(devices, (MultiWorker, Horovod)):
            raise InputError(
                f"{type(devices).__name__} has processes of its own",
                where="--ray",
                expected="OneDevice or Mirrored",
                do="start its workers by hand, or leave out --ray",
            )
        count = getattr(devices, "count", 1) or 1
        gpu = has_gpus and getattr(devices, "kind", None) != "cpu"
        wanted = Needs(1, count) if gpu or getattr(devices, "kind", None) == "gpu" else Needs(count, 0)
        found = Needs(max(found.cpus, wanted.cpus), max(found.gpus, wanted.gpus))
    return found


class RayCluster:
    """A connection to a Ray cluster; made by `connected`."""

    def __init__(self, ray: Any, store: Store, address: str | None, debug: bool) -> None:
        self.ray, self.store, self.address, self.debug = ray, store, address, debug
        self.say: Callable[[str], object] = lambda text: None
        self.nodes: list[Mapping[str, Any]] = [node for node in ray.nodes() if node["Alive"]]

    @property
    def has_gpus(self) -> bool:
        return any(node["Resources"].get("GPU", 0) for node in self.nodes)

    def check(self, tasks: Sequence[Task]) -> None:
        """Raise `InputError` for a run that no node can hold, and for nodes that are not fit."""
        for task in tasks:
            wanted = needs(task.variant.experiment, self.has_gpus)
            if not any(wanted.fit(node["Resources"]) for node in self.nodes):
                have = ", ".join(_offer(node) for node in self.nodes) or "no node at all"
                raise InputError(f"no node has {wanted}: there are {have}", where=f"{task.title} on Ray")
        files = sorted({task.variant.path for task in tasks})
        problems = list(self._problems(files))
        if problems:
            more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
            raise InputError(
                f"{problems[0]}{more}", where="--ray", do="`workbench run --help` names the page"
            )

    def _problems(self, files: Sequence[str]) -> Iterator[str]:
        """Ask every node in its own words what keeps it from taking part."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        token = self.store.journals / f".nodes-{secrets.token_hex(8)}"
        store = None if self.store.is_local else self.store.uri
        # Of no processor: a question must not wait for one that a training holds.
        asked = self.ray.remote(num_cpus=0, max_retries=0)(ray_worker.probe)
        with lock(token):  # which a node tries to take: the only proof that locks reach it
            try:
                answers = {}
                for node in self.nodes:
                    there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
                    words = (str(token), os.getcwd(), files, ray_worker.versions(), store)
                    answers[_name(node)] = asked.options(scheduling_strategy=there).remote(*words)
                for name, answer in answers.items():
                    yield from (f"node {name}: {problem}" for problem in self._answer(answer))
            finally:
                token.unlink(missing_ok=True)

    def _answer(self, answer: Any) -> list[str]:
        try:
            found: list[str] = self.ray.get(answer, timeout=PROBE_SECONDS)
            return found
        except self.ray.exceptions.GetTimeoutError:
            return [f"no answer within {PROBE_SECONDS:g} s"]
        except self.ray.exceptions.RayError as error:
            missing = "No module named" in str(error)
            return ["the same workbench must be installed on it" if missing else _line(error)]

    def start(self, task: Task, place: Place) -> RayJob:
        """Hand one run to Ray."""
        wanted = needs(task.variant.experiment, self.has_gpus)
        folder = self.store.run_folder(task.run)
        folder.mkdir(parents=True, exist_ok=True)
        handed = ray_worker.RayTask(
            words=tuple(task.words(self.address, debug=self.debug)[1:]),
            folder=os.getcwd(),
            journal=str(self.store.journal(task.run)),
            log=str(log_of(self.store, task.run)),
            stop=str(folder / "stop"),
            cpus=wanted.cpus,
            gpus=wanted.gpus,
            variables={name: os.environ[name] for name in HANDED_ON if name in os.environ},
        )
        return RayJob(self.ray, handed, lambda text: self.say(f"{task.run}: {text}"))


class RayJob:
    """One run on the cluster, submitted again when its node or its process is lost."""

    def __init__(self, ray: Any, task: ray_worker.RayTask, say: Callable[[str], object]) -> None:
        self._ray, self._task, self._say = ray, task, say
        self._stop, self._log = Path(task.stop), Path(task.log)
        self._asked, self._losses = 0, 0
        # What an earlier queue asked for, and a killed one left, must not stop this one.
        self._stop.unlink(missing_ok=True)
        self._submit()

    def _submit(self) -> None:
        # A node's first act is a line in the log: while it is as long as now, no node has taken the run up.
        self._before = _size(self._log)
        # Never tried again by Ray: it would begin the words anew and knows nothing of a stop that was asked for.
        task = self._ray.remote(num_cpus=self._task.cpus, num_gpus=self._task.gpus, max_retries=0)(
            ray_worker.train
        )
        self._answer = task.remote(self._task)

    def poll(self) -> int | None:
        """Return the run's exit status, None while it waits or works."""
        if self._asked and _size(self._log) == self._before:  # no node took it up yet
            self._ray.cancel(self._answer, force=True)  # nothing was begun that could be saved
            return self._end(INTERRUPTED if self._asked == signal.SIGINT else STOPPED)
        ready, _ = self._ray.wait([self._answer], timeout=0)
        if not ready:
            return None
        try:
            done: ray_worker.RayResult = self._ray.get(self._answer)
        except self._ray.exceptions.RayTaskError as error:
            self._say(_line(error))
            return self._end(FAILED)
        except self._ray.exceptions.RayError as error:
            return self._lost(_line(error).split(". ")[0])
        return self._lost("its process was stopped from outside") if done.lost else self._end(done.status)

    def stop(self, number: int) -> None:
        """Ask the run's node for a gentle end, through the shared folder."""
        self._asked = number
        self._stop.write_text(str(int(number)))

    def _lost(self, why: str) -> int | None:
        self._losses += 1
        if self._asked:
            return self._end(STOPPED)
        if self._losses > RETRIES:
            self._say(f"lost {self._losses} times, the last time: {why}")
            return self._end(FAILED)
        self._say(f"its node or process is lost ({why}); it goes on elsewhere from its checkpoint")
        self._submit()
        return None

    def _end(self, status: int) -> int:
        self._stop.unlink(missing_ok=True)
        return status


@contextmanager
def connected(address: str, store: Store, word: str | None, debug: bool) -> Iterator[RayCluster]:
    """Connect to the cluster at `address` (host:port) until the block ends.

    What Ray prints by itself is dropped (with `debug`: shown as errors are). Raises `InputError` in one line,
    within seconds, where Ray is missing or no cluster answers.
    """
    ray = _ray()
    require_answer(address)
    level = logging.INFO if debug else logging.CRITICAL
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray reports each use to its makers by default
    try:
        ray.init(address=address, log_to_driver=debug, logging_level=level, configure_logging=debug)
    except (RuntimeError, ConnectionError, ValueError, OSError, ray.exceptions.RayError) as error:
        raise InputError(
            _line(error), where=f"--ray {address}", do="this machine must be part of the cluster"
        ) from error
    with open(os.devnull, "w") as nowhere, redirect_stdout(sys.stderr if debug else nowhere):
        try:
            yield RayCluster(ray, store, word, debug)
        finally:
            ray.shutdown()


def _ray() -> Any:
    try:
        import ray
        import ray.exceptions
    except ImportError as error:
        raise InputError("Ray is not installed", where="--ray", do="pip install 'workbench[ray]'") from error
    return ray


def require_answer(address: str) -> None:
    """Raise `InputError` unless something at host:port speaks HTTP/2, as the head of a Ray cluster does."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or "//" in address:
        raise InputError(
            f"{address!r} is not an address",
            where="--ray",
            expected="host:port of the cluster's head, such as 10.0.0.1:6379",
        )
    try:
        with socket.create_connection((host, int(port)), CONNECT_SECONDS) as connection:
            connection.settimeout(CONNECT_SECONDS)
            connection.sendall(HELLO)
            answer = connection.recv(9)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(
            f"no Ray cluster answers: {reason}", where=f"--ray {address}", do="`ray start --head` starts one"
        ) from error
    if len(answer) < 4 or answer[3] != SETTINGS_FRAME:
        raise InputError(
            "what answers is not a Ray cluster",
            where=f"--ray {address}",
            expected="the address that `ray start --head` prints",
        )


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _name(node: Mapping[str, Any]) -> str:
    return f"{node['NodeManagerAddress']} ({node['NodeManagerHostname']})"


def _offer(node: Mapping[str, Any]) -> str:
    have = node["Resources"]
    return f"{_name(node)} with {have.get('CPU', 0):g} CPU and {have.get('GPU', 0):g} GPU"


def _line(error: BaseException) -> str:
    text = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (text[-1] if "Traceback" in str(error) else " ".join(text))[:300] or type(error).__name__
