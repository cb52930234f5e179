"""The pure decisions of the tabs' JavaScript, run by Node.js."""

import json
import shutil
import subprocess

from checkout import REPOSITORY, skip_or_fail

# The address of the files, for an expression that imports more than one.
STATIC = (REPOSITORY / "airflow_async_rest" / "ui" / "static").as_uri()


def ran(file: str, function: str, *arguments):
    """Return what a function that a file exports gives for arguments that are JSON."""
    return evaluated(file, f"found.{function}({', '.join(map(json.dumps, arguments))})")


def evaluated(file: str, expression: str):
    """Return what an expression gives, or promises, in which ``found`` is what a file exports."""
    if shutil.which("node") is None:
        skip_or_fail("needs Node.js")
    module = json.dumps(f"{STATIC}/{file}")
    script = f"const found = await import({module});\nconsole.log(JSON.stringify((await {expression}) ?? null))"
    command = ["node", "--input-type=module", "-"]
    done = subprocess.run(command, input=script, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
