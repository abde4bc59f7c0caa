"""The AvePoint Graph API without I/O: wire values, parsers, paging, tokens, retries, jobs and the verdict.

Nothing here opens a socket, sleeps or imports Airflow. A flow is a generator that yields what it
needs done (:mod:`.wire`) and is sent the outcome; a driver in ``transports`` does the work.
"""
