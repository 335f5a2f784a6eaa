"""A PostgreSQL server of a test's own, from Debian's packages: on 127.0.0.1, with a password, as a user that is not root."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from served import free_port

PASSWORD = "only-for-this-test-9f1c"


def programs() -> Path | None:
    """Return the folder of PostgreSQL's own programs, the newest version's, or None."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return found[-1].parent if found else None


class Postgres:
    """One running server: `uri` without its password, which clients take from PGPASSWORD."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port = folder, port
        self.uri = f"postgresql://workbench@127.0.0.1:{port}/runs"


@contextmanager
def postgres() -> Iterator[Postgres]:
    """Start a server in a folder of its own and stop it at the end; skips where none is installed."""
    binaries = programs()
    if binaries is None:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    root = os.geteuid() == 0
    user = next((name for name in ("postgres", "nobody") if _known(name)), None) if root else None
    if root and (user is None or shutil.which("runuser") is None):
        pytest.skip("PostgreSQL does not run as root, and there is no other user to run it as")
    before = ["runuser", "-u", user, "--"] if user else []
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    secret = folder / "password"
    secret.write_text(PASSWORD)
    if user:
        for path in (folder, secret):
            os.chown(path, pwd.getpwnam(user).pw_uid, -1)
    data, port = folder / "data", free_port()
    make = ["-D", str(data), "-U", "workbench", "-A", "scram-sha-256", "--pwfile", str(secret), "-E", "UTF8"]
    _do([*before, str(binaries / "initdb"), *make, "--no-sync"], folder)
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off"
    control = [*before, str(binaries / "pg_ctl"), "-D", str(data), "-w"]
    _do([*control, "-l", str(folder / "log"), "-o", options, "start"], folder)
    try:
        found = Postgres(folder, port)
        _do(
            [str(binaries / "createdb"), "-h", "127.0.0.1", "-p", str(port), "-U", "workbench", "runs"],
            folder,
        )
        yield found
    finally:
        _do([*control, "-m", "immediate", "stop"], folder)
        shutil.rmtree(folder, ignore_errors=True)


def _do(words: list[str], folder: Path) -> None:
    done = subprocess.run(
        words,
        cwd=folder,
        env={**os.environ, "PGPASSWORD": PASSWORD},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        timeout=1200,
    )
    assert done.returncode == 0, done.stderr[-2000:]


def _known(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True
