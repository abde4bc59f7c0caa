"""Check the arguments of a task where its DAG is parsed: what is written out now; templates at run time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, timedelta
from typing import Any

from airflow_provider_avepoint.core.arguments import (
    parse_flag,
    parse_ids,
    parse_limit,
    parse_list,
    parse_moment,
    parse_objects,
    parse_span,
    parse_states,
    parse_text,
)
from airflow_provider_avepoint.core.errors import AvePointConfigError
from airflow_provider_avepoint.core.policy import UNUSUAL_WITHIN, Policy
from airflow_provider_avepoint.core.products import get_product
from airflow_provider_avepoint.core.query import build_queries

# What begins a variable, a statement and a comment of Jinja.
_TEMPLATE_MARKS = ("{{", "{%", "{#")
# The arguments of a policy that mean the same whatever the product is.
_OF_ANY_PRODUCT = (
    "started_after",
    "max_age",
    "expect_seen_within",
    "decide_by",
    "accept_partial",
    "max_failed",
    "max_failed_ratio",
    "on_failed",
    "fail_fast",
)
# Stands for an organisation that a template names.
_RENDERED_LATER = "rendered later"


def is_literal(value: object) -> bool:
    """Tell whether *value* stays as it is when Airflow renders the task's templates.

    :param value: an argument of an operator; a value of a type that we do not know is no literal.
    """
    if isinstance(value, str):
        return not any(mark in value for mark in _TEMPLATE_MARKS)
    if isinstance(value, Mapping):
        return all(map(is_literal, (*value, *value.values())))
    if isinstance(value, (list, tuple, set, frozenset)):
        return all(map(is_literal, value))
    return value is None or isinstance(value, (int, float, date, timedelta))


def check_policy(arguments: Mapping[str, Any]) -> list[str]:
    """Check those arguments of a policy that are literals, each alone and with the other literals.

    :param arguments: all arguments of the policy, as they were given.
    :returns: sentences for the author of the DAG: what is given and does nothing.
    :raises AvePointConfigError: a literal cannot be used, or neither *started_after* nor *max_age* is given;
        the message names the argument.
    """
    known = {name: value for name, value in arguments.items() if is_literal(value)}
    is_known = {"started_after", "max_age"} <= known.keys()
    if not is_known and known.get("started_after") is None and known.get("max_age") is None:
        known["max_age"] = timedelta(days=1)  # stands for the one that is rendered later
    if "product" in known:
        if get_product(known["product"]).needs_organization and "organization_ids" not in known:
            known["organization_ids"] = _RENDERED_LATER
    else:
        check_each(
            known,
            organization_ids=parse_ids,
            object_types=parse_list,
            locations=parse_list,
            exclude=parse_objects,
            job_type=parse_list,
            expect_scheduled=parse_flag,
            max_unusual=parse_limit,
            unusual_within=parse_span,
        )
        known = {name: known[name] for name in _OF_ANY_PRODUCT if name in known} | {"product": "m365"}
    policy = Policy(**known)
    if policy.unusual_within != UNUSUAL_WITHIN and arguments.get("max_unusual") is None:
        return ["unusual_within does nothing without max_unusual: unusual activity is not asked for."]
    return []


def check_listing(arguments: Mapping[str, Any]) -> None:
    """Check those filters of a listing that are literals, each alone and with the other literals.

    :param arguments: all arguments of :func:`.build_queries`, as they were given.
    :raises AvePointConfigError: a literal cannot be used; the message names the argument.
    """
    known = {name: value for name, value in arguments.items() if is_literal(value)}
    if "product" not in known:
        check_each(
            known,
            started_after=parse_moment,
            started_before=parse_moment,
            state=lambda _, it: parse_states(it),
            job_type=parse_list,
            object_type=parse_list,
            organization_id=parse_text,
            location=parse_text,
        )
        return
    products = parse_list("product", known.pop("product"))
    if products is None:
        raise AvePointConfigError("product is None; name one product or several.")
    for product in products:
        if get_product(product).needs_organization and "organization_id" not in known:
            build_queries(product, **known, organization_id=_RENDERED_LATER)
        else:
            build_queries(product, **known)


def check_each(arguments: Mapping[str, Any], **parsers: Callable[[str, Any], object]) -> None:
    """Check those arguments that are literals, each alone.

    :param arguments: the arguments, as they were given.
    :param parsers: for each argument what parses it: a function of its name and value.
    :raises AvePointConfigError: a literal cannot be used; the message names the argument.
    """
    for name, parse in parsers.items():
        if name in arguments and is_literal(arguments[name]):
            parse(name, arguments[name])
