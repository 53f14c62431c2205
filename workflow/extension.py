"""Sphinx extension: MathJax on every page, and docstrings in the form that Sphinx expects."""

import ast
import inspect
import os
import re
from functools import cache, partial
from html import escape, unescape
from importlib import import_module
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.util.nodes import make_refnode

import companion
from workflow import further, publish
from workflow.formulas import marked

ANIMATION = re.compile(
    r"<figure>(.*companion-animation.*)<figcaption[^>]*>(.*)</figcaption></figure>", re.DOTALL
)
#: The environment variable with the sources that alone become pages, if it holds any.
ONLY = "COMPANION_PAGES"
UNDERLINE = re.compile(r"-{3,}\s*")


def setup(app):
    app.set_html_assets_policy("always")  # claims bring mathematics to pages without equations
    app.connect("autodoc-process-docstring", before_napoleon, priority=100)
    app.connect("autodoc-process-docstring", after_napoleon, priority=900)
    app.connect("missing-reference", by_last_name)
    app.connect("config-inited", link_to_sources)
    app.connect("html-page-context", about_the_page)
    app.connect("html-page-context", list_titles)
    app.connect("doctree-read", further.fold)
    app.connect("doctree-read", number_animations)
    app.connect("doctree-read", tabulate_parameters)
    if only := os.environ.get(ONLY):
        paths = [str(Path(app.srcdir, name)) for name in only.split(os.pathsep)]
        app.build = lambda *_: type(app).build(app, False, paths)
        app.connect("builder-inited", without_search)
    return {"parallel_read_safe": True}


def without_search(app):
    """An index of some pages would find nothing of the others, and Sphinx warns of it."""
    app.builder.search = False


def link_to_sources(app, config):
    """Tell linkcode where the repository is."""
    address = (config.html_theme_options or {}).get("repository_url")
    config.linkcode_resolve = partial(source_of, address)


def source_of(address, domain, info):
    """Where a function or class of the package stands in the repository, at its lines."""
    if not address or domain != "py" or not info["module"].startswith("companion"):
        return None
    thing: Any = import_module(info["module"])
    for part in info["fullname"].split("."):
        thing = getattr(thing, part, None)
    thing = inspect.unwrap(getattr(thing, "fget", None) or getattr(thing, "func", None) or thing)
    if not (inspect.isfunction(thing) or inspect.isclass(thing)):
        return None
    path = Path(inspect.getfile(thing)).relative_to(Path(companion.__file__).parents[1])
    lines, first = inspect.getsourcelines(thing)
    return f"{address}/blob/main/{path.as_posix()}#L{first}-L{first + len(lines) - 1}"


def number_animations(app, doctree):
    """Make a figure of each animation that has a caption, so that it is numbered as others are."""
    for count, found in enumerate(list(doctree.findall(nodes.raw))):
        parts = ANIMATION.fullmatch(found.astext().strip())
        if parts is None:
            continue
        caption = nodes.inline("", unescape(parts[2]), classes=["tex2jax_process"])
        figure = nodes.figure("", ids=[f"animation-{count}"])
        figure += nodes.raw("", parts[1], format="html")
        figure += nodes.caption("", "", caption)
        found.replace_self(figure)


def tabulate_parameters(app, doctree):
    """Make a table of a function's parameters: name and type, and what it is."""
    for field in list(doctree.findall(nodes.field)):
        body = field[-1]
        items = body[0] if len(body) and isinstance(body[0], nodes.bullet_list) else [body]
        if field[0].astext() != "Parameters" or not all(len(item) for item in items):
            continue
        rows = nodes.tbody()
        for item in items:
            named, *rest = item.children
            words = [child.astext() for child in named]
            end = words.index(" – ") if " – " in words else len(words)
            kind = [child.deepcopy() for child in named[2 : max(end - 1, 2)]]
            said = nodes.paragraph("", "", *(child.deepcopy() for child in named[end + 1 :]))
            name = [nodes.paragraph("", "", named[0].deepcopy())]
            name += [nodes.paragraph("", "", *kind)] if kind else []
            rows += nodes.row("", nodes.entry("", *name), nodes.entry("", said, *rest))
        group = nodes.tgroup("", *(nodes.colspec(colwidth=w) for w in (30, 70)), rows, cols=2)
        body.children = []
        body += nodes.table("", group, classes=["companion-parameters"])


def about_the_page(app, pagename, templatename, context, doctree):
    """A description for search engines, and the card that is shown where a page is linked."""
    if doctree is None:
        return
    if "companion-live" in context.get("body", ""):
        app.add_js_file("live.js")  # of this page only
    first = next((p.astext() for p in doctree.findall(nodes.paragraph) if _is_prose(p)), "")
    words = " ".join(first.split())
    words = words if len(words) <= 200 else words[:200].rpartition(" ")[0] + " …"
    title = re.sub(r"<[^>]*>", "", context.get("title", ""))
    tags = [("name", "description", words), ("property", "og:title", title)]
    tags += [("property", "og:description", words), ("property", "og:type", "article")]
    tags.append(("property", "og:site_name", app.config.html_title or app.config.project))
    if base := app.config.html_baseurl:
        tags.append(("property", "og:url", f"{base}{pagename}.html"))
        if (Path(app.srcdir) / publish.PICTURE).is_file():
            tags.append(("property", "og:image", f"{base}{publish.CARD}"))
            tags.append(("property", "og:image:alt", publish.SHOWN))
            tags.append(("name", "twitter:card", "summary_large_image"))
    context["metatags"] += "".join(
        f'\n<meta {kind}="{name}" content="{escape(value, quote=True)}" />'
        for kind, name, value in tags
        if value
    )


