"""A fork of fewer chapters: what its pages say of those that it deleted."""

import json
import re
import shutil

import pytest
import yaml

from workflow import stage
from workflow.project import HOME, Project
from workflow.site import sphinx

PAGE = """\
# A course

First [](notebooks/one.ipynb), then [Chapter 2](notebooks/two.ipynb) and [](notebooks/two.ipynb),
which has {prf:ref}`its-lemma`; {prf:ref}`own-lemma` is ours.

| chapter | minutes |
|---|--:|
| one | {{minutes: one}} |
| two | {{minutes: two}} |

{{figure: of-two}}

Both have {{one/first:.0f}} or {{two/first:.0f}}.

There are {{one/first:.0f}}.

::::{grid} 1 1 2 2

:::{grid-item-card} Learn it
:link: notebooks/two
:link-type: doc

It takes {{minutes: two}} minutes.
:::

:::{grid-item-card} Open it
:link: notebooks/one
:link-type: doc

This one takes {{minutes: one}} minutes.
:::
::::
"""
LEMMA = "```{prf:lemma} Own\n:label: own-lemma\n\nSee {prf:ref}`its-lemma`, [two](two.ipynb).\n```"


def without_two(made):
    """The toy book as a lecturer leaves it who deletes its second chapter."""
    shutil.copytree(HOME / "workflow", made.root / "workflow")
    (made.root / "notebooks" / "two.ipynb").unlink()
    made.write("one", ["Text\n\n" + LEMMA])
    toc = made.root / "_toc.yml"
    toc.write_text(toc.read_text().replace("  - file: notebooks/two\n", ""))
    (made.root / "book").mkdir()
    (made.root / "book" / "index.md").write_text(PAGE)
    config = yaml.safe_load((HOME / "_config.yml").read_text("utf-8"))
    del config["html"]  # the toy book has no files for it
    for name in ("html_static_path", "html_css_files", "html_js_files"):
        config["sphinx"]["config"][name] = []
    (made.root / "book" / "references.bib").touch()
    (made.root / "_config.yml").write_text(yaml.safe_dump(config))
    status, output = made.run("--until", "claims")
    assert status == 0, output
    return Project(made.root)


@pytest.mark.slow
def test_a_deleted_chapter_leaves_words_behind_and_the_rest_is_rendered(made, monkeypatch):
    project = without_two(made)
    monkeypatch.setattr(stage.pages, "generate", lambda *given: {})
    stage.stage(project)
    page = (made.build / "stage" / "index.md").read_text()
    assert "[](notebooks/one.ipynb), then *two* and *two*,\nwhich has *its-lemma*" in page
    assert "{prf:ref}`own-lemma` is ours" in page
    assert "| one | 5 |" in page and "| two |" not in page
    assert "of-two" not in page and "Both" not in page and "There are 2." in page
    cells = json.loads((made.build / "stage" / "notebooks" / "one.ipynb").read_text())["cells"]
    assert "Learn it" not in page and "This one takes 5 minutes." in page
    assert any("See *its-lemma*, two." in "".join(cell["source"]) for cell in cells)
    shown = (sphinx(project, made.build) / "index.html").read_text()  # no link is broken
    assert "There are 2." in shown


def test_where_nothing_was_deleted_a_wrong_name_stays_a_fault(made):
    from workflow import omitted

    text = {"index.md": "[](notebooks/three.ipynb), {prf:ref}`no-such`"}
    assert omitted.chapters(Project(made.root)) == {}
    same = dict(text)
    omitted.unlink(same, {})
    assert same == text


def test_the_first_page_of_a_fork_keeps_its_fences_in_pairs():
    from workflow import omitted

    text = (HOME / "book" / "index.md").read_text("utf-8")
    page = {"index.md": omitted.asking(text, {"probabilistic-pca"})}
    omitted.unlink(page, {"entropy-sums-at-a-glance": "at a glance", "is-my-elbo-right": "mine"})
    shown = page["index.md"]
    assert "is-my-elbo-right" in text and "is-my-elbo-right" not in shown
    assert "[Reproduce the papers](papers.md)\n:::" in shown, "a button that leads somewhere stays"
    assert "Learn it" not in shown and "at-a-glance" not in shown
    opened, closed = (re.findall(rf"^:::+{end}", shown, re.M) for end in (r"(?=\{)", "$"))
    assert sorted(opened) == sorted(closed) and opened
