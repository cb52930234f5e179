"""A child: ``airflow standalone`` with this package and its example DAGs, in a separate home.

Its arguments are the folder of that home and the port of the UI, 0 for a free one.
"""

import json
import os
import socket
import subprocess
import sys
import time
import traceback
from pathlib import Path

import httpx
import psutil

from demo.children import Line, end_session

_DAGS = Path(__file__).parent.parent / "dags"
_AIRFLOW = Path(sys.executable).parent / "airflow"
_PASSWORDS = "passwords.json"
_READY_SECONDS = 240
_LOOK_SECONDS = 1
# standalone starts its parts as "airflow scheduler", "airflow triggerer" and so on. These two serve logs to other
# machines, on fixed ports of all interfaces: here nobody needs that, and a second demo could not start.
_WRAPPER = """#!/bin/sh
case "$1" in
    scheduler | triggerer) exec '{airflow}' "$@" --skip-serve-logs ;;
    *) exec '{airflow}' "$@" ;;
esac
"""


def free_port(port: int) -> int:
    """Return a port that nothing listens on. :raises RuntimeError: when something does on the one that is asked for."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise RuntimeError(f"the port {port} cannot be had ({error.strerror}): choose another one") from error
        return probe.getsockname()[1]


def users() -> dict[str, str]:
    """Return who may log in, and as what: ``DEMO_USERS=ann:admin,vic:viewer``. None: everybody is an admin."""
    given = os.environ.get("DEMO_USERS", "")
    return dict(user.split(":") for user in given.split(",") if user)


def environment(home: Path, url: str) -> dict[str, str]:
    """Return Airflow's environment, without what this process's may say about another Airflow.

    ``DEMO_STATE_PATH`` names a folder for the tasks' state; else it is in Airflow's own store.
    """
    port = url.rpartition(":")[2]
    roles = users()
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_")},
        "PATH": f"{home / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "AIRFLOW_HOME": str(home),
        # Its parts talk over loopback, whatever proxy this machine has.
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": port,
        "AIRFLOW__ASYNC_REST__STATE_PATH": os.environ.get("DEMO_STATE_PATH", ""),
        "AIRFLOW__CORE__DAGS_FOLDER": str(_DAGS),
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": str(not roles),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{name}:{role}" for name, role in roles.items()),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(home / _PASSWORDS),
        "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
        # Only what is asked for runs: a DAG that is switched on would have a run of yesterday besides the backfill's.
        "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "False",
    }


def start(home: Path, url: str) -> subprocess.Popen[bytes]:
    """Start ``airflow standalone``."""
    wrapper = home / "bin" / "airflow"
    wrapper.parent.mkdir(parents=True)
    wrapper.write_text(_WRAPPER.format(airflow=_AIRFLOW))
    wrapper.chmod(0o755)
    (home / _PASSWORDS).write_text(json.dumps({name: name for name in users()}))
    return subprocess.Popen([str(_AIRFLOW), "standalone"], env=environment(home, url), stdin=subprocess.DEVNULL)


def wait_until_ready(airflow: subprocess.Popen[bytes], url: str) -> None:
    """Return when all parts are up. :raises RuntimeError: when Airflow ends instead, or takes too long."""
    until = time.monotonic() + _READY_SECONDS
    with httpx.Client(trust_env=False) as client:
        while not _is_ready(client, url):
            if airflow.poll() is not None:
                raise RuntimeError("airflow standalone has ended")
            if time.monotonic() > until:
                raise RuntimeError(f"airflow standalone is not ready after {_READY_SECONDS} s")
            time.sleep(0.25)


def _is_ready(client: httpx.Client, url: str) -> bool:
    try:
        health = client.get(f"{url}/api/v2/monitor/health").json()
    except (httpx.HTTPError, ValueError):
        return False
    return all(health[part]["status"] == "healthy" for part in ("metadatabase", "scheduler", "dag_processor"))


def end_all() -> None:
    """End Airflow and this process.

    standalone ends its parts when it is asked to, but not what they have started, and a task's supervisor has a
    separate process group. The session has all of them. Everything they have is thrown away, so nobody is asked.
    """
    end_session(os.getsid(0))
    os._exit(0)


def run(home: Path, port: int, line: Line) -> None:
    """Run Airflow. :raises OSError, RuntimeError: when it cannot start, and when a part of it ends."""
    url = f"http://127.0.0.1:{free_port(port)}"
    airflow = start(home, url)
    wait_until_ready(airflow, url)
    parts = psutil.Process(airflow.pid).children()
    line.say({"url": url})
    while airflow.poll() is None and all(map(_runs, parts)):  # standalone does not look after them
        time.sleep(_LOOK_SECONDS)
    raise RuntimeError("a part of Airflow has ended")


def _runs(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def main(home: Path, port: int) -> None:
    """Serve until the demo ends."""
    line = Line(on_end=end_all)
    try:
        run(home, port, line)
    except (OSError, RuntimeError) as error:
        print(error, file=sys.stderr)
    except Exception:  # noqa: BLE001  (told here, because nothing comes after end_all)
        traceback.print_exc()
    finally:
        end_all()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
