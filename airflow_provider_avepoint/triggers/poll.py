"""One poll for many waits: those of an event loop on the same connection and product share it.

The poll begins with the first wait that joins and ends with the last that leaves; it asks when the first of
them is due and takes the others along, so that a thousand waits cost what one does. Nothing of it outlives
its event loop.

A round in which somebody takes part for the first time begins with reading the connection, and so does one
that comes minutes after the last reading: all waits then go over to what the connection holds now. No wait is
given what was asked for before it joined, nor by what the connection held then.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import random
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary, WeakValueDictionary

from airflow_provider_avepoint.core import retry
from airflow_provider_avepoint.core.batching import (
    FEW_ORGANIZATIONS,
    Answers,
    Ask,
    AskBeside,
    AskMore,
    Plan,
    Topic,
    plan,
    topic_of,
)
from airflow_provider_avepoint.core.errors import (
    AvePointAuthError,
    AvePointConfigError,
    AvePointError,
    AvePointJobNotFound,
    AvePointPayloadError,
    AvePointPermissionError,
    AvePointRequestError,
    AvePointUnavailable,
)
from airflow_provider_avepoint.core.products import get_product
from airflow_provider_avepoint.core.query import widen

if TYPE_CHECKING:
    from airflow_provider_avepoint.core.client import Client
    from airflow_provider_avepoint.core.model import BackupJob
    from airflow_provider_avepoint.core.query import JobQuery
    from airflow_provider_avepoint.core.questions import Question
    from airflow_provider_avepoint.hooks.avepoint import AvePointAsyncHook

    # What a query came to: the jobs of a listing, a single job or None, or why there is no answer.
    _Outcome = list[BackupJob] | BackupJob | BaseException | None

log = logging.getLogger(__name__)

_Key = tuple[str, str]
# Weak on both sides: a poll knows its loop, and would keep one alive that was closed with waits in it.
_POLLS: WeakKeyDictionary[asyncio.AbstractEventLoop, WeakValueDictionary[_Key, Poll]] = WeakKeyDictionary()

#: Seconds; whatever a wait was told, an interval of 0 must not turn into a loop without a pause.
LEAST_INTERVAL = 1.0
# Seconds between two rounds, at least, unless an interval is shorter: waits that end one after the other each
# want a last look.
_LEAST_SPACING = 10.0
# The pause after a failed round, in units of a request's first back-off; it doubles, up to the second.
_BACKOFF, _LONGEST_BACKOFF = 30.0, 300.0
# Seconds for which what a connection holds is taken to be what it held when it was read.
_TRUSTED_FOR = 180.0
# How long after its deadline a wait hopes for a last look, in seconds.
_GRACE = 15.0
# Where nothing else was answered, so many answers that cannot be understood are enough for one round.
_MOST_GARBLED = 3
# What a connection that has changed since may mend.
_REFUSALS = (AvePointAuthError, AvePointConfigError, AvePointPermissionError)


@contextlib.asynccontextmanager
async def join(
    conn_id: str,
    product: str,
    ask: Ask,
    interval: float,
    ask_more: AskMore | None = None,
    *,
    ask_beside: AskBeside | None = None,
) -> AsyncIterator[Wait]:
    """Take part in the poll of a product over a connection. The first wait begins the poll.

    :param conn_id: the id of the connection.
    :param product: the name of the product.
    :param ask: returns the queries of this wait for one look.
    :param interval: seconds between two looks.
    :param ask_more: returns further queries, given the answers; None for no further queries.
    :param ask_beside: returns what the wait asks beside the jobs; None for nothing.
    """
    loop = asyncio.get_running_loop()
    polls = _POLLS.setdefault(loop, WeakValueDictionary())
    key = (conn_id, product)
    poll = polls.get(key)
    if poll is None:
        poll = polls[key] = Poll(conn_id, product)
    wait = Wait(poll, ask, max(LEAST_INTERVAL, interval), ask_more, ask_beside=ask_beside)
    poll.waits.add(wait)
    try:
        yield wait
    finally:
        poll.waits.discard(wait)
        if not poll.waits:
            polls.pop(key, None)
            if not polls:
                _POLLS.pop(loop, None)
            await poll.stop()


class Wait:
    """One member of a poll.

    :param poll: the poll.
    :param ask: returns the queries of this wait for one look.
    :param interval: seconds between two looks.
    :param ask_more: returns further queries, given the answers; None for no further queries.
    :param ask_beside: returns what the wait asks beside the jobs; None for nothing.
    """

    def __init__(
        self,
        poll: Poll,
        ask: Ask,
        interval: float,
        ask_more: AskMore | None = None,
        *,
        ask_beside: AskBeside | None = None,
    ) -> None:
        self.ask = ask
        self.ask_more = ask_more
        self.ask_beside = ask_beside
        self.interval = interval
        self.due = max(poll.now(), poll.last_round + interval)
        self.is_new = True
        self.queries: list[JobQuery] = []
        self.questions: list[Question] = []
        self.answer: asyncio.Future[Answers | AvePointError] | None = None
        self._poll = poll

    @property
    def poll_error(self) -> AvePointError | None:
        """Why the poll's last round failed; None where it did not."""
        return self._poll.last_error

    @property
    def seconds_left(self) -> float:
        """How long it is until the next look is wanted."""
        return max(0.0, self.due - self._poll.now())

    def set_interval(self, seconds: float) -> None:
        """Change the interval, also for the next look.

        :param seconds: the time between two looks, in seconds.
        """
        interval = max(LEAST_INTERVAL, seconds)
        self.due += interval - self.interval
        self.interval = interval

    @property
    def is_waiting(self) -> bool:
        """Whether somebody waits for an answer that has not come."""
        return self.answer is not None and not self.answer.done()

    def give(self, outcome: Answers | AvePointError | RuntimeError) -> None:
        """Give the wait its answer, if it waits for one.

        :param outcome: the answers, or why there are none. :meth:`look` raises a RuntimeError.
        """
        if self.answer is None or self.answer.done():
            return
        if isinstance(outcome, RuntimeError):
            self.answer.set_exception(outcome)
        else:
            self.answer.set_result(outcome)

    async def look(self, ends_at: datetime | None = None) -> Answers | AvePointError | None:
        """Wait for the next look and return what it brought, or why it failed.

        :param ends_at: wants a look then, if none is due before, and waits little longer: None says that none
            came.
        """
        poll = self._poll
        left = None
        if ends_at is not None:
            left = max(0.0, (ends_at - datetime.now(UTC)).total_seconds())
            self.due = min(self.due, poll.now() + left)
        self.answer = asyncio.get_running_loop().create_future()
        poll.wake()
        try:
            async with asyncio.timeout(None if left is None else left + _GRACE):
                return await self.answer
        except TimeoutError:
            return None
        finally:
            self.answer = None


