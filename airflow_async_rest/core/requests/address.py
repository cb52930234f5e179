"""The base URL of a connection, which the path and the query of every request are put behind. No I/O."""

import re
from urllib.parse import quote, unquote_plus, urlsplit

from yarl import URL

from airflow_async_rest.core.errors import ConfigurationError

_SAFE_IN_QUERY = "/:@!$&'()*+,;=~%?-._[]"
_IN_NO_URL = re.compile(r"[\s\\\x00-\x1f\x7f]")


class Address:
    """Where an API is: its path stands before that of a request, and its query goes along with every request.

    :param base_url: as :func:`check_base_url` wants it.
    :param query_key: name and value of a parameter that identifies: it goes along, too, as the last one.
    :ivar plain_folder: what stands before a path that begins with neither ``.`` nor ``/``, and nothing more is to be
        done; empty where requests get a query.
    """

    def __init__(self, base_url: str, query_key: tuple[str, str] | None = None) -> None:
        url = URL(base_url)
        self.origin = str(url.origin())
        self._host = url.host
        self._path = url.raw_path
        self._folder = self._path.rstrip("/") + "/"
        self._as_written = {"": self._path, "/": self._folder}
        self._to_root = "../" * (self._folder.count("/") - 1)
        query = quote(urlsplit(base_url).query, safe=_SAFE_IN_QUERY)
        self._parameters = [(pair, _decoded(pair)) for pair in query.split("&") if pair]
        self._key_name = query_key[0] if query_key else None
        self._key = "=".join(quote(part, safe="") for part in query_key) if query_key else ""
        self._has_own = bool(self._parameters or self._key)
        self.plain_folder = "" if self._has_own else self._folder

    def target(self, path: str, query: str) -> str:
        """Return what stands in a request's first line.

        :param path: relative, without a leading slash. Empty: the base URL as it is written; ``/``: with a slash at
            its end. One that begins with as many ``../`` as lead to the server's root, as of a link, is followed there.
        :param query: its parameters replace those of the base URL, and the key, that have the same name.
        """
        whole = self._as_written.get(path) or self._folder + path
        if self._to_root and path.startswith(self._to_root):
            whole = "/" + path.removeprefix(self._to_root)
        if self._has_own:
            query = self._with_own(query)
        return f"{whole}?{query}" if query else whole

    @property
    def host_header(self) -> str:
        """Return what stands in the header ``Host`` where nobody says otherwise."""
        return (URL(self.origin, encoded=True).host_port_subcomponent or "").rstrip(".")

    def url(self, path: str = "", query: str = "") -> URL:
        """Return the whole URL of a request; see :meth:`target`."""
        return URL(self.origin + self.target(path, query), encoded=True)

    def relative(self, url: URL, below: str | None = None) -> tuple[str, str] | None:
        """Return path and query of a URL below the base URL, as :meth:`target` takes them; None for another place.

        Scheme and port do not count. What of the query is the base URL's own is left out, and so is the key, whatever
        it is there: they come back when the request is sent, and may be secret.

        :param below: a path on the same host below which the URL may be as well.
        """
        path = self._relative_path(url, below) if url.host == self._host else None
        if path is None or not self._has_own:
            return None if path is None else (path, url.raw_query_string)
        own = [parameter for _, parameter in self._parameters]
        pairs = self._without_key(url.raw_query_string)
        return path, "&".join(pair for pair in pairs if _decoded(pair) not in own)

    def _relative_path(self, url: URL, below: str | None) -> str | None:
        path = url.raw_path
        if path == self._path:
            return ""
        if path.startswith(self._folder):
            return path.removeprefix(self._folder) or "/"
        is_base_itself = f"{path}/" == self._folder
        folder = self._folder if below is None else URL.build(path=below).raw_path.rstrip("/") + "/"
        return self._to_root + path[1:] if is_base_itself or f"{path}/".startswith(folder) else None

    def with_key(self, url: URL) -> URL:
        """Return a URL of this place with the key in its query, and no other by its name."""
        if not self._key:
            return url
        query = "&".join([*self._without_key(url.raw_query_string), self._key])
        return URL(str(url.with_query(None).with_fragment(None)) + f"?{query}", encoded=True)

    def _without_key(self, query: str) -> list[str]:
        return [pair for pair in query.split("&") if pair and _decoded(pair)[0] != self._key_name]

    def _with_own(self, query: str) -> str:
        names = {_decoded(pair)[0] for pair in query.split("&")}
        own = [pair for pair, (name, _) in self._parameters if name not in {*names, self._key_name}]
        key = [] if self._key_name in names else [self._key]
        return "&".join(filter(None, [*own, query, *key]))


def _decoded(pair: str) -> tuple[str, str]:
    name, _, value = pair.partition("=")
    return unquote_plus(name), unquote_plus(value)


def check_base_url(url: str) -> None:
    """Check that requests can be sent below a URL. :raises ConfigurationError: when not; names what to fill in."""
    try:
        parts = urlsplit(url)
        _ = parts.port, URL(url).host, (URL(url).raw_host or "").encode("idna")
    except ValueError:  # whose text may have a part of a password
        raise ConfigurationError("the connection's base URL cannot be read: check Host and Port.") from None
    if "@" in parts.netloc:
        raise ConfigurationError("the connection's base URL has a user name: fill in Login and Password instead.")
    shown = f"{parts.scheme}://{parts.netloc}{parts.path}"
    if _IN_NO_URL.search(url):
        raise ConfigurationError(
            "the connection's base URL has a space, a line break or a backslash in it: check Host; "
            "in a path, a space is written %20."
        )
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ConfigurationError(f"the connection's base URL is {shown!r}: fill in Host, and http or https as Schema.")
    if parts.fragment:
        raise ConfigurationError("the connection's base URL has a '#': Host takes host, path and query only.")
