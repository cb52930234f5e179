"""Pages for versions of Airflow that have no place for the tabs, and the links that lead there."""
