"""What differs between versions of Airflow: every conditional import, and nothing else has one."""
