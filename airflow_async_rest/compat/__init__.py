"""What differs between versions of Airflow, and of SQLAlchemy: every conditional import, and nothing else has one."""
