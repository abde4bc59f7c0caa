"""``airflow avepoint …``: try a connection in a shell, before there is a DAG."""
