"""One look of a gate: what is asked, in which order, until the verdict. Drivers ask."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC

from airflow_provider_avepoint.core.client import Client
from airflow_provider_avepoint.core.model import BackupJob
from airflow_provider_avepoint.core.policy import Policy
from airflow_provider_avepoint.core.query import JobQuery
from airflow_provider_avepoint.core.questions import Circumstances, KeepDays, Question, Reading
from airflow_provider_avepoint.core.verdict import Verdict, judge


class Look:
    """The state of one look: ask :meth:`next_queries`, :meth:`take` the jobs, until there are no queries.

    Then ask the :attr:`questions`, :meth:`hear` the answers, :meth:`remember`, and :meth:`conclude`.

    :param policy: what is judged.
    :param client: the connection, whose clock is the API's.
    """

    def __init__(self, policy: Policy, client: Client) -> None:
        self._policy = policy
        self._client = client
        self._rounds = client.clock.rounds()
        #: The policy's queries of this round, and None where its control queries are next.
        self._queries: list[JobQuery] | None = None
        self._jobs: list[BackupJob] = []
        self._circumstances = Circumstances()

    def next_queries(self) -> list[JobQuery] | None:
        """Return what to ask next; None where all that the verdict needs has come."""
        if self._queries is not None:
            controls = self._policy.control_queries(self._queries, self._jobs)
            self._queries = None
            if controls:
                return controls
        if next(self._rounds, None) is None:
            return None
        self._jobs = []
        self._queries = self._policy.queries(
            self._client.clock.now(), location=self._client.settings.location
        )
        return self._queries

    def take(self, jobs: Iterable[BackupJob]) -> None:
        """Take the jobs that answer the last queries.

        :param jobs: these jobs, in any order.
        """
        self._jobs.extend(jobs)

    @property
    def questions(self) -> list[Question]:
        """What to ask beside the jobs, after them: the API's clock is known then."""
        return self._policy.questions(location=self._client.settings.location)

    def hear(self, question: Question, reading: Reading) -> None:
        """Take the answer to one of the questions.

        :param question: the question.
        :param reading: what was read.
        """
        self._circumstances.add(question, reading)

    def remember(self, keep_days: KeepDays | None) -> None:
        """Keep the schedules that were heard, if any, and recall those of past days.

        :param keep_days: keeps them; None where nobody does.
        """
        schedules = self._circumstances.schedules
        if keep_days is not None and schedules:
            first = self._policy.window_start(self._client.clock.now()).astimezone(UTC).date()
            self._circumstances.known_days = keep_days(schedules, first)

    def conclude(self) -> Verdict:
        """Return the verdict, by the API's time of the answers."""
        return judge(
            self._jobs,
            self._policy,
            self._client.clock.now(),
            single_tenant=self._client.settings.single_tenant,
            circumstances=self._circumstances,
        )
