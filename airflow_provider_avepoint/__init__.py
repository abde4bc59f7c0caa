"""Verify AvePoint cloud backups from Apache Airflow."""

__version__ = "0.1.0"
