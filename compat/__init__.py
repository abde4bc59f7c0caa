"""The suite on every supported Airflow, and the release as its users get it."""
