"""Request -> Response: connections, TLS, and what goes wrong on the way."""
