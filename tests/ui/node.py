"""The pure decisions of the tabs' JavaScript, run by Node.js."""

import json
import shutil
import subprocess

from checkout import REPOSITORY, skip_or_fail

_STATIC = REPOSITORY / "airflow_async_rest" / "ui" / "static"


def ran(file: str, function: str, *arguments):
    """Return what a function that a file exports gives for arguments that are JSON."""
    if shutil.which("node") is None:
        skip_or_fail("needs Node.js")
    given = ", ".join(json.dumps(argument) for argument in arguments)
    module = json.dumps((_STATIC / file).as_uri())
    script = f"const found = await import({module});\nconsole.log(JSON.stringify(found.{function}({given}) ?? null))"
    command = ["node", "--input-type=module", "-"]
    done = subprocess.run(command, input=script, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
