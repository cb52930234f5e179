"""PgBouncer before a PostgreSQL: it gives each transaction another session."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from programs import as_user, free_port, owned_folder, program, running


@contextmanager
def running_pgbouncer(server: str, user: str, password: str = "", **settings: object) -> Iterator[int]:
    """Run PgBouncer as the user whose the server is: root it will not be. :return: its port, on loopback.

    :param server: folder of the server's socket.
    :param user: who may use it, and administer it.
    """
    command, port, owner = program("pgbouncer", "pgbouncer"), free_port(), Path(server).stat().st_uid
    with owned_folder(owner) as folder:
        settings = {
            "listen_addr": "127.0.0.1",
            "listen_port": port,
            "unix_socket_dir": "",
            "auth_file": folder / "users",
            "admin_users": user,
            "pool_mode": "transaction",
            **settings,
        }
        lines = ["[databases]", f"* = host={server} port=5432", "[pgbouncer]"]
        lines += [f"{name} = {value}" for name, value in settings.items()]
        (folder / "settings").write_text("\n".join(lines))
        (folder / "users").write_text(f'"{user}" "{password}"\n')
        with running(folder, [*as_user(owner), command, str(folder / "settings")], lambda: _connect(port)):
            yield port


def _connect(port: int) -> None:
    socket.create_connection(("127.0.0.1", port)).close()
