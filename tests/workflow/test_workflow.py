"""The command that makes the book, on toy chapters: what runs, is said, and is left behind."""

import json
import os
import re
import resource
import shutil
import subprocess
import sys
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path

import pytest
from fontTools.ttLib import TTFont

from companion.book.claims import CLAIM, Claim
from tests.workflow.conftest import make_toy
from workflow import execute
from workflow.finish import finish, light_icons
from workflow.pages import ledger
from workflow.progress import Problem
from workflow.project import (
    Project,
    declared_parameters,
    digest,
    repository_address,
    sealed,
    site_address,
    unsealed,
    write,
)
from workflow.site import standalone
from workflow.stage import fill_page, prepare

RAISES = "values = [1, 2]\nraise RuntimeError('the pipe is blocked')"


def processor_time():
    """Seconds of all processes that were waited for: a loaded machine has the same."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_nothing_changed_executes_nothing_and_takes_seconds(made):
    before = made.executions()
    for path in (made.root / "notebooks").iterdir():
        path.touch()
    started = processor_time()
    status, output = made.until_claims()
    assert status == 0 and "All 4 claims hold" in output
    assert made.executions() == before
    assert output.count("(unchanged)") == 2
    assert processor_time() - started < 10


@pytest.mark.parametrize("file", ["companion/book/claims.py", "requirements/book.lock"])
def test_a_changed_package_or_lock_makes_every_chapter_stale(made, file):
    assert all(map(Project(made.root).current, ("one", "two")))
    with (made.root / file).open("a") as changed:
        changed.write("\n")
    assert not any(map(Project(made.root).current, ("one", "two")))


def test_a_changed_chapter_alone_is_stale(made):
    made.write("two", ["1 + 1"])
    assert [*map(Project(made.root).current, ("one", "two"))] == [True, False]


def test_a_change_that_was_taken_back_executes_nothing(made):
    before, notebook = made.executions(), made.root / "notebooks" / "one.ipynb"
    source = notebook.read_text()
    made.write("one", [RAISES])
    project = Project(made.root)
    project.stamp()
    notebook.write_text(source)
    status, output = made.until_claims()
    assert status == 0, output
    assert made.executions() == before


def test_a_parameter_executes_what_takes_it(made):
    before = made.executions()
    status, output = made.until_claims("--set", "two.seed=3")
    assert status == 1 and "drifted: two/second in two, cell 6 is 3.0, was 1.0" in output
    assert made.executions()["one"] == before["one"]
    assert made.claims()["claims"][-1]["seed"] == 3


def test_what_took_longest_goes_first_and_the_last_where_none_has_run(made, tmp_path):
    project = Project(made.root)
    assert project.priority("two") == project.run("two")["seconds"]
    unmade = Project(made.root, output=tmp_path)
    assert [*map(unmade.priority, ("one", "two"))] == [1, 2]


@pytest.mark.slow
def test_chapters_are_executed_by_their_priority(tmp_path):
    took = {"one": 2.0, "two": 4.0, "three": 1.0, "four": 3.0}
    toy = make_toy(tmp_path / "toy", took)
    for order in (["four", "three", "two", "one"], ["two", "four", "one", "three"]):
        status, output = toy.run("--until", "execute", "--cores", "1")
        assert status == 0, output
        assert re.findall(r"/4 chapters\] (\w+)", output) == order
        for name, seconds in took.items():
            record = toy.build / "runs" / f"{name}.json"
            write(record, sealed(unsealed(record) | {"seconds": seconds}))
        (toy.root / "companion" / "more.py").touch()


@pytest.mark.slow
def test_chapters_that_fail_are_named_each_with_its_reason_and_the_others_go_on(tmp_path):
    """One raises, in one the kernel dies, and one writes where nobody should read it.

    Where chapters and kernels fork (Linux), they do, and find their libraries loaded.
    """
    toy = make_toy(tmp_path / "toy", ("one", "two", "three"))
    toy.write("one", [RAISES, "print('never')"])
    toy.write("two", ["import os\nos.kill(os.getpid(), 9)"])
    loaded = "assert ('torch' in sys.modules) == (sys.platform == 'linux')"
    ends = "import atexit\natexit.register(open, 'waited', 'w')"
    toy.write("three", [f"import os, sys\n{loaded}\nos.write(2, b'stray words')", ends])
    status, output = toy.until_claims()
    assert status == 1 and "stray words" not in output
    assert "Chapter one failed in cell 8 of 9:" in output
    assert "RuntimeError: the pipe is blocked" in output
    assert "Chapter two failed in" in output and "died" in output.lower()
    partly = toy.build / "failed" / "one.ipynb"
    assert f"The partly executed copy is {partly}" in output
    assert json.loads(partly.read_text())["cells"]
    assert list(toy.executions()) == ["three"]
    assert not (toy.root / "notebooks" / "waited").exists()  # until its kernel would have left
    toy.write("one")
    status, output = toy.run("--until", "execute", "--chapters", "one")
    assert status == 0, output
    assert not partly.exists()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--tier", "huge"], "There is no tier 'huge'; choose one of smoke, book, paper."),
        (["--set", "sede=3"], "Chapter one has no parameter 'sede'; it has tier, seed."),
        (["--set", "two.sede=3"], "Chapter two has no parameter 'sede'; it has tier, seed."),
        (["--set", "three.seed=3"], "There is no chapter 'three'"),
        (["--set", "seed"], "--set takes name=value"),
        (["--chapters", "three"], "There is no chapter 'three'; _toc.yml lists 1 one, 2 two."),
        (["--reference", "--tier", "smoke"], "use --reference without --tier"),
        (["--reference", "--runs", "6"], "--runs must be 1 to 5"),
    ],
)
def test_a_wrong_name_is_refused_in_one_sentence_before_anything_runs(toy, options, sentence):
    status, output = toy.run(*options)
    assert status == 2 and sentence in output and len(output.splitlines()) == 1
    assert not toy.build.exists()


def test_a_listed_chapter_that_does_not_exist_is_named(toy):
    (toy.root / "notebooks" / "two.ipynb").unlink()
    status, output = toy.run()
    assert status == 2 and output == "_toc.yml lists notebooks/two.ipynb, which does not exist.\n"


def test_an_output_folder_that_cannot_be_written_is_named(toy, tmp_path):
    taken = tmp_path / "taken"
    taken.write_text("a file")
    status, output = toy.run("--output", str(taken / "below"))
    assert status == 2 and len(output.splitlines()) == 1
    assert output.startswith(f"Cannot write to the output folder {taken / 'below'}: ")
    assert taken.read_text() == "a file" and not toy.build.exists()


def test_tiers_are_built_apart_and_without_drift(made):
    status, output = made.until_claims("--tier", "smoke")
    assert status == 0, output
    smoke = json.loads((made.build / "smoke" / "claims.json").read_text())
    assert smoke["claims"][0]["value"] == 1.0 and made.claims()["claims"][0]["value"] == 2.0


def test_one_chapter_can_be_executed_and_checked_alone(made):
    made.write("one", ["claims.record('one/new', 'New.', 1, at_most=0, source='this companion')"])
    status, output = made.run("--chapters", "one")
    assert status == 1
    assert "Claim does not hold: one/new in one, cell 8" in output and "(new)" in output
    assert "1 claim is new: `make reference CHAPTERS='one'` lists it." in output
    assert "two" not in output


def test_planted_faults_fail_the_book_and_are_named(made):
    for name, changes in {
        "one": [("at_most=3", "at_most=1"), ("float(", "1.5 * float(")],
        "two": [("two/first", "one/first"), ("two/second", "two/third")],
    }.items():
        path = made.root / "notebooks" / f"{name}.ipynb"
        text = path.read_text()
        for old, new in changes:
            text = text.replace(old, new)
        path.write_text(text)
    status, output = made.until_claims()
    assert status == 1
    for sentence in (
        "does not hold: one/first in one, cell 5",
        "made twice: one/first",
        "drifted: one/second",
        "missing: two/second",
        "not listed: two/third",
    ):
        assert f"Claim {sentence}" in output, output
    assert made.until_claims()[0] == 1, "a failed check must fail again"


def test_parameters_are_read_with_their_defaults(toy):
    found = declared_parameters(toy.root / "notebooks" / "one.ipynb")
    assert found == {"tier": "book", "seed": 1}
    notebook = json.loads((toy.root / "notebooks" / "one.ipynb").read_text())
    for cell in notebook["cells"]:
        cell["metadata"] = {}
    (toy.root / "notebooks" / "one.ipynb").write_text(json.dumps(notebook))
    with pytest.raises(Problem, match="exactly one cell tagged parameters: found 0"):
        declared_parameters(toy.root / "notebooks" / "one.ipynb")


def test_digests_follow_names_and_contents_but_not_times(tmp_path):
    (tmp_path / "a").write_text("1")
    first = digest(tmp_path)
    (tmp_path / "a").touch()
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "b").write_text("2")
    assert digest(tmp_path) == first
    (tmp_path / "a").rename(tmp_path / "c")
    assert digest(tmp_path) != first


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ("https://example.org/people/book.git", "https://example.org/people/book"),
        ("git@example.org:people/book.git", "https://example.org/people/book"),
        ("https://user:secret@example.org/people/book.git", None),
        ("/somewhere/else", None),
        ("", None),
    ],
)
def test_the_repository_address_is_a_public_one_or_none(monkeypatch, tmp_path, given, address):
    monkeypatch.setenv("REPOSITORY_URL", given)
    assert repository_address(tmp_path) == address


def test_a_chapter_depends_on_the_core_and_its_own_study(toy):
    """Touching one study re-executes one chapter; touching the core re-executes all."""
    studies = toy.root / "companion" / "studies"
    for name in ("", "dots", "lines"):
        (studies / name).mkdir(parents=True, exist_ok=True)
        (studies / name / "__init__.py").write_text('"""A study."""\n')
    toy.write("one", ["from companion.studies import dots", "%time 1"])
    toy.write("two", ["import companion.studies.lines as lines"])
    before = {name: Project(toy.root).key(name) for name in ("one", "two")}
    assert list(before["one"]["studies"]) == ["dots"]
    assert list(before["two"]["studies"]) == ["lines"]

    def changed(path, text):
        old, _ = path.read_text(), path.write_text(text)
        project = Project(toy.root)
        found = {name for name in before if project.key(name) != before[name]}
        path.write_text(old)
        return found

    assert changed(studies / "dots" / "__init__.py", "x = 1\n") == {"one"}
    assert changed(studies / "lines" / "__init__.py", "x = 1\n") == {"two"}
    assert changed(studies / "__init__.py", "x = 1\n") == {"one", "two"}
    assert changed(toy.root / "companion" / "book" / "charts.py", "x = 1\n") == {"one", "two"}


@pytest.mark.parametrize("category", ["DeprecationWarning", "FutureWarning"])
def test_a_chapter_shows_no_warning_of_torch_about_itself(category):
    code = "import sys, warnings; from warnings import warn\n"
    code += f"for words in sys.argv[1:]: warn(words, {category})"
    words = ["`torch.jit.script` is deprecated. Please switch.", "Something else."]
    settings = os.environ | execute.QUIET
    command = [sys.executable, "-c", code, *words]
    said = subprocess.run(command, env=settings, capture_output=True, text=True).stderr
    assert "Something else." in said and "torch" not in said


def test_a_downloaded_chapter_brings_its_package(toy, tmp_path):
    cells = json.loads(standalone(Project(toy.root), "one"))["cells"]
    assert [cell["cell_type"] for cell in cells[:2]] == ["markdown", "code"]
    code = cells[1]["source"] + "\nfrom companion.book import claims, tiers\nprint(tiers.__file__)"
    command = [sys.executable, "-I", "-S", "-c", code]  # without this repository, without packages
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert str(toy.root) not in result.stdout and "tiers.py" in result.stdout


def staged(outputs, tags=()):
    cell = {"cell_type": "code", "metadata": {"tags": list(tags)}, "outputs": outputs}
    figures, notebook = {}, {"metadata": {}, "cells": [cell]}
    problems = prepare(notebook, "one", figures)
    return problems, cell, figures, notebook["cells"]


def picture(**about):
    return {"data": {"image/svg+xml": "<svg/>"}, "metadata": {"companion": about}}


def test_staging_names_the_figure_without_words_and_the_cell_with_stray_output():
    assert "one, cell 1 has no alternative text" in staged([picture()])[0][0]
    assert "one figure in a cell" in staged([picture(alt="A."), picture(alt="B.")])[0][0]
    warning = {"name": "stderr", "text": ["Words: careful"]}
    assert staged([warning])[0] == ["Cell 1 of one writes to stderr: Words: careful"]
    problems, cell, figures, _ = staged([picture(alt="A.", caption="C.", name="f")])
    assert not problems and figures["f"]["image"] == b"<svg/>"
    described = {"image": {"alt": "A."}, "figure": {"caption": "C.", "name": "f"}}
    assert cell["metadata"]["mystnb"] == described
    assert "remove-cell" in staged([], ["injected-parameters"])[1]["metadata"]["tags"]


def claimed(id, value):
    claim = Claim(id, "It holds.", value, "at_most", 1.0, None, "Theorem 1")
    return {"data": {CLAIM: asdict(claim), "text/html": claim._repr_html_()}, "metadata": {}}


def test_a_caption_belongs_to_the_figure_and_to_nothing_else_of_its_cell():
    said = {"data": {"text/plain": "N = 3"}, "metadata": {}}
    problems, _, _, cells = staged([said, picture(alt="A.", caption="C."), said])
    assert not problems and len(cells) == 3
    captioned = [cell for cell in cells if "figure" in cell["metadata"].get("mystnb", {})]
    assert [len(cell["outputs"]) for cell in cells] == [1, 1, 1]
    assert [cell["outputs"][0]["metadata"] != {} for cell in captioned] == [True]
    # MyST-NB drops a cell without source, and its outputs with it.
    assert all(cell["source"] for cell in cells[1:])
    assert all("remove-input" in cell["metadata"]["tags"] for cell in cells[1:])


def test_claims_leave_a_line_that_leads_to_their_rows():
    _, _, _, [cell] = staged([claimed("one/a", 0.5), claimed("one/b", 2.0)])
    [line] = cell["outputs"]
    page = line["data"]["text/html"]
    assert "✗ 1 of claims" in page and "companion-claim " not in page
    assert "<a href='#claim-one-a'>1</a>, <a href='#claim-one-b'>2</a>" in page
    _, _, _, [cell] = staged([claimed("one/a", 0.5)])
    assert "✓ claim <a" in cell["outputs"][0]["data"]["text/html"]


def test_the_data_of_a_live_figure_stand_behind_its_picture():
    live = {"figure": "plane", "data": {"along": 2.0, "words": "</script>"}}
    _, _, _, cells = staged([picture(alt="A.", caption="C.", live=live)])
    script = cells[1]["outputs"][0]["data"]["text/html"]
    assert "data-figure='plane'" in script and script.count("</script>") == 1


PAGE = """<script defer src="_static/scripts/fontawesome.js?digest=1"></script>
    <script src="searchindex.js"></script>
