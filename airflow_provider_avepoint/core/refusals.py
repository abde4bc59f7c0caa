"""Refuse an argument: name the argument and its value, and say what to give instead."""

from __future__ import annotations

import re

from airflow_provider_avepoint.core.errors import AvePointConfigError
from airflow_provider_avepoint.core.text import quoted, trim

_NATIVE = "render_template_as_native_obj=True on the DAG"
_RENDERED_NONE = (
    f" A template has rendered None, or nothing: give the template a default, set {_NATIVE}, or leave the "
    "argument out."
)
_RENDERED_LIST = (
    f" A template has rendered a list or an object as Python writes it: write {{{{ … | tojson }}}}, or set "
    f"{_NATIVE}."
)
# The beginning of a list, tuple, set or object, printed by Python or as JSON, or of one of Airflow's lazy
# sequences.
_PYTHON_TEXT = re.compile(r"\[|[({]\s*['\"\])}]|Lazy\w+\(")


def refuse(name: str, value: object, why: str) -> AvePointConfigError:
    """Return the error for an argument; a value that looks wrongly rendered adds how to mend the template.

    :param name: the argument's name.
    :param value: the bad value; the message has it shortened.
    :param why: the rest of the sentence, with what to give instead.
    """
    text = trim(value) if isinstance(value, str) else None
    hint = ""
    if text is not None and is_rendered_none(text):
        hint = _RENDERED_NONE
    elif text is not None and is_rendered_list(text):
        hint = _RENDERED_LIST
    return AvePointConfigError(f"{name}: {quoted(value)} {why}{hint}")


def refuse_untold(name: str, label: str) -> AvePointConfigError:
    """Return the error for an argument that means nothing to a product.

    :param name: the argument's name.
    :param label: the product's name for people.
    """
    return AvePointConfigError(f"{name}: {label} cannot tell jobs apart by it; leave it out.")


def is_rendered_none(text: str) -> bool:
    """Tell whether *text* is the text that Jinja renders from None, or empty.

    :param text: the value of an argument.
    """
    return trim(text) in ("None", "")


def is_rendered_list(text: str) -> bool:
    """Tell whether *text* looks like a list or an object as Python prints it.

    :param text: the value of an argument.
    """
    return _PYTHON_TEXT.match(text) is not None
