"""Folders on a disk or in object storage, as arguments and airflow.cfg name them, and the state store in one."""
