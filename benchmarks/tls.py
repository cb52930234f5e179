"""Single items over TLS: how many a second, against the same without TLS, and against aiohttp's session with it."""

import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.database import rows_in_memory
from benchmarks.measuring import Figure, Plan, Rival, compare, per_second, say
from benchmarks.nginx import NGINX, running_nginx
from benchmarks.senders import deliver_from_memory

_CONCURRENCY = 64


def measure(plan: Plan) -> Iterator[Figure]:
    """Compare the engine, with rows that are in memory already, over TLS and without."""
    if not NGINX:
        say("  nginx is not installed, so TLS is left out")
        return
    rows = rows_in_memory(200 if plan.smoke else 30_000)
    with tempfile.TemporaryDirectory(prefix="async-rest-bench-tls-") as folder:
        certificate = _make_certificate(Path(folder))
        with running_nginx() as plain, running_nginx(certificate=certificate) as tls:

            def deliver(url: str, **of_connection: str) -> Callable[[], float]:
                return lambda: per_second(
                    lambda: deliver_from_memory(url, rows, _CONCURRENCY, **of_connection)["delivered"]
                )

            verified = {"verify": str(certificate)}
            ways = [
                Rival("without TLS", deliver(plain), at_least=0.45),
                Rival("aiohttp's session, with TLS", deliver(tls, transport="aiohttp", **verified), at_least=1.5),
            ]
            yield from compare("tls", f"{_CONCURRENCY} at once: rows/s", plan.rounds, deliver(tls, **verified), ways)


def _make_certificate(folder: Path) -> Path:
    """Make a certificate of this machine, signed by itself. :return: the file that has it, and its key."""
    made = folder / "server.pem"
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", str(made)]
    names = ["-subj", "/CN=benchmarks", "-addext", "subjectAltName=IP:127.0.0.1"]
    command = ["openssl", "req", "-x509", "-days", "2", *key, *names]
    certificate = subprocess.run(command, check=True, capture_output=True).stdout
    made.write_bytes(made.read_bytes() + certificate)
    return made
