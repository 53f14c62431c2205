"""The reference of the package: every public name stands on one page, and internal ones on none."""

from importlib import import_module
from types import ModuleType

import pytest

import companion
from workflow import extension, manual
from workflow.project import HOME

PAGES = manual.pages(HOME / "companion")
ROOMS = ("models", "families", "fit", "fit.maximise", "training", "datasets", "theory.variational")


def documented(page):
    """The dotted names that a page's directives take up."""
    found, module = [], ""
    for line in PAGES[page].splitlines():
        kind, _, rest = line.strip().partition(":: ")
        if kind in (".. autofunction", ".. autoclass"):
            found.append(rest)
        elif kind == ".. automodule":
            module = rest
        elif line.strip().startswith(":members: "):
            names = line.strip().removeprefix(":members: ").split(", ")
            found += [f"{module}.{name}" for name in names]
    return found


ALL = [name for page in PAGES for name in documented(page)]


def resolve(name):
    module, _, last = name.rpartition(".")
    return getattr(import_module(module), last)


def test_every_public_name_stands_on_one_page():
    assert len(ALL) == len(set(ALL))
    places = [("companion", name) for name in companion.__all__]
    for room in ROOMS:
        module = import_module(f"companion.{room}")
        names = getattr(module, "__all__", None) or [n for n in vars(module) if n[0].isupper()]
        places += [(module.__name__, name) for name in names]
    shown = {id(resolve(name)) for name in ALL}
    missing = []
    for module, name in places:
        thing = resolve(f"{module}.{name}")
        if isinstance(thing, type) or callable(thing):
            if getattr(thing, "__module__", "").startswith("companion") and id(thing) not in shown:
                missing.append(f"{module}.{name}")
    assert not missing


def test_what_is_listed_exists_and_says_what_it_is():
    for name in ALL:
        thing = resolve(name)
        assert not isinstance(thing, ModuleType), name
        if callable(thing):
            assert thing.__doc__ and thing.__module__.startswith("companion."), name


#: Their examples stand in the book: what downloads, reads a reader's files, draws, or needs Pyro.
ELSEWHERE = ("verify_pyro", "datasets.images", "datasets.table", "book.", "datasets.celeba")
ELSEWHERE += ("datasets.mnist", "datasets.susy", "fit.Trace", "fit.ConvergenceWarning")
ABSTRACT = ("families.Family", "theory.variational.Variational")


def test_each_name_has_an_example():
    makers = {k: v for task in manual.TASKS for k, v in task.results.items()}
    for name in (name.removeprefix("companion.") for name in ALL):
        maker = makers.get(name, name)
        if not maker.startswith(ELSEWHERE) and name not in ABSTRACT:
            assert ">>> " in resolve(f"companion.{maker}").__doc__, name


def test_each_name_has_a_place_that_other_sites_can_refer_to(site):
    from sphinx.util.inventory import InventoryFile

    with (site / "objects.inv").open("rb") as file:
        names = InventoryFile.load(file, "", lambda base, path: base + path)
    described = {name for kind in names if kind.startswith("py:") for name in names[kind]}
    assert set(ALL) <= described


def test_modules_that_readers_do_not_import_are_not_listed():
    words = "\n".join(PAGES.values())
    for internal in (
        "support.tree",
        "support.checks",
        "support.doors",
        "studies",
        "theory.solvers",
    ):
        assert internal not in words


def test_the_overview_leads_to_the_pages_in_the_order_of_tasks():
    assert list(PAGES)[1:] == [f"api/{task.page}.md" for task in manual.TASKS]
    assert all(f"({page})" in PAGES["api.md"] for page in list(PAGES)[1:])


def test_a_package_without_these_rooms_has_no_pages(tmp_path):
    (tmp_path / "__init__.py").write_text('"""A toy."""\n')
    assert list(manual.pages(tmp_path)) == ["api.md"]


@pytest.mark.parametrize(
    ("module", "name", "expected"),
    [
        ("companion", "verify", "companion/theory/identity.py"),
        ("companion.models", "PPCA", "companion/models/linear_gaussian.py"),
        ("companion.models", "PPCA.maximum_likelihood", "companion/models/linear_gaussian.py"),
        ("companion.book", "COLOURS", None),
        ("numpy", "sum", None),
    ],
)
def test_each_function_and_class_has_a_link_to_its_source(module, name, expected):
    link = extension.source_of("https://example.org/x", "py", {"module": module, "fullname": name})
    if expected is None:
        assert link is None
        return
    address, _, lines = link.partition("#")
    assert address == f"https://example.org/x/blob/main/{expected}"
    first, last = (int(line[1:]) for line in lines.split("-"))
    text = (HOME / expected).read_text("utf-8").splitlines()[first - 1 : last]
    assert f" {name.rpartition('.')[2]}" in " ".join(text[:5])
    assert extension.source_of(None, "py", {"module": module, "fullname": name}) is None
