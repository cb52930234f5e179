"""One database each: all that is known of it."""
