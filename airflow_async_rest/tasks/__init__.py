"""The room that knows both Airflow and the engine: arguments become jobs, and jobs run in tasks."""
