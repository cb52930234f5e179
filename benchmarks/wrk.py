"""wrk, a load generator in C: how many requests the wire and the server could take."""

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

WRK = shutil.which("wrk")

_SCRIPT = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = [[{body}]]
"""


def requests_per_second(url: str, body: bytes, connections: int, seconds: int) -> float:
    """Post the same body again and again, with one thread, on the caller's core.

    :raises RuntimeError: when an answer is missing or is none of 2xx.
    """
    with tempfile.TemporaryDirectory(prefix="async-rest-bench-wrk-") as folder:
        script = Path(folder) / "post.lua"
        script.write_text(_SCRIPT.format(body=body.decode()))
        command = [WRK, "--threads", "1", "--connections", str(connections), "--duration", f"{seconds}s"]
        done = subprocess.run([*command, "--script", script, url], check=True, capture_output=True, text=True)
    if "Non-2xx" in done.stdout or "Socket errors" in done.stdout:
        raise RuntimeError(f"not all requests of wrk were answered well: {done.stdout}")
    return float(re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)[1])
