"""Bad input about devices: said in one line before anything starts, with exit status 2."""

from __future__ import annotations

import json
import re
import socket
import sys
import threading
from typing import Any

import pytest
from running import free_ports

from workbench import AdaFace, ArcFace, Center, Horovod, Mirrored, MultiWorker, OneDevice, Stage, Triplet
from workbench.cli import main
from workbench.distribute import cluster, rendezvous, roles, validate
from workbench.errors import InputError, SpecError

HOSTS = ("10.0.0.1:2222", "10.0.0.2:2222")


def spec(shape: Any, **changes: Any) -> Any:
    from shallow import shallow

    return shallow(devices=shape, **changes)


def config(hosts: Any = HOSTS, kind: str = "worker", index: int = 1, **more: Any) -> dict[str, str]:
    content = {"cluster": {"worker": list(hosts), **more}, "task": {"type": kind, "index": index}}
    return {"TF_CONFIG": json.dumps(content)}


# ---------------------------------------------------------------- settings


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: Mirrored(kind="cpu"), "count is missing"),
        (lambda: Mirrored(count=0), "out of range"),
        (lambda: MultiWorker(hosts=("10.0.0.1",)), "is not a worker; expected address:port"),
        (lambda: MultiWorker(hosts=(HOSTS[0], HOSTS[0])), "listed twice"),
        (lambda: MultiWorker(hosts=("a:99999",)), "address:port"),
        (lambda: OneDevice(kind="tpu"), "expected 'gpu' or 'cpu'"),
    ],
)
def test_impossible_devices_are_refused(make: Any, words: str) -> None:
    with pytest.raises(SpecError, match=words):
        make()


def test_a_batch_that_does_not_divide_is_refused_with_the_next_ones_that_do() -> None:
    with pytest.raises(InputError, match="a batch of 15 does not divide among 2 devices.*take 14 or 16"):
        validate.refuse(spec(Mirrored(kind="cpu", count=2), batch_size=15), 2)
    validate.refuse(spec(Mirrored(kind="cpu", count=2), batch_size=16), 2)


def test_the_line_about_the_split_names_what_losses_gather() -> None:
    plain = spec(Mirrored(kind="cpu", count=2))
    assert validate.split_line(plain, 2) == "2 devices, batches of 16 = 2 x 8; batch normalisation over all"
    loss = ArcFace(scale=16) + 0.1 * Center() + Triplet()
    stages = (Stage(loss=loss, epochs=1), Stage(loss=AdaFace(), epochs=1))
    assert validate.split_line(plain.but(stages=stages), 2).endswith(
        "; of the global batch: Center's moves of the centers, Triplet's triplets, "
        "AdaFace's mean and deviation of the norms"
    )


def test_the_small_form_runs_on_one_device_unless_a_kind_is_asked_for() -> None:
    assert Mirrored(count=2, xla=True, steps_per_execution=4).quick() == OneDevice(
        xla=True, steps_per_execution=4
    )
    for settings in (Mirrored(kind="cpu", count=2), Mirrored(kind="gpu"), OneDevice(), Horovod()):
        assert settings.quick() is settings


def test_stages_stay_on_the_devices_of_the_run() -> None:
    from workbench.losses.margin import ArcFace
    from workbench.spec.stage import Stage

    pair = Mirrored(kind="cpu", count=2)
    for other, fine in ((OneDevice(), False), (pair.but(xla=True), True), (pair.but(count=4), False)):
        experiment = spec(pair, stages=(Stage(loss=ArcFace(), epochs=1, devices=other),))
        if fine:
            validate.refuse(experiment, 2)
            continue
        with pytest.raises(SpecError, match="the same devices in all stages"):
            validate.refuse(experiment, 2)


def test_devices_are_no_part_of_the_identity() -> None:
    one = spec(OneDevice())
    for other in (Mirrored(kind="cpu", count=2), MultiWorker(hosts=HOSTS), Horovod(sync_norms=False)):
        assert spec(other).id == one.id


