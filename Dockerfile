# The image of docker-compose.yaml: the official one, with the provider of this checkout in it.
FROM apache/airflow:3.3.2

# All that the package is built from, named so that an edit elsewhere keeps the layer below.
COPY --chown=airflow:0 pyproject.toml README.md LICENSE /opt/avepoint/
COPY --chown=airflow:0 airflow_provider_avepoint /opt/avepoint/airflow_provider_avepoint/

# Airflow stands in the list at the image's own version, so that no requirement can move it.
# The two SQL providers are for the example DAGs, which load into a database.
RUN pip install --no-cache-dir \
    "apache-airflow==${AIRFLOW_VERSION}" \
    "/opt/avepoint[simulator]" \
    apache-airflow-providers-postgres \
    apache-airflow-providers-sqlite