<section id="proof-content">a</section><div class="proof admonition" id="proof">b</div>
<div class="proof theorem" id="one">c</div><figure class="align" id="one">d</figure>"""


def test_pages_load_no_more_than_they_need_and_name_each_place_once():
    page = finish(PAGE, "notebooks/one.html")
    assert "<script" not in page and page.count('id="one"') == 1
    assert 'id="proof' not in page
    assert "searchindex" in finish(PAGE, "search.html")


FORMULA = '<span class="math notranslate nohighlight">\\(a\\)</span>'
WHOLE = f'<span class="companion-whole">{FORMULA}{{}}</span>'
OPENED = f'<span class="companion-whole">({FORMULA}{{}}</span>'
CODE = '<code class="literal"><span class="pre">{}</span></code>'


@pytest.mark.parametrize(
    ("given", "mended"),
    [
        # Punctuation stays with its formula.
        (f"{FORMULA}, {FORMULA}’s.", f"{WHOLE.format(',')} {WHOLE.format('’s.')}"),
        (f"{FORMULA} b {FORMULA}-c {FORMULA}).", f"{FORMULA} b {FORMULA}-c {WHOLE.format(').')}"),
        (f"({FORMULA} b ({FORMULA}).", f"{OPENED.format('')} b {OPENED.format(').')}"),
        # The name of a VAE does, too, where it is running text.
        ("<p>VAE-1,</p>", '<p><span class="companion-whole">VAE-1</span>,</p>'),
        ('<a title="VAE-1"><code>VAE-1</code></a>',) * 2,
        ('<div class="math notranslate">\\[VAE-1\\]</div>',) * 2,
        (f"{FORMULA}?", WHOLE.format("?")),
        # A link begins with a word.
        ("Solution to<a> E", "Solution to <a>E"),
        # Long names in code break between their words.
        (
            CODE.format("models.Model.gap"),
            CODE.format('models.<wbr class="in-table">Model.<wbr class="in-table">gap'),
        ),
        (
            CODE.format("models.Model.sum_in_closed_form"),
            CODE.format("models.<wbr>Model.<wbr>sum_<wbr>in_<wbr>closed_<wbr>form"),
        ),
        (
            '<span class="n">a</span><span class="o">.</span><span class="n">b</span>',
            '<span class="n">a</span><span class="o">.</span><wbr><span class="n">b</span>',
        ),
        (
            CODE.format("datasets.wine(standardize=True)"),
            CODE.format("datasets.<wbr>wine(<wbr>standardize=<wbr>True)"),
        ),
        (CODE.format("x.mean_of"), CODE.format("x.mean_of")),
        # An empty cell at the head of a table is no header, for who hears the page.
        (
            '<tr><th class="head"><p></p></th><th style="x">name</th><th> </th></tr>',
            '<tr><td class="head"></td><th style="x">name</th><td></td></tr>',
        ),
    ],
)
def test_pages_are_mended(given, mended):
    assert finish(given, "one.html") == mended


def test_a_table_that_scrolls_does_so_by_keys():
    page = finish("<div style='overflow-x:auto'><table></table></div>", "one.html")
    assert 'tabindex="0"' in page


def test_only_the_icons_that_pages_show_are_kept(tmp_path):

    theme = Path(find_spec("pydata_sphinx_theme").origin).parent
    static = theme / "theme" / "pydata_sphinx_theme" / "static"
    shutil.copytree(static, tmp_path / "_static")
    (tmp_path / "index.html").write_text('<i class="fa-solid fa-bars"></i>')
    assert 1 <= light_icons(tmp_path) < 40
    fonts = tmp_path / "_static" / "vendor" / "fontawesome" / "webfonts"
    assert {path.suffix for path in fonts.iterdir()} == {".woff"}
    assert all(path.stat().st_size < 20_000 for path in fonts.iterdir())
    assert 0xF0C9 in TTFont(fonts / "fa-solid-900.woff").getBestCmap()
    sheet = (tmp_path / "_static" / "styles" / "pydata-sphinx-theme.css").read_text()
    assert ".fa-bars:before" in sheet and ".fa-zhihu:before" not in sheet
    assert "fa-solid-900.woff)" in sheet and ".woff2" not in sheet


@pytest.mark.parametrize(
    ("repository", "site", "address"),
    [
        ("https://github.com/Someone/book", "", "https://someone.github.io/book/"),
        ("https://example.org/group/book", "", None),
        ("", "https://example.org/here", "https://example.org/here/"),
        ("https://github.com/Someone/book", "http://example.org/here", None),
    ],
)
def test_the_address_of_the_site_is_known_or_left_out(
    monkeypatch, tmp_path, repository, site, address
):
    monkeypatch.setenv("REPOSITORY_URL", repository)
    monkeypatch.setenv("SITE_URL", site)
    assert site_address(tmp_path) == address


@pytest.mark.parametrize(
    ("source", "folded"),
    [
        ('claims.record("a/b", "It holds.", gap, at_most=1e-12, source="Theorem 1")', True),
        ('figure = charts.image_grid(x, (8, 8))\nshow(figure, alt="Digits.")', True),
        ('claims.note("a/b", 3)\nclaims.say("{a/b}")', True),
        ('gap = f - s\nclaims.record("a/b", "It holds.", gap, at_most=1, source="T")', False),
        ("report = verify(model, parameters, q, x)", False),
        ("value = claims.record", False),
        ('words = [(1, "a")]\nshow(figures.maps(words), alt="A.")\nfit.final', True),
        ("seed = 3", False),
        ("fit.final", False),
        ("", False),
        ("%matplotlib inline", False),
    ],
)
def test_cells_that_only_record_or_draw_are_folded(source, folded):
    cell = {"cell_type": "code", "metadata": {}, "outputs": [], "source": source}
    prepare({"metadata": {}, "cells": [cell]}, "one", {})
    assert ("hide-input" in cell["metadata"]["tags"]) == folded


def test_what_a_reader_gives_is_text_in_the_ledger(made):
    """A seed is shown as it was given, with no sign left that Markdown or HTML would read."""
    collected = made.claims()
    for claim in collected["claims"]:
        claim["seed"] = (
            "3<script>alert(1)</script>`[x](javascript:y)|*z*\n# {{one/first}} $x$ é, -1"
        )
    pages = ledger(Project(made.root), collected)
    lines = [line for text in pages.values() for line in text.splitlines()]
    shown = [line for line in lines if "claims, seed" in line]
    given = "3?script?alert?1???script???x??javascript:y???z??? ??one?first?? ?x? é, -1"
    assert len(shown) == 2 and all(f"2 claims, seed {given}, " in line for line in shown)


def test_pages_take_recorded_values_and_refuse_unknown_ones():
    collected = {"values": {"one/gap": 3e-15}}
    page = fill_page("{{one/gap:.1e}} nats", "index.md", collected, {})
    assert page == "3.0\u00a0×\u00a010⁻¹⁵ nats"
    with pytest.raises(Problem, match=r"book/index.md: no value was recorded as 'one/gone'"):
        fill_page("{{one/gone}}", "index.md", collected, {})
    with pytest.raises(Problem, match="asks for the figure 'gone'"):
        fill_page("{{figure: gone}}", "index.md", collected, {})
