"""The server that the tests of a run share: it is one, and it is gone when they are, however they end."""

import os
import signal
import subprocess
import sys
from contextlib import ExitStack

import psutil
import pytest
from checkout import REPOSITORY
from shared_postgres import Postgres

USE = """
import sys
from pathlib import Path
from shared_postgres import shared_server
with shared_server(Path(sys.argv[1])) as socket_folder:
    print(socket_folder, flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def start_users(tmp_path):
    """Start processes that use a server, all at the same moment, each with a process group of its own."""
    command = [sys.executable, "-W", "ignore", "-c", USE, str(tmp_path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}

    with ExitStack() as stack:

        def start(count: int) -> list[subprocess.Popen]:
            users = [
                subprocess.Popen(command, cwd=REPOSITORY / "tests", process_group=0, **pipes) for _ in range(count)
            ]
            return [stack.enter_context(user) for user in users]

        yield start


def server_of(user: subprocess.Popen) -> psutil.Process:
    """Return the server that a process uses."""
    database = Postgres(user.stdout.readline().strip())
    [[pid]] = database.execute("SELECT split_part(pg_read_file('postmaster.pid'), chr(10), 1)::int")
    return psutil.Process(pid)


def runs(server: psutil.Process) -> bool:
    return server.is_running() and server.status() != psutil.STATUS_ZOMBIE


def test_all_have_the_same_server_until_the_last_one_ends(start_users):
    users = start_users(3)
    [server] = {server_of(user) for user in users}
    for user in users:
        assert runs(server)
        user.stdin.close()
    assert [user.wait(30) for user in users] == [0, 0, 0]
    assert not runs(server)


@pytest.mark.release
def test_a_kill_of_all_leaves_no_server_and_who_comes_later_has_another(start_users):
    users = start_users(2)
    [server] = {server_of(user) for user in users}
    for user in users:
        assert runs(server)
        os.killpg(user.pid, signal.SIGKILL)
        user.wait()
    while runs(server):  # its keeper does not end with them
        psutil.wait_procs([server], timeout=0.1)
    [later] = start_users(1)
    assert server_of(later) != server
