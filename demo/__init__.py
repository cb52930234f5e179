"""The main job for real, in one command: a database, a flaky API and Airflow. Start it with ``python -m demo``."""
