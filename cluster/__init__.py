"""Airflow as it runs in production, in one machine and one directory, while its parts are killed."""
