"""Build the error that refuses an argument: it names the argument, its value, and a valid value."""

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
# A list, a tuple, a set or a dict as Python or JSON writes it, or one of Airflow's lazy sequences.
_PYTHON_TEXT = re.compile(r"\[|[({]\s*['\"\])}]|Lazy\w+\(")


def refuse(name: str, value: object, why: str) -> AvePointConfigError:
    """Return the error that refuses an argument, with a hint if a template seems to have rendered the value.

    :param name: the name of the argument.
    :param value: the refused value; the message shortens it.
    :param why: the rest of the sentence after the value: why the value is refused, and what is valid.
    """
    text = trim(value) if isinstance(value, str) else None
    hint = ""
    if text is not None and is_rendered_none(text):
        hint = _RENDERED_NONE
    elif text is not None and is_rendered_list(text):
        hint = _RENDERED_LIST
    return AvePointConfigError(f"{name}: {quoted(value)} {why}{hint}")


def is_rendered_none(text: str) -> bool:
    """Tell whether a text is empty, or is what Jinja renders for None.

    :param text: a rendered text.
    """
    return trim(text) in ("None", "")


def is_rendered_list(text: str) -> bool:
    """Tell whether a text is a list or an object as Python writes it.

    :param text: a rendered text.
    """
    return _PYTHON_TEXT.match(text) is not None
