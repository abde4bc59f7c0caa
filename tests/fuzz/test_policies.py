"""Any arguments give a policy or an error that is ours."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_avepoint.core.activity import UnusualActivity
from airflow_provider_avepoint.core.errors import AvePointConfigError
from airflow_provider_avepoint.core.policy import Policy
from airflow_provider_avepoint.core.products import PRODUCTS
from airflow_provider_avepoint.core.questions import Circumstances, Question, Topic
from airflow_provider_avepoint.core.schedule import BackupSchedule
from airflow_provider_avepoint.core.verdict import judge

from . import fuzz
from .encoding import anything
from .test_answers import policy_for

pytestmark = pytest.mark.no_cover

NOW = datetime(2026, 11, 22, 6, tzinfo=UTC)


@fuzz(2)
@given(data=st.data())
def test_any_arguments_give_a_policy_or_an_error(data: st.DataObject) -> None:
    """Templates put anything into a policy; one that is accepted is the same after a trigger has held it."""
    asked: dict[str, Any] = policy_for(PRODUCTS[data.draw(st.sampled_from(list(PRODUCTS)))]).as_dict()
    changed = data.draw(st.dictionaries(st.sampled_from(list(asked)), anything, max_size=4))
    try:
        policy = Policy(**(asked | changed))
    except AvePointConfigError:
        return
    assert policy == Policy(**json.loads(json.dumps(policy.as_dict())))
    answers: dict[Question, Any] = {}
    for question in policy.questions():
        product, place = question.product, question.location
        if question.topic is Topic.SCHEDULE:
            answers[question] = BackupSchedule(product=product, location=place, read_at=NOW)
        else:
            answers[question] = UnusualActivity(
                product=product, location=place, detected_after=NOW, detected_before=NOW, read_at=NOW
            )
    judge([], policy, NOW, circumstances=Circumstances(answers))
