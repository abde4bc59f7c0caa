"""The demo: a real Airflow beside the AvePoint simulator, and the gate between them."""
