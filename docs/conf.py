"""Configure Sphinx: pages in MyST Markdown, the furo theme, the Python API from docstrings.

pip install -e '.[docs]' && sphinx-build -W docs build/docs
"""

project = "resumectl"
author = "the resumectl authors"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
source_suffix = {".md": "markdown"}
html_theme = "furo"
html_title = "resumectl"
html_copy_source = False
html_show_copyright = False

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3

# Docstrings use single backticks for code.
default_role = "literal"
autodoc_typehints_format = "short"
# Show defaults as they are written: the value of `os.environ` holds secrets of the person who builds.
autodoc_preserve_defaults = True
autodoc_member_order = "bysource"
autodoc_class_signature = "mixed"
python_use_unqualified_type_names = True
# Write the attributes of a docstring as fields: dataclasses would list them twice otherwise.
napoleon_use_ivar = True
