"""A page in Airflow's UI: which backups are good now, which are late, and what the gates decided."""
