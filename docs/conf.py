"""Sphinx reads this: ``make docs`` builds the pages, and a warning is an error."""

import sys
from pathlib import Path

# The checkout's package comes before an installed one.
sys.path.insert(0, str(Path(__file__).parent.parent))

project = "airflow-async-rest"
project_copyright = "its authors; Apache License 2.0"
extensions = ["myst_parser", "sphinx.ext.autodoc"]
html_theme = "pydata_sphinx_theme"
html_title = project
# All pages stand in the bar at the side, under the captions of the index; the theme would list some at the top.
html_sidebars = {"**": ["globaltoc.html"]}
html_theme_options = {"navigation_with_keys": False, "navbar_center": []}
html_static_path = ["_static"]
html_css_files = ["wide.css"]
html_show_sourcelink = False
exclude_patterns = ["_build"]
highlight_language = "none"

myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence"]

autodoc_member_order = "bysource"
autodoc_typehints = "none"
autodoc_preserve_defaults = True
