"""How much memory this process may still take: what asks for more is refused before it is begun."""

from __future__ import annotations

import resource
from pathlib import Path

GROUPS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def available_bytes() -> int:
    """Return the bytes that this process may still take: free on the machine, and left of its container's limit."""
    facts = dict(line.split(":", 1) for line in _text("/proc/meminfo").splitlines() if ":" in line)
    free = [1024 * int(facts.get(name, "0").split()[0]) for name in ("MemAvailable", "SwapFree")]
    own = dict(line.split(":", 1) for line in _text("/proc/self/status").splitlines() if ":" in line)
    used = {name: 1024 * int(own.get(name, "0").split()[0]) for name in ("VmRSS", "VmData", "VmSize")}
    left = [int(text) - used["VmRSS"] for text in map(_text, GROUPS) if text.strip().isdigit()]
    for kind, name in ((resource.RLIMIT_DATA, "VmData"), (resource.RLIMIT_AS, "VmSize")):
        most = resource.getrlimit(kind)[0]
        left += [most - used[name]] if most != resource.RLIM_INFINITY else []
    return max(0, min([sum(free) or 1 << 62, *left]))


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        return ""


def gigabytes(count: int) -> str:
    """Return a number of bytes as a person reads it."""
    return f"{count / 2**30:.1f} GB"