# ---------------------------------------------------------------- who is who


def test_tf_config_and_hosts_give_the_same_cluster() -> None:
    assert cluster.find((), config()) == cluster.Cluster(HOSTS, 1)
    assert cluster.find(HOSTS, config()) == cluster.Cluster(HOSTS, 1)
    assert cluster.find(HOSTS, {"WORKBENCH_WORKER": "1"}) == cluster.Cluster(HOSTS, 1)
    chief = config(hosts=HOSTS[1:], index=0, chief=[HOSTS[0]])
    assert cluster.find((), chief) == cluster.Cluster(HOSTS, 1)
    assert json.loads(cluster.Cluster(HOSTS, 1).tf_config())["task"] == {"type": "worker", "index": 1}


@pytest.mark.parametrize(
    "hosts, environment, words",
    [
        ((), {}, "no workers are known"),
        ((), {"TF_CONFIG": "{"}, "cannot be read"),
        ((), {"TF_CONFIG": "{}"}, "cannot be read"),
        ((), config(index=2), "worker 2 of 2"),
        ((), config(kind="ps"), "a task of type 'ps'"),
        ((), config(hosts=(HOSTS[0], HOSTS[0])), "listed twice"),
        ((), config(hosts=("nowhere",)), "is not a worker"),
        (HOSTS, config(hosts=(HOSTS[0], "10.0.0.9:2222")), "are not the hosts of the spec"),
        (HOSTS, {"WORKBENCH_WORKER": "7"}, "worker 7 of 2"),
        (HOSTS, {"WORKBENCH_WORKER": "first"}, "is not a number"),
        (("198.51.100.1:1", "198.51.100.2:1"), {}, "this machine is none of the hosts"),
        (("127.0.0.1:1", "127.0.0.1:2"), {}, "several hosts are this machine"),
    ],
)
def test_a_cluster_that_does_not_match_is_refused(hosts: Any, environment: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        cluster.find(hosts, environment)


def test_a_machine_finds_its_place_by_its_address() -> None:
    assert cluster.find(("127.0.0.1:1", "198.51.100.2:1"), {}).index == 0


def test_the_chief_leads_and_the_others_follow(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not roles.is_worker(OneDevice())
    for index, expected in (("0", False), ("1", True)):
        monkeypatch.setenv("WORKBENCH_WORKER", index)
        monkeypatch.setenv("HOROVOD_RANK", index)
        assert roles.is_worker(MultiWorker(hosts=HOSTS)) is expected
        assert roles.is_worker(Horovod()) is expected
    with pytest.raises(InputError, match="one at a time"):
        roles.refuse_several([Horovod(), Horovod()])
    roles.refuse_several([Horovod()])
    roles.refuse_several([OneDevice(), OneDevice()])


# ---------------------------------------------------------------- the workers meet


def facts(place: int, **changes: Any) -> dict[str, Any]:
    base = {
        "rank": place,
        "host": f"m{place}",
        "process": place,
        "id": "a",
        "seed": 0,
        "run": f"r{place}",
        "versions": {"tensorflow": "2.15.1", "python": "3.11"},
    }
    return {**base, **changes}


def met(members: list[dict[str, Any]], seconds: float = 1200.0) -> list[Any]:
    """Let threads meet as workers; return what each got or raised."""
    hosts = tuple(f"127.0.0.1:{port}" for port in free_ports(len(members)))
    results: list[Any] = [None] * len(members)

    def one(k: int) -> None:
        try:
            results[k] = rendezvous.meet(cluster.Cluster(hosts, k), members[k], seconds)
        except InputError as error:
            results[k] = error

    threads = [threading.Thread(target=one, args=(k,)) for k in range(len(members))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(1200)
    return results


def test_workers_that_agree_learn_what_each_is() -> None:
    results = met([facts(0), facts(1), facts(2)])
    assert [[member["run"] for member in found] for found in results] == [["r0", "r1", "r2"]] * 3


@pytest.mark.parametrize(
    "change, words",
    [
        (
            {"versions": {"tensorflow": "2.14.0", "python": "3.11"}},
            "worker 1 on m1 has other versions: tensorflow 2.14.0, the chief has tensorflow 2.15.1",
        ),
        ({"id": "b"}, "other settings: b"),
        ({"seed": 4}, "another seed: 4"),
        ({"problem": "TensorFlow sees no GPU"}, "worker 1 on m1: TensorFlow sees no GPU"),
        ({"rank": 0}, "a second process"),
    ],
)
def test_what_keeps_workers_apart_is_said_on_every_machine(change: dict[str, Any], words: str) -> None:
    results = met([facts(0), facts(1, **change)])
    for error in results:
        assert isinstance(error, InputError)
        assert error.exit_status == 2
        assert words in str(error)


def test_a_worker_that_never_comes_and_a_chief_that_never_comes() -> None:
    hosts = tuple(f"127.0.0.1:{port}" for port in free_ports(2))
    with pytest.raises(InputError, match=rf"{hosts[1]} did not come within 0.3 s"):
        rendezvous.meet(cluster.Cluster(hosts, 0), facts(0), 0.3)
    with pytest.raises(InputError, match="no chief answered within 0.3 s"):
        rendezvous.meet(cluster.Cluster(hosts, 1), facts(1), 0.3)


def test_a_stranger_on_the_chiefs_port_is_told_from_a_chief() -> None:
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        door.listen()
        hosts = (f"127.0.0.1:{door.getsockname()[1]}", "127.0.0.1:1")
        threading.Thread(target=lambda: door.accept()[0].close(), daemon=True).start()
        with pytest.raises(InputError, match="is not the chief"):
            rendezvous.meet(cluster.Cluster(hosts, 1), facts(1), 5)


def test_a_port_in_use_is_refused() -> None:
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        door.listen()
        with pytest.raises(InputError, match="cannot listen there: Address already in use"):
            cluster.listener(f"127.0.0.1:{door.getsockname()[1]}")


# ---------------------------------------------------------------- the program


def test_check_and_run_refuse_a_batch_that_does_not_divide(
    project: Any, root: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (
        f'"""Does it divide?"""\nimport sys\nsys.path.insert(0, {str(root / "tests" / "workbench" / "distribute")!r})\n'
        "from shallow import shallow\nfrom workbench import Mirrored\n"
        'experiment = shallow(batch_size=15, devices=Mirrored(kind="cpu", count=2))\n'
    )
    (project / "experiments" / "odd.py").write_text(text)
    assert main(["check", "experiments/odd.py", "--no-steps"]) == 2
    assert "a batch of 15 does not divide among 2 devices" in capsys.readouterr().err
    assert main(["check", "experiments/odd.py", "--no-steps", "--set", "batch_size=16"]) == 0
    assert "2 devices, batches of 16 = 2 x 8" in capsys.readouterr().out


@pytest.mark.tensorflow
def test_xla_on_several_cpu_devices_is_refused_before_a_step() -> None:
    from workbench.distribute.setup import prepare

    with pytest.raises(InputError, match="XLA compiles no step of several CPU devices"):
        prepare(spec(Mirrored(kind="cpu", count=2, xla=True)))
    prepare(spec(Mirrored(kind="cpu", count=2)))


@pytest.mark.parametrize(
    ("version", "words"),
    [
        ("2.15.1", "build it with `make horovod`"),
        ("2.21.0", "older than TensorFlow 2.21 and not built for it; take MultiWorker()"),
    ],
)
def test_horovod_that_is_missing_says_what_can_be_done(monkeypatch, version: str, words: str) -> None:
    import types

    from workbench.distribute import horovod

    monkeypatch.setitem(sys.modules, "horovod.tensorflow", None)
    monkeypatch.setattr(horovod, "tf", types.SimpleNamespace(__version__=version))
    with pytest.raises(InputError, match=re.escape(words)):
        horovod.engine()
