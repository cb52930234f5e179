"""The pure decisions of the tabs' JavaScript, run by Node.js: by one process, because to start it takes most of the time."""

import atexit
import functools
import json
import os
import shutil
import subprocess
import tempfile
import threading
from pathlib import Path

from checkout import REPOSITORY, skip_or_fail

# The address of the files, for an expression that imports more than one.
STATIC = (REPOSITORY / "airflow_async_rest" / "ui" / "static").as_uri()


def ran(file: str, function: str, *arguments):
    """Return what a function that a file exports gives for arguments that are JSON; it changes nothing."""
    return _answer(module=f"{STATIC}/{file}", name=function, given=arguments)


def evaluated(file: str, expression: str):
    """Return what an expression gives, or promises, in which ``found`` is what a file exports."""
    return _answer(
        script=f"import {{ parentPort }} from 'node:worker_threads';\n"
        f"const found = await import({json.dumps(f'{STATIC}/{file}')});\n"
        f"parentPort.postMessage(JSON.stringify((await {expression}) ?? null));"
    )


@functools.cache
def _node() -> subprocess.Popen:
    if shutil.which("node") is None:
        skip_or_fail("needs Node.js")
    command = ["node", Path(__file__).with_name("evaluate.mjs")]
    with tempfile.TemporaryFile() as words:
        node = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=words, text=True)
        node.words = os.dup(words.fileno())
    atexit.register(_end, node)
    return node


def _end(node: subprocess.Popen) -> None:
    """Let it end: without more to do it does so by itself."""
    try:
        node.communicate(timeout=10)
    except (subprocess.TimeoutExpired, BrokenPipeError):
        node.kill()


def _answer(longest_seconds: float = 60, **asked):
    node = _node()
    hurry = threading.Timer(longest_seconds, node.kill)
    hurry.daemon = True
    hurry.start()
    try:
        node.stdin.write(json.dumps(asked) + "\n")
        node.stdin.flush()
        line = node.stdout.readline()
    except BrokenPipeError:
        line = ""
    finally:
        hurry.cancel()
    if not line:
        _node.cache_clear()  # the next one is asked of another process
        said = os.pread(node.words, 10_000, max(0, os.fstat(node.words).st_size - 10_000)).decode(errors="replace")
        raise AssertionError(
            f"Node.js gave no answer within {longest_seconds:g} s, or ended ({node.wait()}). It said: {said}"
        )
    answer = json.loads(line)
    assert "error" not in answer, answer["error"]
    return json.loads(answer["found"])
