"""Join the group that a run's devices ask for, or refuse: the only way from settings to a `Group`."""

from __future__ import annotations

import dataclasses
import os
import platform
import socket
from importlib import metadata
from typing import TYPE_CHECKING, Any

from workbench.distribute import cluster, rendezvous, setup, validate
from workbench.distribute.group import Group, MirroredGroup
from workbench.distribute.horovod import HorovodGroup, engine, gather_facts
from workbench.distribute.multiworker import WorkersGroup
from workbench.distribute.settings import Horovod, Mirrored, MultiWorker
from workbench.errors import InputError, SpecError
from workbench.lazy import tf
from workbench.spec.devices import ManyDevices

if TYPE_CHECKING:
    from workbench.spec.experiment import Experiment

_strategies: dict[tuple[str, ...], Any] = {}  # one for each set of devices of this process
PACKAGES = ("tensorflow", "keras", "tf-keras", "tensorflow-addons", "workbench")


@dataclasses.dataclass(frozen=True)
class Launch:
    """What this process was asked to run; the chief's is what all of them do."""

    run: str
    resume: bool
    quick: bool = False


def join(experiment: Experiment, meant: Launch) -> tuple[Group, Launch]:
    """Set TensorFlow up, meet the other workers, and return the group and what the chief was asked to run.

    Raises `InputError` for all that can be known before the first step.
    """
    settings = experiment.devices
    # Before the workers meet and before TensorFlow starts, as far as the settings alone tell.
    validate.refuse(experiment, validate.expected_replicas(settings))
    if isinstance(settings, Mirrored):
        return mirrored(experiment, settings), meant
    if isinstance(settings, MultiWorker):
        return workers(experiment, settings, meant)
    if isinstance(settings, Horovod):
        return horovod(experiment, settings, meant)
    if isinstance(settings, ManyDevices):
        raise SpecError("means no devices by itself", where=type(settings).__name__, do="use Mirrored()")
    return Group(setup.prepare(experiment)), meant


def mirrored(experiment: Experiment, settings: Mirrored) -> Group:
    """Return all GPUs of this machine, some of them, or logical CPU devices, as one group."""
    gpus = setup.visible(settings)
    if settings.kind == "cpu":
        names = _logical_cpus(settings.count or 1)
    else:
        names = [f"/gpu:{i}" for i in range(min(len(gpus), settings.count or len(gpus)))]
    if not names or (settings.count or 0) > len(names):
        raise InputError(
            f"TensorFlow sees {len(gpus)} GPUs on this machine",
            where="Mirrored",
            expected=f"{settings.count or 'one'} or more",
            do='take fewer, or try the spec on the CPU with kind="cpu", count=2',
        )
    # Once more, now that the devices are counted: `Mirrored()` takes as many GPUs as there are.
    validate.refuse(experiment, len(names))
    # After the devices are chosen and before a strategy makes contexts on them: neither can be changed later.
    device = setup.prepare(experiment)
    if tuple(names) not in _strategies:  # two of them on the same devices mix up their collective operations
        _strategies[tuple(names)] = tf.distribute.MirroredStrategy(names)
    strategy = _strategies[tuple(names)]
    line = validate.split_line(experiment, len(names))
    return MirroredGroup(f"{device}, {line}", strategy, settings.sync_norms)


def _logical_cpus(count: int) -> list[str]:
    cpu = tf.config.list_physical_devices("CPU")[0]
    try:
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * count)
    except RuntimeError as error:  # TensorFlow has started: what it was started with must do
        found = len(tf.config.list_logical_devices("CPU"))
        if found < count:
            raise InputError(
                f"this process has {found} logical CPU devices already",
                where="Mirrored.count",
                expected=f"{count}",
                do="run it in a process of its own",
            ) from error
    return [f"/cpu:{i}" for i in range(count)]


# ---------------------------------------------------------------- several processes


def facts_of(experiment: Experiment, meant: Launch, rank: int, hosts: tuple[str, ...]) -> dict[str, Any]:
    """Return what a worker says of itself; `problem` is what keeps it from training."""
    settings = experiment.devices
    found: dict[str, Any] = {
        "rank": rank,
        "host": socket.gethostname(),
        "process": os.getpid(),
        "hosts": list(hosts),
        "versions": versions(),
        "id": experiment.id,
        "seed": experiment.seed,
        "run": meant.run,
        "resume": meant.resume,
        "quick": meant.quick,
        "devices": 1,
        "kind": "cpu",
        "sync_norms": isinstance(settings, ManyDevices) and settings.sync_norms,
        "problem": None,
    }
    try:
        gpus = setup.visible(settings)
        if isinstance(settings, MultiWorker):
            found.update({"devices": max(1, len(gpus)), "kind": "gpu" if gpus else "cpu"})
            if rank:
                # Tried here so that a port in use is this worker's line in the chief's answer, not a hang in
                # TensorFlow. The chief's own port is tried by the meeting.
                cluster.listener(hosts[rank]).close()
        replicas = found["devices"] * len(hosts) if hosts else None
        validate.refuse(experiment, replicas)
    except InputError as error:
        found["problem"] = str(error)
    return found


def versions() -> dict[str, str]:
    """Return the versions that all workers must share."""
    found = {"python": ".".join(platform.python_version_tuple()[:2])}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def workers(experiment: Experiment, settings: MultiWorker, meant: Launch) -> tuple[Group, Launch]:
    """Meet the other machines and return the group with what the chief was asked to run."""
    place = cluster.find(settings.hosts)
    facts = facts_of(experiment, meant, place.index, place.hosts)
    members = rendezvous.meet(place, facts, settings.wait_seconds)
    # The strategy reads its cluster from this variable and from nowhere else.
    os.environ[cluster.VARIABLE] = place.tf_config()
    device = setup.prepare(experiment)
    options = tf.distribute.experimental.CommunicationOptions()
    strategy = tf.distribute.MultiWorkerMirroredStrategy(communication_options=options)
    line = validate.split_line(experiment, strategy.num_replicas_in_sync)
    group = WorkersGroup(f"{device}, {line}", strategy, settings.sync_norms, place.index, len(place.hosts))
    return _named(group, members, meant)


def horovod(experiment: Experiment, settings: Horovod, meant: Launch) -> tuple[Group, Launch]:
    """Start Horovod and return the group with what the first process was asked to run."""
    module = engine()
    # Before the first tensor: a process that has seen all GPUs keeps memory on each of them.
    _own_gpu(settings, int(module.local_rank()))
    facts = facts_of(experiment, meant, int(module.rank()), ())
    try:
        validate.refuse(experiment, int(module.size()))
    except InputError as error:
        facts["problem"] = str(error)
    device = setup.prepare(experiment)
    # All processes gather, also one that has a problem: a process that left before would hang the others.
    members = gather_facts(module, facts)
    problem = rendezvous.disagreement(members)
    if problem:
        # Orderly, so that the launcher reports this refusal and not a crashed process.
        module.shutdown()
        raise InputError(problem, where="the processes of Horovod")
    line = validate.split_line(experiment, int(module.size()))
    return _named(HorovodGroup(f"{device}, {line}", module, settings.sync_norms), members, meant)


def _own_gpu(settings: Horovod, local: int) -> None:
    gpus = tf.config.list_physical_devices("GPU") if settings.kind != "cpu" else []
    if gpus:
        tf.config.set_visible_devices(gpus[local % len(gpus)], "GPU")


def _named(group: Group, members: Any, meant: Launch) -> tuple[Group, Launch]:
    group.members = tuple(members)
    first = members[0]
    return group, dataclasses.replace(meant, run=first["run"], resume=bool(first["resume"]))
