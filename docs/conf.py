"""How Sphinx makes a site of the pages; `cargo xtask docs` lays them out and calls it. Nothing on the site comes from another host."""

import re

from docutils import nodes
from pygments.lexers.special import TextLexer
from sphinx.addnodes import pending_xref

project = "libatls"
html_title = "libatls"
copyright = ""
extensions = ["myst_parser", "breathe"]
root_doc = "index"
exclude_patterns = ["_static"]

# Headings have the names that links on GitHub use. A link that leads nowhere is a warning, and each warning an error.
myst_heading_anchors = 4
myst_enable_extensions = ["html_image"]
nitpicky = False

breathe_projects = {"atls": "../xml"}
breathe_default_project = "atls"
breathe_domain_by_extension = {"h": "c"}
# Of `typedef struct name {..} name;` Doxygen makes two entries. What is declared twice Doxygen itself would warn of.
# Pygments does not know all of Swift; what it does not know is shown without colours.
suppress_warnings = ["duplicate_declaration.c", "misc.highlighting_failure"]

html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_show_copyright = False
html_copy_source = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#0b6b58", "color-brand-content": "#0b6b58"},
    "dark_css_variables": {"color-brand-primary": "#5ad1b5", "color-brand-content": "#5ad1b5"},
}
# Options begin with two hyphens, and quotes are part of what is quoted.
smartquotes = False
# Examples leave bytes out, and show what is no code.
highlight_language = "none"
pygments_style = "friendly"
pygments_dark_style = "monokai"

# What is in the list and not in docs/ is left out, so that the list need not change with the tree.
CHAPTERS = [
    ("Begin", ["README", "measuring", "development"]),
    ("Use", ["tool", "proxy", "operations", "packaging", "speed", "features"]),
    ("Formats", ["policy", "verdict", "protocol", "strictness", "glossary"]),
    ("Interface in C", ["header/index"]),
    ("Other languages", ["go", "python", "swift"]),
    ("Project", ["SECURITY", "CONTRIBUTING", "CHANGELOG"]),
]
TITLES = {"README": "Five minutes"}


def add_contents(app, page, source):
    """The start page lists all pages, which shows as navigation; on GitHub the list would be noise."""
    if page != root_doc:
        return
    for caption, pages in CHAPTERS:
        entries = [f"{TITLES[name]} <{name}>" if name in TITLES else name for name in pages if name in app.env.found_docs]
        source[0] += f"\n```{{toctree}}\n:hidden:\n:caption: {caption}\n\n" + "\n".join(entries) + "\n```\n"


def link_names(app, document):
    """Names of the interface in code become links to their reference."""
    page = app.env.current_document.docname
    for literal in list(document.findall(nodes.literal)):
        name = literal.astext().removesuffix("()")
        if re.fullmatch(r"(atls|ATLS)_\w*[a-zA-Z0-9]", name) and not isinstance(literal.parent, (nodes.reference, pending_xref)):
            link = pending_xref("", refdomain="c", reftype="identifier", reftarget=name, refdoc=page, refwarn=False)
            literal.replace_self(link)
            link += literal


def link_pages(app, document):
    """The header cites pages by their file, with or without a heading: docs/policy.md, "Open connections"."""
    page = app.env.current_document.docname
    if not page.startswith("header/"):
        return
    for text in list(document.findall(nodes.Text)):
        if isinstance(text.parent, (nodes.reference, nodes.literal, pending_xref)):
            continue
        pieces, end = [], 0
        for found in re.finditer(r'docs/([a-z]+)\.md(?:,\s+"([^"]+)")?', text):
            name, heading = found.groups()
            anchor = "#" + re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") if heading else ""
            link = nodes.reference("", found.group(0), internal=True, refuri=f"../{name}.html{anchor}")
            pieces += [nodes.Text(text[end : found.start()]), link]
            end = found.end()
        if pieces:
            text.parent.replace(text, pieces + [nodes.Text(text[end:])])


def setup(app):
    app.add_lexer("hex", TextLexer)
    app.connect("source-read", add_contents)
    app.connect("doctree-read", link_names)
    app.connect("doctree-read", link_pages)
