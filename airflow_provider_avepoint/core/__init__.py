"""Speak the AvePoint Graph API without I/O: parsers, paging, tokens, retries, jobs and the verdict.

Nothing here opens a socket, sleeps or imports Airflow. A flow (:mod:`.flow`) is a generator: the flow yields
what a driver must do, and the driver in ``transports`` sends back the outcome.
"""
