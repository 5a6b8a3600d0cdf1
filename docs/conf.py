"""The documentation's build settings. Build it with `./run docs`."""

project = "Dojang"
copyright = "the Dojang authors"  # noqa: A001 - Sphinx reads this name
release = "0.1.0"

extensions = ["myst_parser"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
nitpicky = True

html_theme = "furo"
html_title = "Dojang"
html_copy_source = False
