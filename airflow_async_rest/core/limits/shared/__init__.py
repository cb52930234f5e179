"""One limit for all tasks that name the same key: places in time, handed out by a store that they share."""
