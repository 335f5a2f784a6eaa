"""The arithmetic of docs/scale.md: what `workbench profile` measured once, assumptions about GPUs, and what follows.

`make docs` writes the tables into the page from here, so that no number in them can differ from its derivation.
Times are in seconds, sizes in bytes; the assumptions stand in the page with their reasons.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

B, D = 128, 512  # images of a GPU in a step; size of the embedding
F = 25e12  # FLOP/s that training gets out of a GPU
MEMORY = 1.5e12  # bytes/s of a GPU's own memory
NVLINK, NETWORK = 100e9, 12.5e9  # bytes/s in a ring: within a machine of 8 GPUs, between machines
PRICE = 2.0  # a GPU and hour
PASSES = 6  # of each layer's output through memory: written and read forward; read, its gradient written and read twice backward
RATE = 0.1  # of `Sampled`
# Measured too, with 85,742 identities: the head's time by that of its FLOP at the network's rate; passes over its weights.
HEAD, UPDATE, UPDATE_SAMPLED = 2.5, 5, 11
# `workbench profile` of MobileFaceNet on two CPU cores: milliseconds of a step of 32 images, and of all its threads together.
IMAGES = 32
MEASURED = {
    "read": (1.25, 1.39),
    "decode": (6.06, 6.18),
    "augment": (9.59, 9.75),
    "forward": (240.74, 434.28),
    "head": (18.60, 0.00),
    "backward": (380.74, 821.84),
    "update": (19.01, 27.30),
    "reduce": (0.00, 0.00),
    "log": (1.14, 1.14),
}
# The same command with two devices on these cores: MB of gradients, milliseconds of their sum and of the sums of
# synchronised normalisation. Batches do not matter to either; 40 identities, then 85,742
# (whose sums were timed by the same functions, without the rest of the profile).
SUMS: dict[str, tuple[tuple[float, ...], ...]] = {
    "`Mirrored`, 2 logical devices": ((4.88, 3.3, 15), (180.4, 105)),
    "`MultiWorker`, 2 processes": ((4.88, 7.4, 36), (180.4, 2195)),
    "`Horovod`, 2 processes": ((4.88, 26.6, 1276), (180.4, 294)),
}
CORE_MS = sum(MEASURED[part][1] for part in ("read", "decode", "augment")) / IMAGES  # of the data, an image


@dataclass(frozen=True)
class Network:
    """One image's multiply-adds and bytes of layer outputs, and the bytes of the weights."""

    name: str
    multiply_adds: float
    activations: float
    weights: float

    @property
    def seconds(self) -> float:
        """Of one image, forward and backward: what its arithmetic takes, or its memory traffic if that is more."""
        return max(6 * self.multiply_adds / F, PASSES * self.activations / MEMORY)


@dataclass(frozen=True)
class Job:
    """A training: network, images, identities, whether the head is sampled, GPUs."""

    network: Network
    images: float
    identities: int
    sampled: bool
    gpus: int

    @property
    def columns(self) -> float:
        """Identities that take part in a step."""
        return self.identities * (RATE if self.sampled else 1)

    @property
    def summed(self) -> float:
        """Bytes of the gradients that all GPUs sum."""
        return self.network.weights + 4 * self.columns * D

    @property
    def compute(self) -> float:
        return B * (self.network.seconds + HEAD * 6 * self.columns * D / F)

    @property
    def reduce(self) -> float:
        link = NVLINK if self.gpus <= 8 else NETWORK
        return ring(self.gpus, self.summed, link)

    @property
    def update(self) -> float:
        passes = UPDATE_SAMPLED if self.sampled else UPDATE
        return (UPDATE * self.network.weights + passes * 4 * self.identities * D) / MEMORY

    @property
    def step(self) -> float:
        return self.compute + self.reduce + self.update

    @property
    def rate(self) -> float:
        """Images a second of all GPUs."""
        return self.gpus * B / self.step

    @property
    def hours(self) -> float:
        """Of an epoch."""
        return self.images / self.rate / 3600

    @property
    def memory(self) -> float:
        """Of a GPU: weights, momentum and gradients, layer outputs, and the logits three times."""
        whole = self.network.weights + 4 * self.identities * D
        return 2 * whole + self.summed + B * self.network.activations + 12 * B * self.columns

    def line(self) -> str:
        data = "MS1M" if self.images < 1e7 else "40 million"
        parts = [self.network.name, f"{data}, {'a tenth' if self.sampled else 'full'}", str(self.gpus)]
        parts += [f"{1000 * value:.{digits}f}" for value, digits in self._milliseconds()]
        parts += [f"{self.rate:,.0f}", span(self.hours), f"{self.memory / 1e9:.1f} GB"]
        parts += [f"{self.hours * self.gpus * PRICE:,.2f}", f"{self.rate / self.gpus * CORE_MS / 1000:.1f}"]
        return f"| {' | '.join(parts)} |"

    def _milliseconds(self) -> list[tuple[float, int]]:
        return [(self.compute, 0), (self.reduce, 0), (self.update, 1), (self.step, 0)]


