"""When a request may go out: rate limits, pauses that an API asks for, and how many at a time."""
