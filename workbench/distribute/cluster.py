"""Who the workers of a cluster are and which of them this process is: TF_CONFIG or a list of hosts.

Everything that can be wrong about a cluster without asking the other machines is refused here, before
TensorFlow starts: a list that does not match, a place that nobody has, a port that is taken.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass

from workbench.errors import InputError, SpecError

VARIABLE = "TF_CONFIG"
PLACE = "WORKBENCH_WORKER"


@dataclass(frozen=True)
class Cluster:
    """The workers' `hosts` as address:port, the chief first, and which of them this process is."""

    hosts: tuple[str, ...]
    index: int

    @property
    def own(self) -> str:
        return self.hosts[self.index]

    def tf_config(self) -> str:
        """Return what TensorFlow reads from TF_CONFIG."""
        task = {"type": "worker", "index": self.index}
        return json.dumps({"cluster": {"worker": list(self.hosts)}, "task": task})


def need_address(host: str, where: str) -> tuple[str, int]:
    """Return address and port of `host`; raises `SpecError` where it is not an address:port."""
    address, colon, port = host.rpartition(":")
    if not (colon and address and port.isdigit() and 0 < int(port) < 65536):
        raise SpecError(
            f"{host!r} is not a worker", where=where, expected="address:port, such as 10.0.0.1:2222"
        )
    return address.strip("[]"), int(port)


def find(hosts: tuple[str, ...], environment: Mapping[str, str] | None = None) -> Cluster:
    """Return the cluster that TF_CONFIG or `hosts` describe; raises `InputError` where they do not."""
    environment = os.environ if environment is None else environment
    # TF_CONFIG goes before `hosts`: a cluster's scheduler sets it for each process, a spec is the same for all.
    text = environment.get(VARIABLE)
    if text:
        return _checked(_from_text(text), hosts)
    if not hosts:
        raise InputError(
            "no workers are known",
            where="MultiWorker",
            expected=f"{VARIABLE} in the environment",
            do='or hosts=("10.0.0.1:2222", "10.0.0.2:2222") in the spec',
        )
    return Cluster(hosts, _own_index(hosts, environment))


def _checked(cluster: Cluster, hosts: tuple[str, ...]) -> Cluster:
    if hosts and hosts != cluster.hosts:
        raise InputError(
            f"its workers {', '.join(cluster.hosts)} are not the hosts of the spec",
            where=VARIABLE,
            expected=", ".join(hosts),
            do=f"unset {VARIABLE} or leave hosts out",
        )
    return cluster


def _from_text(text: str) -> Cluster:
    try:
        content = json.loads(text)
        groups, task = dict(content["cluster"]), dict(content["task"])
        chiefs, workers = list(groups.get("chief", [])), list(groups["worker"])
        kind, index = str(task["type"]), int(task["index"])
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"cannot be read ({type(error).__name__}: {error})",
            where=VARIABLE,
            expected='{"cluster": {"worker": ["host:port", ...]}, "task": {"type": "worker", "index": 0}}',
        ) from error
    odd = sorted({*groups, kind} - {"chief", "worker"})
    if odd:
        raise InputError(
            f"a task of type {odd[0]!r}", where=VARIABLE, expected="workers and at most one chief"
        )
    hosts = tuple(str(host) for host in [*chiefs, *workers])
    for host in hosts:
        need_address(host, VARIABLE)
    if len(set(hosts)) != len(hosts) or len(chiefs) > 1:
        raise InputError("a worker is listed twice, or two chiefs", where=VARIABLE, expected="one entry each")
    # TensorFlow numbers chief and workers apart; here the chief is worker 0 and all others move up by one.
    place = index + (len(chiefs) if kind == "worker" else 0)
    return Cluster(hosts, _in_range(place, hosts, VARIABLE))


def _in_range(index: int, hosts: tuple[str, ...], where: str) -> int:
    if not 0 <= index < len(hosts):
        raise InputError(
            f"worker {index} of {len(hosts)}", where=where, expected=f"a number from 0 to {len(hosts) - 1}"
        )
    return index


def _own_index(hosts: tuple[str, ...], environment: Mapping[str, str]) -> int:
    text = environment.get(PLACE)
    if text is not None:
        if not text.strip().isdigit():
            raise InputError(f"{text!r} is not a number", where=PLACE, expected=f"0 to {len(hosts) - 1}")
        return _in_range(int(text), hosts, PLACE)
    # By address, not by host name: machines know each other by names that they need not know themselves.
    mine = own_addresses()
    found = [i for i, host in enumerate(hosts) if _resolved(host) & mine]
    if len(found) != 1:
        what = "this machine is none of the hosts" if not found else "several hosts are this machine"
        raise InputError(
            what,
            where="MultiWorker.hosts",
            expected=", ".join(hosts),
            do=f"say which one this process is: {PLACE}=0 for the first, the chief",
        )
    return found[0]


def own_addresses() -> set[str]:
    """Return the addresses by which this machine is known, as well as it knows them itself."""
    # Several processes of one machine are told apart by WORKBENCH_WORKER; all of them are "this machine".
    found = {"127.0.0.1", "::1"}
    for name in (socket.gethostname(), socket.getfqdn()):
        found |= _resolved(f"{name}:1")
    probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        probe.connect(("192.0.2.1", 9))  # reserved for documentation: nothing is sent, a route is chosen
        found.add(probe.getsockname()[0])
    except OSError:
        found.discard("")
    finally:
        probe.close()
    return found


def _resolved(host: str) -> set[str]:
    address, port = need_address(host, "MultiWorker.hosts")
    try:
        return {str(entry[4][0]) for entry in socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)}
    except OSError:
        return set()


def listener(host: str) -> socket.socket:
    """Return a socket that listens on `host`; raises `InputError` where its port cannot be had."""
    address, port = need_address(host, "MultiWorker.hosts")
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    found = socket.socket(family, socket.SOCK_STREAM)
    # A training that is started again at once must not wait for the old connection's minute in TIME_WAIT.
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((address, port))
        found.listen(64)
    except OSError as error:
        found.close()
        raise InputError(
            f"cannot listen there: {error.strerror or error}",
            where=host,
            do="end what uses the port, or choose another address or port",
        ) from error
    return found
