"""Sphinx settings: Markdown pages, the furo theme, no generated API pages (docstrings are read in the editor)."""

project = "gender_pipeline"
author = "the gender_pipeline authors"
extensions = ["myst_parser"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = "gender_pipeline"
exclude_patterns = ["_build"]
