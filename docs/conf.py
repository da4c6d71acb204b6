"""How the documentation is built: ``sphinx-build -W --keep-going -n docs docs/_build/html``.

Every warning fails the build: a cell that fails, a link or a name that leads nowhere, a formula
that has no MathML.  Cells are run anew in each build.
"""

import os
import sys
from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).resolve().parent
SOURCE = str(HERE.parent / "src")
sys.path[:0] = [SOURCE, str(HERE / "_ext")]
# The kernels that run the cells import the same checkout, on one thread, without colours.
os.environ["PYTHONPATH"] = os.pathsep.join(
    filter(
        None,
        [
            SOURCE,
            str(HERE.parent / "examples"),
            str(HERE / "classical"),  # the tables of its pages
            os.environ.get("PYTHONPATH"),
        ],
    )
)
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["NO_COLOR"] = "1"
os.environ["JAX_PLATFORMS"] = os.environ.get("JAX_PLATFORMS", "cpu")

from tensorcalculus import __version__  # noqa: E402

project = "tensorcalculus"
author = "The tensorcalculus developers"
copyright = "The tensorcalculus developers"
version = release = __version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "mathml",
    "function_table",
    "command_line",
    "docstrings",
]
exclude_patterns = ["_build", "**/.ipynb_checkpoints"]
nitpicky = True

# -- pages -----------------------------------------------------------------------------------------

myst_enable_extensions = ["dollarmath", "amsmath", "deflist", "colon_fence", "attrs_inline"]
myst_heading_anchors = 4
myst_update_mathjax = False
html_math_renderer = "mathml"

# -- cells -----------------------------------------------------------------------------------------

nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_show_tb = True
nb_execution_timeout = 120
nb_execution_in_temp = True
nb_merge_streams = True
# Explanations are Markdown as well as HTML; as Markdown their formulas are formulas of the page.
nb_render_markdown_format = "myst"
nb_mime_priority_overrides = [("html", "text/markdown", 5)]
# Without the package that a page is about, its cells stand there without their output.
nb_execution_excludepatterns = [
    page
    for page, packages in {
        "how-to/pytorch-and-jax.md": ("torch", "jax"),
        "how-to/gpu.md": ("torch", "jax"),
        "how-to/sparse-data.md": ("numba",),
    }.items()
    if not all(map(find_spec, packages))
]

# -- reference -------------------------------------------------------------------------------------

default_role = "code"  # what docstrings put between single backticks
autosummary_generate = False
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_inherit_docstrings = True
napoleon_google_docstring = True
napoleon_use_rtype = False
napoleon_use_ivar = True
maximum_signature_line_length = 88
python_use_unqualified_type_names = True
add_module_names = False
toc_object_entries_show_parents = "hide"
# Types of others have no page here, and no inventory of theirs is fetched: builds need no network.
nitpick_ignore_regex = [
    (r"py:.*", r"(numpy|np|scipy|collections|pathlib|fractions|matplotlib|hypothesis)\..*"),
    (r"py:class", r"Array|Path|SearchStrategy|Sizes"),  # the same, and aliases of them
    # Parts inside of what is public: seen in signatures, made and read by the library alone.
    (
        r"py:class",
        r"tensorcalculus\..*\.(Pointwise|Structure|Target|Term|Data|Observed|Graph|Piece|Layout|Way|Step|Row|Polynomial)",
    ),
]

# -- the look --------------------------------------------------------------------------------------

html_theme = "furo"
html_title = "tensorcalculus"
pygments_dark_style = "github-dark"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#0b5d9e", "color-brand-content": "#0b5d9e"},
    "dark_css_variables": {"color-brand-primary": "#7fbcf0", "color-brand-content": "#7fbcf0"},
}
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
