"""How Sphinx builds the site: `scripts/docs`. What it needs is in the extra `docs`."""

from __future__ import annotations

import sys
from pathlib import Path

import clrun

sys.path[:0] = [str(Path(__file__).parent / "_ext")]

project = "clrun"
author = "the authors of clrun"
release = version = clrun.__version__
language = "en"

extensions = ["myst_nb", "clrun_reference", "index_pages", "outside_links"]
index_pages = ["methods/index", "reference/index", "decisions/index"]
exclude_patterns = ["_ext"]
nitpicky = True

smartquotes = False  # -- is two dashes in words for a command line
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 4
nb_execution_mode = "off"  # tests run the notebooks

html_theme = "furo"
html_title = "clrun"
html_static_path = ["_static"]
html_css_files = ["clrun.css"]
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
html_theme_options = {"navigation_with_keys": True}
