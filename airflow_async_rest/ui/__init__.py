"""What people look at in Airflow's UI: two tabs, and the endpoints that they read beside Airflow's own."""
