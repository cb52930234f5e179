"""The pure decisions of the tabs' JavaScript, run by Node.js: by one process, because to start it takes most of the time."""

import atexit
import functools
import json
import shutil
import subprocess
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
    node = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    atexit.register(node.communicate)  # without more to do it ends
    return node


def _answer(**asked):
    node = _node()
    hurry = threading.Timer(60, node.kill)
    hurry.start()
    node.stdin.write(json.dumps(asked) + "\n")
    node.stdin.flush()
    answer = json.loads(node.stdout.readline() or '{"error": "it took longer than a minute"}')
    hurry.cancel()
    assert "error" not in answer, answer["error"]
    return json.loads(answer["found"])
