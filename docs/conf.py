"""Sphinx's configuration. ``make docs`` builds the pages without a network; a warning is an error."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))
# autodoc imports Airflow, which must not write into a reader's own AIRFLOW_HOME.
os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="avepoint-docs-")
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "false"

from airflow_provider_avepoint import __version__
from docs import llms
from docs.generated import expand

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "airflow-provider-avepoint"
author = "The authors of airflow-provider-avepoint"
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_copybutton"]
myst_enable_extensions = ["colon_fence", "deflist", "attrs_inline"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]

smartquotes_action = "D"  # dashes alone: quotes are to be copied
autodoc_typehints = "none"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
python_maximum_signature_line_length = 88

html_theme = "furo"
html_title = f"AvePoint for Airflow {version}"
_ICONS = (f"../airflow_provider_avepoint/page/files/{name}.svg" for name in ("icon", "icon-dark"))
html_static_path = ["_static", *_ICONS]
html_css_files = ["pages.css"]
html_theme_options = {"light_logo": "icon.svg", "dark_logo": "icon-dark.svg"}
html_copy_source = True
html_use_index = False
html_domain_indices = False
html_show_sphinx = False
html_show_copyright = False
copybutton_exclude = ".linenos, .gp, .go"


def setup(app: Sphinx) -> None:
    """Fill in what is generated from the code, and write ``llms.txt``."""
    app.connect("source-read", _fill_in)
    app.connect("build-finished", llms.write)


def _fill_in(_app: Sphinx, _name: str, source: list[str]) -> None:
    source[0] = expand(source[0])
