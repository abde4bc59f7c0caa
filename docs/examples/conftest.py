pytest_plugins = ["airflow_provider_avepoint.testing"]
