"""A stand-in for the AvePoint Graph API, its identity service included, that demos and tests run against.

In a test::

    from airflow_provider_avepoint.simulator import Simulator

    with Simulator() as avepoint:
        avepoint.add_job("dynamics365", organization_id="contoso", state="failed")
        ...  # point a connection at avepoint.url and avepoint.token_url

On its own: ``avepoint-simulator --port 8080 --seed-demo``. Both take the same orders; over HTTP, as JSON:

=========================================== ============================================================
``POST /control/reset``                     everything back to the start
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
``GET /control/faults``, ``DELETE``         what is armed; disarm all
``GET /control/requests?path=&since=``      the request log of what was asked
``GET /control/stats``                      the request log as numbers
``GET /health``, ``GET /docs``              a sign of life; every message with its fields
=========================================== ============================================================

What is not named in a PUT or PATCH stays as it is. A name that is not known is refused, with a 4xx that
says which are. Importing this package loads neither FastAPI nor uvicorn.
"""

from __future__ import annotations

from .local import DEMO_CLIENT_ID, DEMO_CLIENT_SECRET, Simulator

__all__ = ["DEMO_CLIENT_ID", "DEMO_CLIENT_SECRET", "Simulator"]
