"""Questions that hang: few threads, one question for all who ask the same, and nobody waits for long."""

from __future__ import annotations

import asyncio
import threading

import pytest

from airflow_provider_avepoint.page.asking import MOST_OPEN, BusyError, Questions

PATIENCE = 30


async def test_readers_of_the_same_share_one_question() -> None:
    asked, go = [], threading.Event()

    def read() -> str:
        asked.append(1)
        assert go.wait(PATIENCE)
        return "answer"

    questions = Questions(PATIENCE)
    readers = [asyncio.create_task(questions.ask("posture", read, 60)) for _ in range(50)]
    left = readers.pop()
    await asyncio.sleep(0)
    left.cancel()  # a reader who leaves takes nothing from the others
    go.set()

    assert await asyncio.gather(*readers) == ["answer"] * 49
    assert await questions.ask("posture", read, 60) == "answer"
    assert len(asked) == 1


async def test_questions_that_hang_leave_the_loop_free_and_others_a_sentence() -> None:
    go, running = threading.Event(), []

    def hang() -> str:
        running.append(threading.current_thread())
        assert go.wait(PATIENCE)
        return "late"

    questions = Questions(0.2)
    tries = [questions.ask(number, hang, 60) for number in range(3 * MOST_OPEN)]
    answers = await asyncio.gather(*tries, return_exceptions=True)

    assert [type(each) for each in answers] == [BusyError] * len(answers)
    assert len(running) == MOST_OPEN
    assert all(thread.daemon for thread in running)  # Airflow's server may stop at any time
    go.set()
    for thread in running:
        thread.join(PATIENCE)
    assert await questions.ask(0, hang, 60) == "late"  # the answer that came late is kept
    assert len(running) == MOST_OPEN


async def test_a_question_that_waits_for_a_free_thread_is_asked() -> None:
    go = threading.Event()
    questions = Questions(PATIENCE)
    first = [asyncio.create_task(questions.ask(number, lambda: go.wait(PATIENCE), 60)) for number in range(4)]
    await asyncio.sleep(0)
    fifth = asyncio.create_task(questions.ask("fifth", lambda: "fifth", 60))
    await asyncio.sleep(0)
    assert not fifth.done()
    go.set()

    assert await fifth == "fifth"
    await asyncio.gather(*first)


async def test_an_error_reaches_every_reader_and_is_not_kept() -> None:
    answers = iter([ValueError("no"), "yes"])

    def read() -> str:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    questions = Questions(PATIENCE)
    with pytest.raises(ValueError, match="no"):
        await questions.ask("posture", read, 60)
    assert await questions.ask("posture", read, 60) == "yes"


async def test_answers_do_not_pile_up() -> None:
    asked = []
    questions = Questions(PATIENCE)
    for number in range(250):
        await questions.ask(number, lambda number=number: asked.append(number), 3600)
    await questions.ask("short", lambda: asked.append("short"), 0)
    await questions.ask("short", lambda: asked.append("short"), 0)

    assert asked.count("short") == 2
    assert len(questions._kept) <= 200
