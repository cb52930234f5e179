"""nginx as the API that answers at once: it is never what limits a client written in Python."""

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.measuring import SERVER_CORE, pinned

# Debian has it where the search path of a plain user does not look.
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")

# `return` alone would answer before the body has come. A mirrored request needs the body, so nginx reads it first.
# After that it looks for a file, which below /dev/null can never be, or refuses a PUT: both become the answer.
_CONFIG = """
daemon off;
worker_processes 1;
pid nginx.pid;
error_log stderr error;
events { worker_connections 4096; }
http {
    access_log off;
    log_not_found off;
    keepalive_requests 1000000000;
    keepalive_timeout 1h;
    client_max_body_size 0;
    client_body_buffer_size 16m;
    client_body_temp_path temp; proxy_temp_path temp; fastcgi_temp_path temp; uwsgi_temp_path temp; scgi_temp_path temp;
    server {
        listen 127.0.0.1:PORTTLS;
        root /dev/null;
        location / { mirror /read; error_page 404 405 =200 @answer; }
        location = /read { internal; return 204; }
        location @answer { default_type application/json; return 200 'ANSWER'; }
    }
}
"""
_READY_SECONDS = 10


def version() -> str:
    """Return its name and version, as it tells them."""
    told = subprocess.run([NGINX, "-v"], check=True, capture_output=True, text=True).stderr
    return told.split()[-1]


@contextmanager
def running_nginx(answer: bytes = b"{}", certificate: Path | None = None) -> Iterator[str]:
    """Run one worker on the server's core until the block ends.

    :param answer: the body of every answer: JSON without a quote or a dollar sign.
    :param certificate: of the server, and its key, where it is asked over TLS.
    :return: its URL.
    """
    with tempfile.TemporaryDirectory(prefix="async-rest-bench-nginx-") as folder, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        tls = f" ssl; ssl_certificate {certificate}; ssl_certificate_key {certificate}" if certificate else ""
        config = _CONFIG.replace("PORTTLS", f"{port}{tls}").replace("ANSWER", answer.decode())
        (Path(folder) / "nginx.conf").write_text(config)
        with pinned(SERVER_CORE):
            server = subprocess.Popen([NGINX, "-p", folder, "-c", "nginx.conf", "-e", "stderr"])
        try:
            _wait_for(server, port)
            yield f"http{'s' if certificate else ''}://127.0.0.1:{port}"
        finally:
            server.terminate()
            server.wait()


def _wait_for(server: subprocess.Popen[bytes], port: int) -> None:
    until = time.monotonic() + _READY_SECONDS
    while server.poll() is None and time.monotonic() < until:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise RuntimeError("nginx does not listen")
