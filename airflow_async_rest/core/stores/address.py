"""Where a store is, and that it does not answer."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


class StoreAwayError(Exception):
    """The store does not answer, for now. Its text has no secret."""


@dataclass(frozen=True, kw_only=True)
class StoreAddress:
    """Where a store is.

    :param conn_id: of Airflow's connection, for people to read.
    :param kind: ``redis`` or ``postgres``.
    :param options: what its client is told beside, by the client's own names.
    """

    conn_id: str
    kind: str
    host: str
    port: int | None = None
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    database: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def describe(self, error: BaseException) -> str:
        """Say what went wrong, without secrets."""
        said = str(error).partition("\n")[0] or type(error).__name__  # what follows are hints for programmers
        said = said.replace(self.password, "***") if self.password else said
        return f"{self.kind} at {self.host}{f':{self.port}' if self.port else ''} (connection {self.conn_id!r}): {said}"
