"""What the schedule of a DAG asks for."""