def span(hours: float) -> str:
    """Return a time as hours or, below two of them, minutes."""
    return f"{hours:.1f} h" if hours >= 2 else f"{60 * hours:.1f} min"


R50 = Network("r50", 6.2965e9, 79.2e6, 4 * 31.1e6)
MOBILE = Network("MobileFaceNet", 220.9e6, 38.1e6, 4 * 1.2e6)
MS1M, LARGE = (5.8e6, 85_742), (40e6, 2_000_000)


def parts() -> str:
    """Return the table of what was measured."""
    lines = ["| part | ms a step | core ms a step | core ms an image |", "| --- | --- | --- | --- |"]
    lines += [
        f"| {part} | {wall:,.2f} | {cores:,.2f} | {cores / IMAGES:.3f} |"
        for part, (wall, cores) in MEASURED.items()
    ]
    return "\n".join(lines)


def sums() -> str:
    """Return the table of what two devices' sums took here, beside what the assumed links would take."""
    head = [
        "strategy",
        "gradients",
        "`reduce` here",
        "as a ring",
        "over NVLink",
        "over the network",
        "`norms` here",
    ]
    lines = [f"| {' | '.join(head)} |", f"| {' | '.join('---' for _ in head)} |"]
    for strategy, rows in SUMS.items():
        for megabytes, reduce, *norms in rows:
            rate, size = megabytes / reduce, f"{megabytes:,.1f} MB"
            derived = [f"{1000 * ring(2, 1e6 * megabytes, link):.2f} ms" for link in (NVLINK, NETWORK)]
            words = [strategy, size, f"{reduce:,.1f} ms", f"{rate:.2f} GB/s", *derived]
            lines.append(f"| {' | '.join([*words, f'{norms[0]:,.0f} ms' if norms else ''])} |")
    return "\n".join(lines)


def ring(count: int, summed: float, link: float) -> float:
    """Return the seconds of a ring's sum of `summed` bytes over `count` devices."""
    return 2 * (count - 1) / count * summed / link


def table() -> str:
    """Return the table of expected epochs."""
    head = [
        "network",
        "data, head",
        "GPUs",
        "compute ms",
        "reduce ms",
        "update ms",
        "step ms",
        "images a second",
    ]
    head += ["epoch", "memory a GPU", "cost", "cores a GPU"]
    lines = [f"| {' | '.join(head)} |", f"| {' | '.join('---' for _ in head)} |"]
    return "\n".join(lines + [job.line() for job in jobs()])


def jobs() -> Iterator[Job]:
    """Yield what the table shows."""
    for network in (R50, MOBILE):
        for (images, identities), sampled in ((MS1M, False), (MS1M, True), (LARGE, False), (LARGE, True)):
            for gpus in (1, 8, 64):
                yield Job(network, images, identities, sampled, gpus)
