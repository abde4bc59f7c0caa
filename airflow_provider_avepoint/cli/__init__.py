"""``airflow avepoint …``: try a connection from a shell, before there is a DAG."""
