"""Item -> its rows, page by page."""
