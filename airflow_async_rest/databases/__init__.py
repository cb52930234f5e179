"""What databases differ in: engines, sessions, binds, errors."""
