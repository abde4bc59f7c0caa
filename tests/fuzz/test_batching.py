"""Whatever many waits ask together: nobody's verdict, and nobody's job, changes by what the others ask."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_avepoint.core.batching import Answers, plan
from airflow_provider_avepoint.core.grading import pick_sighting
from airflow_provider_avepoint.core.products.vocabulary import Product
from airflow_provider_avepoint.core.query import JobQuery
from airflow_provider_avepoint.core.verdict import judge
from tests.triggers.server import (
    NOW,
    describe,
    job_queries_of,
    list_jobs,
    policies_of,
    products,
    rows_of,
)

from . import fuzz

pytestmark = pytest.mark.no_cover


def share(product: Product, rows: list[Any], queries: list[JobQuery], *, by_organization: bool) -> Answers:
    """Answer all *queries* in one round."""
    planned = plan(queries, by_organization=by_organization)
    found = {
        key: next((each for each in list_jobs(rows, query) if each.job_id == query.job_id), None)
        for key, query in planned.jobs.items()
    }
    listings = {topic: list_jobs(rows, query) for topic, query in planned.listings.items()}
    return Answers(NOW, listings, found, by_organization=by_organization)


@fuzz(2)
@given(data=st.data())
def test_sharing_never_changes_a_verdict(data: st.DataObject) -> None:
    """Whatever the others ask: the verdict is that on the jobs which a policy's own queries bring.

    Where one listing is to hold several organisations, rows name theirs: that they do is seen to first.
    """
    product = data.draw(st.sampled_from(products()), label="product")
    by_organization = data.draw(st.booleans(), label="by organisation")
    rows = data.draw(rows_of(product, is_named=None if by_organization else True), label="rows")
    policies = data.draw(st.lists(policies_of(product), min_size=2, max_size=5), label="policies")
    waits = data.draw(st.lists(job_queries_of(product), max_size=6), label="jobs")
    asked = [policy.queries(NOW) for policy in policies]

    answers = share(product, rows, [*chain(*asked), *waits], by_organization=by_organization)

    for policy, queries in zip(policies, asked, strict=True):
        own = [each for query in queries for each in list_jobs(rows, query)]
        assert describe(judge(own, policy, NOW)) == describe(answers.judge(policy, queries))


@fuzz(3)
@given(data=st.data())
def test_sharing_never_changes_what_is_found(data: st.DataObject) -> None:
    """A job is found by whoever would find it by himself, and as it is; a wider look may find more."""
    product = data.draw(st.sampled_from(products()), label="product")
    by_organization = data.draw(st.booleans(), label="by organisation")
    rows = data.draw(rows_of(product, is_named=None if by_organization else True), label="rows")
    waits = data.draw(st.lists(job_queries_of(product), min_size=1, max_size=8), label="jobs")
    policies = data.draw(st.lists(policies_of(product), max_size=2), label="policies")
    others = [query for policy in policies for query in policy.queries(NOW)]

    answers = share(product, rows, [*waits, *others], by_organization=by_organization)

    for query in waits:
        own = [each for each in list_jobs(rows, query) if each.job_id == query.job_id]
        ever = replace(query, started_after=None)
        possible = [each for each in list_jobs(rows, ever) if each.job_id == query.job_id]
        assert answers.find(query) in ([pick_sighting(own)] if own else [None, *possible])


@fuzz(4)
@given(data=st.data())
def test_the_jobs_of_queries_are_those_that_they_ask_for(data: st.DataObject) -> None:
    """What others ask for beside them, earlier jobs and other organisations, stays out."""
    product = data.draw(st.sampled_from(products()), label="product")
    by_organization = data.draw(st.booleans(), label="by organisation")
    rows = data.draw(rows_of(product, is_named=True), label="rows")
    one, other = (data.draw(policies_of(product)).queries(NOW) for _ in range(2))

    answers = share(product, rows, [*one, *other], by_organization=by_organization)

    own = [each for query in one for each in list_jobs(rows, query)]
    assert sorted(map(repr, own)) == sorted(map(repr, answers.jobs(one)))
