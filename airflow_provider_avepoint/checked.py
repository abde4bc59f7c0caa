"""The base of our operators: what is written out in a DAG file is checked where the file is parsed."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_avepoint.core.arguments import parse_text, require_text
from airflow_provider_avepoint.core.errors import AvePointConfigError
from airflow_provider_avepoint.core.literals import check_each
from airflow_provider_avepoint.exceptions import for_airflow

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import DAG

_PACKAGE = __name__.partition(".")[0]
# Stands for an argument whose value nobody knows yet; it is no literal.
_LATER = object()


class CheckedOperator(BaseOperator):
    """An operator that refuses a bad literal where its DAG file is parsed; a template is left to the task.

    Nothing is checked without a DAG, where a call of ``execute()`` soon checks all arguments, nor in a DAG
    with a Jinja environment of its own, where any text may be a template.

    A subclass checks its own arguments in ``_check_literals``, and calls ``check_literals`` at the end of its
    constructor. Airflow does not construct a mapped operator when the file is parsed; ``partial`` sees to it
    that its literals are checked then, too.
    """

    @classmethod
    def partial(cls, **arguments: Any) -> CheckedPartial:  # type: ignore[override]  # adds a check to Airflow's
        """Begin to map the operator; see Airflow's operator.

        :param arguments: the arguments that all mapped tasks have.
        """
        return CheckedPartial(cls, super().partial(**arguments))

    @classmethod
    def _check_literals(cls, given: Mapping[str, Any]) -> None:
        """Check those arguments that are literals, each alone and with the other literals.

        :param given: every argument by name; one whose value is not known yet is no literal.
        :raises AvePointConfigError: a literal cannot be used; the message names the argument.
        """
        check_each(given, avepoint_conn_id=require_text, ledger_conn_id=parse_text, tenant=parse_text)

    def check_literals(self) -> None:
        """Check the arguments of this task.

        :raises AvePointConfigError: a literal cannot be used; the message names the argument.
        """
        if _is_checked(self.get_dag()):
            _check(type(self), vars(self))


class CheckedPartial:
    """What ``partial`` of our operators returns: Airflow's own object, and a check when it is expanded.

    :param operator: the operator that is mapped.
    :param partial: what ``partial`` of Airflow's operator has returned.
    """

    def __init__(self, operator: type[CheckedOperator], partial: Any) -> None:
        self._operator = operator
        self._partial = partial

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # such as what copy() asks an object without attributes for
            raise AttributeError(name)
        return getattr(self._partial, name)

    def expand(self, **mapped: Any) -> Any:
        """Map over lists, one an argument; see Airflow's operator.

        :param mapped: a list, or what gives one when the DAG runs, for each mapped argument.
        :raises AvePointConfigError: a literal cannot be used; the message names the argument.
        """
        operator = self._partial.expand(**mapped)
        unknown = dict.fromkeys(mapped, _LATER)
        self._check(unknown, *(unknown | {name: value} for name, value in _list_values(mapped)))
        return operator

    def expand_kwargs(self, kwargs: Any, *, strict: bool = True) -> Any:
        """Map over a list of arguments; see Airflow's operator.

        :param kwargs: a list of objects, or what gives one when the DAG runs.
        :param strict: whether the objects must not hold what ``partial`` has.
        :raises AvePointConfigError: a literal cannot be used; the message names the argument.
        """
        operator = self._partial.expand_kwargs(kwargs, strict=strict)
        items = kwargs if isinstance(kwargs, Sequence) else ()
        unknown = dict.fromkeys(_read_defaults(self._operator), _LATER)
        common = self._partial.kwargs if strict else {}
        self._check({**unknown, **common}, *(item for item in items if isinstance(item, Mapping)))
        return operator

    def _check(self, *tasks: Mapping[str, Any]) -> None:
        """Check the literals of tasks that have *tasks* beside the arguments of all.

        :raises AvePointConfigError: a literal cannot be used, or an argument is missing.
        """
        common = self._partial.kwargs
        # A constructor that is not ours may give arguments of its own choice to ours.
        if not _is_checked(common["dag"]) or not _is_ours(self._operator.__init__):
            return
        defaults = dict(_read_defaults(self._operator))
        for group in (common["dag"], common["task_group"]):
            named = getattr(group, "default_args", None) or {}
            defaults |= {name: named[name] for name in defaults.keys() & named.keys()}
        for task in tasks:
            _check(self._operator, {**defaults, **common, **task})


def _check(operator: type[CheckedOperator], given: Mapping[str, Any]) -> None:
    """Check the literals among the arguments of a task.

    :raises AvePointConfigError: a literal cannot be used, or an argument is missing.
    """
    if not _is_ours(operator):  # a class of the user's may yet set what is None
        given = {name: _LATER if value is None else value for name, value in given.items()}
    with for_airflow():
        for name, value in given.items():
            if value is inspect.Parameter.empty:
                raise AvePointConfigError(f"{name} is missing: give it to partial() or to expand().")
        operator._check_literals(given)  # noqa: SLF001  # of this module


def _is_checked(dag: DAG | None) -> bool:
    return dag is not None and not dag.jinja_environment_kwargs


def _is_ours(defined: Any) -> bool:
    """Tell whether this package defines a class or a function."""
    return bool(defined.__module__.partition(".")[0] == _PACKAGE)


def _list_values(mapped: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield each value of each list that is written out."""
    for name, values in mapped.items():
        if isinstance(values, Sequence):
            for value in values:
                yield name, value


@cache
def _read_defaults(operator: type[BaseOperator]) -> Mapping[str, Any]:
    """Return the arguments of our constructors with their defaults, or ``Parameter.empty``."""
    return {
        name: parameter.default
        for base in reversed(operator.__mro__)
        if _is_ours(base) and "__init__" in vars(base)
        for name, parameter in inspect.signature(vars(base)["__init__"]).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY
    }
