"""How an argument is refused: by its name, its value, and what would do."""

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
# A list, a tuple, a set or an object in Python's words or in JSON, and Airflow's lazy sequences.
_PYTHON_TEXT = re.compile(r"\[|[({]\s*['\"\])}]|Lazy\w+\(")


def refuse(name: str, value: object, why: str) -> AvePointConfigError:
    """Return the error that names an argument and its value, shortened.

    :param why: the rest of the sentence, with what would do. What a template that went wrong has rendered is
        told by its look.
    """
    text = trim(value) if isinstance(value, str) else None
    hint = ""
    if text is not None and is_rendered_none(text):
        hint = _RENDERED_NONE
    elif text is not None and is_rendered_list(text):
        hint = _RENDERED_LIST
    return AvePointConfigError(f"{name}: {quoted(value)} {why}{hint}")


def is_rendered_none(text: str) -> bool:
    """Tell whether *text* is what Jinja makes of None, or nothing at all."""
    return trim(text) in ("None", "")


def is_rendered_list(text: str) -> bool:
    """Tell whether *text* is a list or an object as Python writes it."""
    return _PYTHON_TEXT.match(text) is not None
