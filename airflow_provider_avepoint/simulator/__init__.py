"""A stand-in for the AvePoint Graph API and its identity service, for demos and tests.

In a test::

    from airflow_provider_avepoint.simulator import Simulator

    with Simulator() as avepoint:
        avepoint.add_job("dynamics365", organization_id="contoso", state="failed")
        ...  # avepoint.connection has the fields of an Airflow connection

``airflow_provider_avepoint.testing`` has both as fixtures of pytest.

As a program: ``avepoint-simulator --port 8080 --seed-demo``. Both ways have the same controls. Over HTTP they
take JSON:

=========================================== ============================================================
``POST /control/reset``                     return to the initial state
``POST /control/jobs``                      add a job or a list: product, job_id, job_type, workload,
                                            organization_id, organization_name, location, data_source,
                                            level, label, state or raw_state, started_at or started_ago,
                                            finished_at, starts_in, runs_for, ends_as, counts,
                                            record_counts and metadata_counts {total, successful, failed,
                                            skipped, warning}, size_bytes, errors [{is_code, message,
                                            url, count}], duration, extra, omit
``GET /control/jobs?product=&limit=``       ``{"total", "jobs"}``, newest first
``POST /control/jobs/generate``             {product, count, newest_at, every_seconds, organizations,
                                            workloads, states}
``PATCH /control/jobs/{product}/{job_id}``  change the fields that are given
``DELETE /control/jobs/{product}/{job_id}`` remove the job
``PUT /control/license/{product}``          {out_of_policy_time, purchased_user_seats,
                                            assigned_user_seats, purchased_storage_size,
                                            protected_size, location}; elements: organization_id,
                                            organization_name, service, expiration_date, extra, omit
``PUT /control/quirks/{product}``           the fields of ``quirks.Quirks``; product ``all``: {latency_ms}
``PUT /control/clients/{client_id}``        {secret, certificate_pem, scopes}
``PUT /control/clock``                      {ahead_seconds, date_header}: how far the server's clock is
                                            off, and how far the Date header is off that clock
``PUT /control/tokens``                     {expires_in}: seconds, for tokens to come
``POST /control/tokens/expire``             every issued token becomes invalid
``POST /control/faults``                    {kind, path, query, skip, count, ...}: the kinds are in ``faults``
``GET /control/faults``, ``DELETE``         list the armed faults; disarm all
``GET /control/requests?path=&since=``      the log of requests
``GET /control/stats``                      counts of requests and tokens
``GET /health``, ``GET /docs``              whether the server answers; every message with its fields
=========================================== ============================================================

A PUT or PATCH changes only the fields that it names. An unknown name is refused with a 4xx that lists the
known names. Importing this package loads neither FastAPI nor uvicorn.
"""

from __future__ import annotations

from .local import DEMO_CLIENT_ID, DEMO_CLIENT_SECRET, Simulator

__all__ = ["DEMO_CLIENT_ID", "DEMO_CLIENT_SECRET", "Simulator"]
