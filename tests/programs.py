"""Servers that are programs of this machine: on free loopback ports, stopped at the end, and after a kill of the run."""

import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from checkout import skip_or_fail

# It outlives a kill of the run, which closes its input: then the server ends too, and its folder goes.
_GUARD = 'folder=$1; shift; "$@" < /dev/null & cat > /dev/null; kill -KILL $!; wait; rm -rf "$folder"'
_SBIN = "/usr/sbin:/usr/local/sbin"
# What the system gives to whoever asks for any port is above these, so that nobody is given one of them meanwhile; also
# above those that are 10,000 higher, of which a Redis of a cluster takes one.
_PORTS = range(20_000, 22_768)


def program(name: str, package: str) -> str:
    """Return the path of a program. Where there is none, the test is skipped; in CI it fails."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:{_SBIN}")
    if found is None:
        skip_or_fail(f"needs {name}: apt-get install {package}")
    return found


def as_user(user: int) -> list[str]:
    """Return the beginning of a command that is run as a user; anybody but root can be nobody else."""
    if os.getuid() != 0:
        return []
    return [program("setpriv", "util-linux"), f"--reuid={user}", f"--regid={user}", "--clear-groups"]


def free_port() -> int:
    """Return a port of this machine on which nobody listens, for a server that must be told its own."""
    for port in random.SystemRandom().sample(_PORTS, len(_PORTS)):
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise OSError("all ports are taken")


@contextmanager
def owned_folder(user: int | None = None) -> Iterator[Path]:
    """Make a folder for a server's files. :param user: whose it is; of root's run, without, that of nobody."""
    with tempfile.TemporaryDirectory(prefix="async-rest-server-", ignore_cleanup_errors=True) as name:
        if os.getuid() == 0:
            owner = pwd.getpwnam("nobody").pw_uid if user is None else user
            os.chown(name, owner, -1)
        yield Path(name)


def run_once(command: list[str], folder: Path) -> None:
    """Run a program to its end, in a folder."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@contextmanager
def running(folder: Path, command: list[str], is_up: Callable[[], object], **environment: str) -> Iterator[None]:
    """Run a server until the block ends. What it writes is in ``folder / "log"``; the folder is removed with it.

    :param is_up: raises OSError, or an error of a driver's, until it answers.
    """
    guarded = ["sh", "-c", _GUARD, "guard", str(folder), *command]
    with (folder / "log").open("wb") as log:
        guard = subprocess.Popen(
            guarded,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env=os.environ | environment,
        )
    try:
        _wait(is_up, folder / "log")
        yield
    finally:
        guard.stdin.close()
        try:
            guard.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(guard.pid, signal.SIGKILL)
            guard.wait()


def _wait(is_up: Callable[[], object], log: Path) -> None:
    until, refused = time.monotonic() + 60, None
    while time.monotonic() < until:
        try:
            is_up()
        except Exception as error:  # noqa: BLE001  (of whatever driver)
            refused = error
            time.sleep(0.05)  # servers tell nobody when they are up
        else:
            return
    pytest.fail(f"the server does not answer: {refused}\n{log.read_text(errors='replace')[-2000:]}")
