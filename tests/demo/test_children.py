"""Nothing that the demo starts outlives it, however it ends."""

import os
import signal
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path

import psutil
import pytest
from checkout import REPOSITORY

from demo.children import Child, ChildError


def runs(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


@pytest.fixture
def child(tmp_path):
    return Child("tests.demo.stubborn_child", folder=tmp_path, end_seconds=0.1)


def test_a_child_that_does_not_end_is_killed_with_all_that_it_started(child):
    grandchild = child.hear()
    assert runs(grandchild)
    child.end()
    assert not runs(grandchild)
    assert not runs(child.session)


def test_a_child_that_ends_too_early_is_told_with_what_it_printed_and_leaves_nothing(child):
    grandchild = child.hear()
    os.kill(child.session, signal.SIGKILL)
    with pytest.raises(ChildError, match="(?s)tests.demo.stubborn_child ended too early.*the grandchild runs"):
        child.hear()
    child.end()
    assert not runs(grandchild)


def in_sessions(sessions: set[int]) -> list[psutil.Process]:
    """The processes of some sessions: a process may change its title, and its environment is gone with that."""
    found = []
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) in sessions and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (OSError, psutil.Error):
            continue
    return found


def marked(mark: str) -> list[psutil.Process]:
    """The processes that have a mark in their environment, as all have that come from one that has it."""
    found = []
    for process in psutil.process_iter():
        try:
            if mark in process.environ().values():
                found.append(process)
        except psutil.Error:
            continue
    return found


@pytest.fixture
def temporary_files():
    """A folder with a short name: those of PostgreSQL's sockets may have a hundred letters or so."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@pytest.fixture
def start_demo(temporary_files):
    """Start the demo with a folder for temporary files of its own, and with a mark."""
    mark = uuid.uuid4().hex
    environment = {**os.environ, "TMPDIR": str(temporary_files), "DEMO_MARK": mark}

    def start(*arguments: str) -> tuple[subprocess.Popen, str]:
        command = [sys.executable, "-m", "demo", *arguments]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY, env=environment), mark

    return start


@pytest.mark.release
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_demo_that_is_interrupted_while_it_starts_leaves_no_process_and_no_file(start_demo, temporary_files, number):
    demo, mark = start_demo()
    with demo:
        for line in demo.stdout:
            if line.startswith("PostgreSQL is up"):
                break
        assert len(marked(mark)) > 4  # itself, three children, and what these have started
        sessions = {os.getsid(process.pid) for process in marked(mark)} - {os.getsid(0)}
        assert len(sessions) >= 3
        demo.send_signal(number)
        assert "Everything the demo had started has ended." in demo.stdout.read()
    assert demo.returncode == 128 + number
    assert marked(mark) == in_sessions(sessions) == []
    assert list(temporary_files.iterdir()) == []


def test_a_port_that_is_taken_is_named(start_demo, temporary_files, api):
    port = api.url.rpartition(":")[2]
    demo, mark = start_demo("--port", port)
    with demo:
        assert f"the port {port} cannot be had" in demo.stdout.read()
    assert demo.returncode == 1
    assert marked(mark) == []
    assert list(temporary_files.iterdir()) == []
