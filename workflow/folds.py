"""Which code of a chapter is folded on its page, and which folded cells share one handle."""

import ast
import re
from typing import Any

#: What chapters draw with: `show`, and modules of figures.
DRAWING = ("charts", "figures", "sections", "show", "show_animation")
#: What an exercise's cells are tagged; they join their own kind only.
EXERCISE = {"solution", "test", "hidden-test"}
#: What a cell calls that only chooses sizes and seeds.
SETS = {
    *("tiers.pick", "range", "dict", "max", "min", "Plan"),
    *("torch.Generator", "torch.Generator().manual_seed"),
}
#: Columns of code in chapters.
WIDTH = 78
FIGURES = {"image/svg+xml", "image/png"}


def joined(cells):
    """Cells with a run of folded ones as one cell: one handle opens all code of the run.

    A run has one figure at most, since a cell has one caption. Its last cell's place counts as
    that of all: `joined` says how many they are. Tags are written into the cells that come in.
    """
    made: list[dict[str, Any]] = []
    for cell in cells:
        tags = cell["metadata"].setdefault("tags", [])
        if (only_shows(cell) or only_sets(cell)) and "hide-input" not in tags:
            tags.append("hide-input")
        last = next((one for one in reversed(made) if not _injected(one)), None)
        if last is None or _injected(cell) or not (_folded(last) and _folded(cell)):
            made.append(cell)
        elif _apart(last, cell):
            made.append(cell)
        else:
            made[made.index(last)] = _together(last, cell)
    for cell in made:
        if _folded(cell):
            cell["source"] = elided("".join(cell["source"]))
            if cell["source"].strip() == "claims.table()":  # a table needs no handle of its own
                cell["metadata"]["tags"].append("remove-input")
    return made


def elided(source):
    """Code without the sentences that its page shows elsewhere.

    A claim's statement stands in the chapter's table, a caption under its figure, an alternative
    text is the figure's own, and what a cell says is its output.

    >>> print(elided('claims.record("a/b",\\n    "It holds.", gap, at_most=1, source="T")'))
    claims.record("a/b", "…", gap, at_most=1, source="T")
    """
    try:
        calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    except SyntaxError:
        return source
    text, found = source.encode(), [word for call in calls for word in _words(call)]
    starts = [0, *(place + 1 for place, byte in enumerate(text) if byte == ord("\n"))]
    for word in sorted(found, key=lambda one: (one.lineno, one.col_offset), reverse=True):
        first = starts[word.lineno - 1] + word.col_offset
        last = starts[word.end_lineno - 1] + word.end_col_offset
        before = text[:first]
        if before.rstrip().endswith(b","):  # what is left fits behind what stands before it
            before = before.rstrip() + b" "
        text = before + '"…"'.encode() + text[last:]
    return packed(text.decode())


def packed(source):
    """Code whose claims and figures fill their lines: behind a handle few lines are better.

    >>> print(packed('claims.record(\\n    "a/b",\\n    "…",\\n    gap,\\n    at_most=1,\\n);'))
    claims.record("a/b", "…", gap, at_most=1);
    """
    lines = source.split("\n")
    for statement in reversed(ast.parse(source).body):
        first, last = statement.lineno - 1, statement.end_lineno
        text, call = "\n".join(lines[first:last]), getattr(statement, "value", None)
        if not isinstance(call, ast.Call) or not call.args or "#" in text:
            continue
        if not text.startswith(("claims.", "show(")):
            continue
        filled = _filled(source, call)
        filled[-1] += lines[last - 1].encode()[statement.end_col_offset :].decode()
        short = len(filled) < last - first and max(map(len, filled)) <= WIDTH
        if short and ast.dump(ast.parse("\n".join(filled))) == ast.dump(ast.parse(text)):
            lines[first:last] = filled
    return "\n".join(lines)