class Poll:
    """The rounds of one product's poll.

    :param conn_id: the id of the connection.
    :param product: the name of the product.
    """

    def __init__(self, conn_id: str, product: str) -> None:
        self.waits: set[Wait] = set()
        #: When the last round began, on the event loop's clock.
        self.last_round = float("-inf")
        #: Why it failed; None where it did not.
        self.last_error: AvePointError | None = None
        self._conn_id = conn_id
        self._product = get_product(product)
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._hook: AvePointAsyncHook | None = None
        #: The client for what the connection held when it was read last; when that was, on the loop's clock.
        self._client: Client | None = None
        self._read_at = float("-inf")
        self._has_changed = False
        self._failures = 0
        self._has_connected = False
        self._not_before = float("-inf")
        #: Whether rows were found to leave out their organisation, where that is possible.
        self._by_organization = False
        #: What was answered with a web page last: it is asked for last, so that it hides nothing else.
        self._behind_a_page: set[Topic] = set()

    def now(self) -> float:
        """Return the time on the event loop's clock."""
        return asyncio.get_running_loop().time()

    def wake(self) -> None:
        """Have the poll look again at who waits until when."""
        if self._task is None or self._task.done():
            # Without the context of the wait that happens to be first: the log lines are the triggerer's own.
            self._task = asyncio.create_task(self._run(), context=contextvars.Context())
        self._changed.set()

    async def stop(self) -> None:
        """End the poll and close its connections."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        try:
            while True:
                try:
                    await self._go_on()
                except Exception:
                    log.exception("%s: this round ended with a defect", self)
                    self._give_up()
                    await self._close_hook()
        finally:
            self._give_up()
            await self._close_hook()

    async def _go_on(self) -> None:
        """Sleep until the next round is due, or somebody new waits, or begin the round that is."""
        self._changed.clear()
        waiting = [wait for wait in self.waits if wait.is_waiting]
        now, due = self.now(), self._find_due(waiting)
        if due > now:
            await pause(self._changed, due - now)
        else:
            await self._look_for(
                [wait for wait in waiting if wait.is_new or wait.due - now <= wait.interval / 2]
            )

    def _give_up(self) -> None:
        """Leave nobody waiting for an answer that will not come."""
        for wait in self.waits:
            wait.give(RuntimeError("The shared poll ended with a defect, which the triggerer's log shows."))

    def _find_due(self, waiting: list[Wait]) -> float:
        """Return when the next round is due, on the event loop's clock."""
        if not waiting:
            return float("inf")
        spacing = min(_LEAST_SPACING, *(wait.interval for wait in waiting))
        first = min(wait.due for wait in waiting)
        return max(first, self.last_round + spacing, self._not_before)

    async def _look_for(self, waits: list[Wait]) -> None:
        """Ask once, and hand all *waits* what came, or why nothing did."""
        from airflow_provider_avepoint.metrics import count

        begun = self.last_round = self.now()
        outcome: Answers | AvePointError
        try:
            outcome = await self._ask(waits)
        except AvePointError as e:
            outcome = self.last_error = e.with_traceback(None)
            await self._close_hook()  # the next round reads the connection anew
            self._failures += 1
            backoff = retry.BASE_DELAY * _BACKOFF * 2.0 ** (self._failures - 1)
            spread = 0.75 + random.random() / 2  # noqa: S311  # spreads load, guards nothing
            self._not_before = self.now() + min(backoff, _LONGEST_BACKOFF) * spread
            log.warning("%s: the poll failed (%s in a row): %s", self, self._failures, e)
        else:
            self._failures, self.last_error = 0, None
        count("polls", product=self._product.name, outcome="failed" if self._failures else "answered")
        for wait in waits:
            wait.due = begun + wait.interval
            wait.is_new = False
        for wait in waits:
            error = (
                None
                if isinstance(outcome, AvePointError)
                else outcome.find_error(wait.queries, wait.questions)
            )
            wait.give(error or outcome)
            await asyncio.sleep(0)  # each has its judging to do: what else runs on this loop gets its turn

    async def _ask(self, waits: list[Wait]) -> Answers:
        is_known = self.now() < self._read_at + _TRUSTED_FOR and not any(wait.is_new for wait in waits)
        if is_known and self._hook is not None:
            try:
                return await self._ask_over(self._hook, waits, is_fresh=False)
            except _REFUSALS:
                await self._close_hook()  # the connection was read rounds ago, and may have changed since
        return await self._ask_over(await self._read_connection(), waits, is_fresh=True)

    async def _read_connection(self) -> AvePointAsyncHook:
        """Return the hook for what the connection holds now: the one in use where that is the same."""
        hook_class = await asyncio.to_thread(_import_hook)
        hook = hook_class(self._conn_id)
        client, known = await self._connect(hook), self._client
        self._read_at = self.now()
        is_same = known is not None and _hold_the_same(known, client)
        if is_same and self._hook is not None:
            await hook.close()
            return self._hook
        await self._close_hook()
        self._hook, self._client = hook, client
        if known is not None and not is_same:
            self._by_organization, self._has_changed = False, True
        return hook

    async def _ask_over(self, hook: AvePointAsyncHook, waits: list[Wait], *, is_fresh: bool) -> Answers:
        begun = self.now()
        client = await self._connect(hook)
        for _ in client.clock.rounds():
            answers = await self._ask_by(client, hook, waits)
        await self._ask_beside(client, hook, waits, answers, is_fresh=is_fresh)
        log.info(
            "%s: %s jobs for %s waits%s, in %.1f s.",
            self,
            answers.count,
            len(waits),
            " over the connection, which has changed" if self._has_changed else "",
            self.now() - begun,
        )
        self._has_changed = False
        return answers

    async def _ask_by(self, client: Client, hook: AvePointAsyncHook, waits: list[Wait]) -> Answers:
        """Ask by what the API's clock is known to show, and then what the answers give rise to."""
        now = client.clock.now()
        for wait in waits:
            wait.queries = wait.ask(now, client.settings.location)
        queries = [query for wait in waits for query in wait.queries]
        is_apart = self._by_organization or not self._is_worth_merging(queries)
        answers = await self._answer(client, hook, queries, by_organization=is_apart)
        if not is_apart and not answers.names_organizations:
            self._by_organization = is_apart = True
            answers = await self._answer(client, hook, queries, by_organization=True)
        further: list[JobQuery] = []
        for wait in waits:
            if wait.ask_more is not None and (more := wait.ask_more(answers, wait.queries)):
                wait.queries += more
                further += more
        if further:
            answers.include(await self._answer(client, hook, further, by_organization=is_apart))
        return answers

    async def _ask_beside(
        self, client: Client, hook: AvePointAsyncHook, waits: list[Wait], answers: Answers, *, is_fresh: bool
    ) -> None:
        """Ask what the waits ask beside the jobs, each question once. An error is about its question alone.

        :raises AvePointError: what another connection may mend, unless the connection was just read.
        """
        for wait in waits:
            wait.questions = [] if wait.ask_beside is None else wait.ask_beside(client.settings.location)
        for question in dict.fromkeys(each for wait in waits for each in wait.questions):
            try:
                answers.hear(question, await hook.aanswer(question))
            except AvePointError as e:
                if isinstance(e, _REFUSALS) and not is_fresh:
                    raise
                answers.hear(question, e)

    async def _connect(self, hook: AvePointAsyncHook) -> Client:
        """Return the client of the connection.

        Airflow says "not found" of a connection too that it could not look up: one that was found before is
        looked for again.
        """
        try:
            client = await hook.aget_client()
        except AvePointConfigError as e:
            if self._has_connected:
                raise AvePointUnavailable(f"The connection was found before, and is not now: {e}") from None
            raise
        self._has_connected = True
        return client

    def _is_worth_merging(self, queries: list[JobQuery]) -> bool:
        """Tell whether to ask for all organisations together, and see whether rows name theirs."""
        if self._product.filters.organization_id is None:
            return False
        few = FEW_ORGANIZATIONS if self._product.asks_each_organization else 0
        return plan(queries).listings_apart > few

    async def _answer(
        self, client: Client, hook: AvePointAsyncHook, queries: list[JobQuery], *, by_organization: bool
    ) -> Answers:
        now = client.clock.now()
        planned = plan(queries, by_organization=by_organization)
        jobs: dict[Topic, BackupJob | None] = {}
        listings: dict[Topic, list[BackupJob]] = {}
        errors: dict[Topic, AvePointError] = {}
        garbled: list[AvePointPayloadError] = []
        async with contextlib.aclosing(self._ask_in_groups(client, hook, planned)) as groups:
            async for group in groups:
                for key, outcome in group:
                    match outcome:
                        case list():
                            listings[key] = outcome
                        case AvePointConfigError() | AvePointRequestError():
                            errors[key] = outcome  # about this query alone
                        case AvePointPayloadError():
                            errors[key] = outcome
                            garbled.append(outcome)
                        case BaseException():
                            raise outcome
                        case _:
                            jobs[key] = outcome
                if not (jobs or listings):
                    _refuse_garbled(garbled)
        if garbled and len(garbled) == len(errors) and not (jobs or listings):
            raise garbled[0]  # not about one query: the API is away, in its own way
        silent = [planned.listings[key] for key, listed in listings.items() if not listed]
        errors |= await self._ask_widely(hook, now, silent, listings, by_organization=by_organization)
        return Answers(
            client.clock.now(),
            listings,
            jobs,
            errors,
            by_organization=by_organization,
            single_tenant=client.settings.single_tenant,
            location=client.settings.location,
        )

    async def _ask_in_groups(
        self, client: Client, hook: AvePointAsyncHook, planned: Plan
    ) -> AsyncGenerator[list[tuple[Topic, _Outcome]]]:
        """Yield what each query of the plan came to, as many at a time as the connection allows."""
        now = client.clock.now()

        async def ask(key: Topic) -> list[BackupJob] | BackupJob | None:
            if key in planned.jobs:
                return await self._find(hook, planned.jobs[key])
            query = planned.listings[key]
            return [job async for job in hook.alist_query(query, now, with_changes=True)]

        last = frozenset(self._behind_a_page)
        for group in planned.groups(client.settings.max_concurrency, last=last):
            outcomes = await asyncio.gather(*map(ask, group), return_exceptions=True)
            for key, outcome in zip(group, outcomes, strict=True):
                if isinstance(outcome, AvePointPayloadError) and outcome.is_web_page:
                    self._behind_a_page.add(key)
                elif not isinstance(outcome, BaseException):
                    self._behind_a_page.discard(key)
            yield list(zip(group, outcomes, strict=True))

    async def _ask_widely(
        self,
        hook: AvePointAsyncHook,
        now: datetime,
        silent: list[JobQuery],
        listings: dict[Topic, list[BackupJob]],
        *,
        by_organization: bool,
    ) -> dict[Topic, AvePointError]:
        """Ask for all organisations, in place of the *silent* queries, which have brought nothing.

        :param listings: gets the jobs that they wanted.
        :returns: why those that gave a name will get none.
        """
        misnamed: dict[Topic, AvePointError] = {}
        for widening in widen(silent):

            def find_topic(organization: str | None, query: JobQuery = widening.query) -> Topic:
                named = replace(query, organization_id=organization)
                return topic_of(named, by_organization=by_organization)

            async for job in hook.alist_query(widening.query, now, with_changes=True):
                if widening.matches(job):
                    listings[find_topic(job.organization_id)].append(job)
            misnamed |= {find_topic(given): error for given, error in widening.find_misnamed().items()}
        return misnamed

    async def _find(self, hook: AvePointAsyncHook, query: JobQuery) -> BackupJob | None:
        try:
            return await hook.aget_job(
                self._product.name,
                query.job_id or "",
                location=query.location,
                organization_id=query.organization_id,
                started_after=query.started_after,
            )
        except AvePointJobNotFound:
            return None

    async def _close_hook(self) -> None:
        hook, self._hook = self._hook, None
        if hook is not None:
            await hook.close()

    def __str__(self) -> str:
        return f"Poll of {self._product.name} over {self._conn_id}"


def _refuse_garbled(errors: list[AvePointPayloadError]) -> None:
    """Raise where the API seems to be away: it has answered nothing else, but a web page or much that is odd.

    :param errors: what was wrong with each answer; each request has had its tries.
    """
    page = next((error for error in errors if error.is_web_page), None)
    if page is not None:
        raise page
    if len(errors) >= _MOST_GARBLED:
        raise errors[0]


def _hold_the_same(one: Client, other: Client) -> bool:
    """Tell whether two clients ask the same host as the same app, with the same secret or certificate."""
    return (
        one.settings == other.settings
        and one.tokens.credential.fingerprint == other.tokens.credential.fingerprint
    )


def _import_hook() -> type[AvePointAsyncHook]:
    """Load the hook and aiohttp, in a thread: the first time it takes a while."""
    from airflow_provider_avepoint.hooks.avepoint import AvePointAsyncHook

    return AvePointAsyncHook


async def pause(changed: asyncio.Event, seconds: float) -> None:
    """Sleep until the time is over or an event is set.

    :param changed: the event.
    :param seconds: the longest sleep, in seconds; infinity for no limit.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(None if seconds == float("inf") else seconds):
            await changed.wait()
