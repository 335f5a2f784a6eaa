"""Workers meet before TensorFlow starts: the chief hears what each is, and tells all whether they may begin.

One line of JSON each way over the address that the chief will use for training. So a wrong version, a
wrong list or a missing GPU is said in one line in every machine's log, instead of a hang or a crash
deep inside a collective operation.
"""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Mapping, Sequence
from typing import Any

from workbench.distribute import cluster
from workbench.distribute.cluster import Cluster
from workbench.errors import InputError

LIMIT = 1 << 20  # bytes of a line; a longer one is none of ours
SAME = {  # what must be equal on all workers: the fact, and what it is called
    "hosts": "another list of workers",
    "versions": "other versions",
    "id": "other settings",
    "seed": "another seed",
    "quick": "another use of --quick",
    "kind": "another kind of devices",
    "sync_norms": "another setting of sync_norms",
    "devices": "another number of devices",
}
Facts = Mapping[str, Any]


def disagreement(members: Sequence[Facts]) -> str | None:
    """Return in one line what keeps the workers from training together, or None; the chief comes first."""
    for member in members:
        if member.get("problem"):
            return f"worker {member['rank']} on {member['host']}: {member['problem']}"
    # In this order: a wrong list of hosts explains every other difference, so it is said first.
    for fact, words in SAME.items():
        for member in members[1:]:
            if member.get(fact) != members[0].get(fact):
                mine, other = _differing(members[0].get(fact), member.get(fact))
                return (
                    f"worker {member['rank']} on {member['host']} has {words}: {other}, the chief has {mine}"
                )
    return None


def _differing(one: Any, other: Any) -> tuple[str, str]:
    """Return both values as text; of mappings only what differs."""
    if not (isinstance(one, Mapping) and isinstance(other, Mapping)):
        return _text(one), _text(other)
    odd = [name for name in dict.fromkeys([*one, *other]) if one.get(name) != other.get(name)]
    return tuple(", ".join(f"{name} {side.get(name)}" for name in odd) for side in (one, other))  # type: ignore[return-value]


def _text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def meet(place: Cluster, facts: Facts, seconds: float) -> list[Facts]:
    """Return what every worker said of itself, the chief first; raises `InputError` where they cannot train.

    Waits `seconds` at most for the others.
    """
    deadline = time.monotonic() + seconds
    if place.index == 0:
        return _gather(place, facts, deadline, seconds)
    return _report(place, facts, deadline, seconds)


# ---------------------------------------------------------------- the chief


def _gather(place: Cluster, facts: Facts, deadline: float, seconds: float) -> list[Facts]:
    found: dict[int, Facts] = {0: facts}
    with contextlib.ExitStack() as open_, cluster.listener(place.own) as door:
        # The connections stay open until all have come: everybody gets the same answer, and nobody begins alone.
        lines: list[socket.socket] = []
        problem = None
        while len(found) < len(place.hosts) and problem is None:
            problem = _hear(door, place, found, lines, open_, deadline, seconds)
        members = [found[i] for i in sorted(found)]
        problem = problem or disagreement(members)
        for line in lines:
            # A worker that is gone by now is found missing at the first step; the others must still hear.
            with contextlib.suppress(OSError):
                line.sendall(json.dumps({"problem": problem, "members": members}).encode() + b"\n")
    if problem:
        raise InputError(problem, where="the workers")
    return members


def _hear(
    door: socket.socket,
    place: Cluster,
    found: dict[int, Facts],
    lines: list[socket.socket],
    open_: contextlib.ExitStack,
    deadline: float,
    seconds: float,
) -> str | None:
    """Wait for one more worker; return what is wrong with it, or None."""
    # Never zero: that would make the socket non-blocking and the loop a busy one.
    door.settimeout(max(0.01, deadline - time.monotonic()))
    try:
        line, _ = door.accept()
    except TimeoutError:
        missing = [place.hosts[i] for i in range(len(place.hosts)) if i not in found]
        return f"{', '.join(missing)} did not come within {seconds:g} s"
    open_.enter_context(line)
    # A short limit of its own: one silent stranger at the port must not use up the time meant for the workers.
    said = _read(line, 5.0)
    if said is None or "rank" not in said:
        return None  # a port scanner or a health check: no worker
    lines.append(line)
    rank = int(said["rank"])
    if rank in found or not 0 <= rank < len(place.hosts):
        return f"a second process on {said.get('host')} says that it is worker {rank}, or one too many"
    found[rank] = said
    return None


# ---------------------------------------------------------------- the others


def _report(place: Cluster, facts: Facts, deadline: float, seconds: float) -> list[Facts]:
    chief = place.hosts[0]
    with _reached(chief, deadline, seconds) as line:
        line.sendall(json.dumps(dict(facts)).encode() + b"\n")
        answer = _read(line, max(1.0, deadline - time.monotonic()))
    if answer is None or "members" not in answer:
        raise InputError(
            "what answers there is not the chief of this training, or it ended",
            where=chief,
            expected="a process started with the same spec",
            do="look at the chief's log",
        )
    if answer.get("problem"):
        raise InputError(str(answer["problem"]), where="the workers")
    return list(answer["members"])


def _reached(chief: str, deadline: float, seconds: float) -> socket.socket:
    address, port = cluster.need_address(chief, "MultiWorker.hosts")
    while True:
        try:
            return socket.create_connection((address, port), timeout=5.0)
        except OSError as error:
            if time.monotonic() > deadline:
                raise InputError(
                    f"no chief answered within {seconds:g} s ({error.strerror or error})",
                    where=chief,
                    do="start the chief, or correct the list of hosts",
                ) from error
            # Workers are often up before their chief, so a refused connection is the usual beginning.
            time.sleep(0.2)


def _read(line: socket.socket, seconds: float) -> dict[str, Any] | None:
    """Return the JSON object of one line, None where none comes in time."""
    line.settimeout(seconds)
    content = b""
    try:
        while not content.endswith(b"\n") and len(content) < LIMIT:
            part = line.recv(65536)
            if not part:
                return None
            content += part
        value = json.loads(content)
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None