def list_titles(app, pagename, templatename, context, doctree):
    """Make the sidebar of the pages' titles alone, from the start.

    Sphinx copies all that a page holds, every function of the API, into the sidebar of every page,
    and then drops what is no title.
    """
    whole, env = context.get("toctree"), app.env

    def toctree(**asked):
        if not asked.get("titles_only"):
            return whole(**asked)
        kept, env.tocs = env.tocs, _titles(env)
        try:
            return whole(**asked)
        finally:
            env.tocs = kept

    context["toctree"] = toctree


@cache
def _titles(env):
    """The contents of all pages, each cut to its title unless there are pages below it."""
    cut = {}
    for name, contents in env.tocs.items():
        cut[name] = contents
        if not any(contents.findall(addnodes.toctree)):
            items = [item.copy() for item in contents]
            for item, whole in zip(items, contents, strict=True):
                item += whole[0].deepcopy()
            cut[name] = nodes.bullet_list("", *items)
    return cut


def _is_prose(paragraph):
    return isinstance(paragraph.parent, nodes.section)


_kept: dict[str, list[str]] = {}


def before_napoleon(app, what, name, obj, options, lines):
    """Mark formulas, give what follows a section its heading, and keep |gap| as it is."""
    lines[:] = [_bars(line) for line in headed(marked("\n".join(lines)).split("\n"))]
    _kept[name] = list(lines)


def after_napoleon(app, what, name, obj, options, lines):
    """Take back what Napoleon did to a value: it reads "Residual: ..." as a type."""
    if what in ("property", "attribute", "data"):
        lines[:] = _kept[name]


def by_last_name(app, env, node, contnode):
    """Resolve `companion.verify` to the documented object of that name, wherever it is.

    Of several, that of the kind that is asked for; then the one that lies highest, since a room's
    face is above its modules, and a function above a method.
    """
    if node.get("refdomain") != "py":
        return None
    domain, target = env.get_domain("py"), node["reftarget"]
    kind = {"func": "function", "meth": "method", "mod": "module"}.get(node["reftype"], "class")
    for parts in (target.split(".")[-2:], target.split(".")[-1:]):
        end = "." + ".".join(parts)
        found = [name for name in _ending(domain).get(parts[-1], []) if name.endswith(end)]
        found = [name for name in found if domain.objects[name].objtype == kind] or found
        highest = min((name.count(".") for name in found), default=0)
        found = [name for name in found if name.count(".") == highest]
        if len(found) == 1:
            entry = domain.objects[found[0]]
            return make_refnode(
                app.builder, node["refdoc"], entry.docname, entry.node_id, contnode, found[0]
            )
    # What is internal has no place to lead to, and stands as text; a name that is nowhere is wrong.
    return contnode if target.rpartition(".")[2] in internal_names() else None


@cache
def _ending(domain):
    """The names of all documented objects under their last words; all pages are read by now."""
    names: dict[str, list[str]] = {}
    for name in domain.objects:
        names.setdefault(name.rpartition(".")[2], []).append(name)
    return names


@cache
def internal_names():
    """All modules, functions, classes and types of the package, on pages or not."""
    found, package = {"companion"}, Path(companion.__file__).parent
    for path in package.rglob("*.py"):
        found |= {path.stem, path.parent.name}
        tree = ast.parse(path.read_text("utf-8"))
        found |= {getattr(node, "name", "") for node in ast.walk(tree)}
        found |= {getattr(t, "id", "") for n in tree.body for t in getattr(n, "targets", ())}
    return found


def headed(lines):
    """Napoleon reads on in a section until the next heading: examples and sources need one.

    >>> headed(["Raises", "------", "ValueError", "    If so.", "", ">>> 1", "1"])[5:7]
    ['Examples', '--------']
    """
    result: list[str] = []
    section = False
    for number, line in enumerate(lines):
        following = lines[number + 1] if number + 1 < len(lines) else ""
        first = bool(line.strip()) and not line.startswith(" ") and not _text(result[-1:])
        if UNDERLINE.fullmatch(following):
            section = True
        elif section and first and not following.startswith(" "):
            heading = "Examples" if line.startswith(">>>") else "Notes"
            result += [heading, "-" * len(heading), ""]
            section = False
        result.append(line)
    return result


def _text(lines):
    return any(line.strip() for line in lines)


def _bars(line):
    if line.lstrip().startswith((">>>", "...")):
        return line
    parts = re.split(r"(``.*?``|:math:`[^`]*`)", line)
    return "".join(p if p.endswith("`") else p.replace("|", r"\|") for p in parts)