def _filled(source, call):
    """The lines of a call, each as full as its arguments allow."""
    parts = [*call.args, *call.keywords]
    parts = [" ".join((ast.get_source_segment(source, one) or "").split()) for one in parts]
    parts = [re.sub(r",? ([)\]}])", r"\1", re.sub(r"([(\[{]) ", r"\1", one)) for one in parts]
    lines = [f"{ast.unparse(call.func)}("]
    for number, part in enumerate(parts):
        part += ")" if number + 1 == len(parts) else ", "
        if len(lines[-1]) + len(part.rstrip()) > WIDTH and lines[-1].strip():
            lines.append("    ")
        lines[-1] += part
    return [line.rstrip() for line in lines]


def _words(call):
    name = ast.unparse(call.func)
    at = {"claims.record": 1, "claims.say": 0}.get(name, len(call.args))
    words = [word.value for word in call.keywords if word.arg in ("alt", "caption")]
    return [one for one in [*call.args[at : at + 1], *words] if _says(one)]


def _says(node):
    constant = isinstance(node, ast.Constant) and isinstance(node.value, str)
    return constant or isinstance(node, ast.JoinedStr)


def only_shows(cell):
    """Whether a cell only records claims or draws: readers see the result, the code is folded."""
    statements = _statements(cell)
    calls = [s for s in statements if isinstance(s, ast.Expr) and isinstance(s.value, ast.Call)]
    return bool(calls) and all(map(_shows, statements))


def only_sets(cell):
    """Whether a cell only chooses sizes and seeds: the chapter's parameters, and what follows."""
    if "parameters" in _tags(cell):
        return True
    statements = _statements(cell)
    calls = [n for one in statements for n in ast.walk(one) if isinstance(n, ast.Call)]
    names = {ast.unparse(call.func) for call in calls}
    assigns = all(isinstance(one, ast.Assign) for one in statements)
    return assigns and "tiers.pick" in names and names <= SETS


def _apart(first, second):
    kinds = [EXERCISE & {*_tags(one)} for one in (first, second)]
    opens = "setup" in _tags(first) and second.get("outputs")  # paper leaves the imports out
    return bool(kinds[0] != kinds[1] or _figures(first) + _figures(second) > 1 or opens)


def _together(first, second):
    sources = ["".join(one["source"]).rstrip() for one in (first, second)]
    tags = [*first["metadata"]["tags"], *second["metadata"]["tags"]]
    return {
        **first,
        "source": "\n\n".join(sources),
        "outputs": [*first.get("outputs", []), *second.get("outputs", [])],
        "metadata": {**first["metadata"], "tags": list(dict.fromkeys(tags))},
        "joined": first.get("joined", 1) + 1,
    }


def _tags(cell):
    return cell["metadata"].get("tags", [])


def _injected(cell):
    return "injected-parameters" in _tags(cell)


def _folded(cell):
    folded = {"hide-input", "test", "hidden-test"} & {*_tags(cell)}
    return cell["cell_type"] == "code" and bool(folded)


def _figures(cell):
    return sum(bool(FIGURES & {*output.get("data", {})}) for output in cell.get("outputs", []))


def _statements(cell):
    if cell["cell_type"] != "code":
        return []
    try:
        return ast.parse("".join(cell.get("source", ""))).body
    except SyntaxError:  # a cell with a %magic: leave it open
        return []


def _shows(statement):
    """`claims.record(...)`, `figure = charts.image_grid(...)`, words for a figure, `fit.final`."""
    if not isinstance(statement, ast.Expr | ast.Assign):
        return False
    value, found = statement.value, set(DRAWING)
    if isinstance(statement, ast.Expr):
        found |= {"claims"}
        if isinstance(value, ast.Attribute):
            return True
    else:
        try:
            ast.literal_eval(value)
            return True
        except ValueError:
            pass
    while isinstance(value, ast.Call | ast.Attribute):
        value = value.func if isinstance(value, ast.Call) else value.value
    return isinstance(value, ast.Name) and value.id in found
