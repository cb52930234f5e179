"""Item -> Request: templates, bodies, addresses, headers; and the settings of connections."""
