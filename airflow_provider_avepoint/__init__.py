"""Verify AvePoint cloud backups from Apache Airflow."""

__version__ = "0.2.0"
