"""How much memory this process may still take: what asks for more is refused before it is begun."""

from __future__ import annotations

import resource
from pathlib import Path

# A container's limit, as control groups of version 2 and of version 1 tell it.
GROUPS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def available_bytes() -> int:
    """Return the bytes that this process may still take: free on the machine, and left of its container's limit."""
    free = _sizes("/proc/meminfo", "MemAvailable", "SwapFree")
    used = _sizes("/proc/self/status", "VmRSS", "VmData", "VmSize")
    left = [int(text) - used["VmRSS"] for text in map(_text, GROUPS) if text.strip().isdigit()]
    for kind, name in ((resource.RLIMIT_DATA, "VmData"), (resource.RLIMIT_AS, "VmSize")):
        most = resource.getrlimit(kind)[0]
        left += [most - used[name]] if most != resource.RLIM_INFINITY else []
    return max(0, min([sum(free.values()) or 1 << 62, *left]))


def _sizes(path: str, *names: str) -> dict[str, int]:
    """Return bytes by name, of lines such as `VmRSS:  1234 kB`; 0 for what is not there."""
    facts = dict(line.split(":", 1) for line in _text(path).splitlines() if ":" in line)
    return {name: 1024 * int(facts.get(name, "0").split()[0]) for name in names}


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        return ""


def gigabytes(count: int) -> str:
    """Return a number of bytes as a person reads it."""
    return f"{count / 2**30:.1f} GB"
