"""Arguments, checked where DAG files are parsed, and in the task. Nothing here loads a database or a client."""
