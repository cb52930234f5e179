"""What people look at in Airflow's UI: a page, two tabs, and the endpoints that they read beside Airflow's own."""
