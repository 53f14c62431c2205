"""A chapter from the template: it runs, its claims hold, and it keeps every convention."""

import json
import shutil

import pytest
import yaml

from companion.book import claims
from tests.book import test_dialect, test_notebooks
from workflow import exercises
from workflow.new_chapter import listed, new_chapter
from workflow.progress import Problem
from workflow.project import HOME, Project


@pytest.fixture
def book(tmp_path):
    shutil.copy(HOME / "_toc.yml", tmp_path)
    (tmp_path / "notebooks").mkdir()
    return tmp_path


def test_a_new_chapter_keeps_the_conventions_and_its_claims_hold(book, monkeypatch, capsys):
    path = new_chapter(Project(book), "my-own-topic")
    notebook = json.loads(path.read_text("utf-8"))
    assert test_notebooks.faults(notebook) == []
    assert test_dialect.faults(notebook) == []
    assert "my-topic" not in path.read_text() and "# My own topic" in path.read_text()
    monkeypatch.setattr(claims, "_claims", {})
    namespace: dict[str, object] = {}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            exec(exercises.source(cell), namespace)
    made = claims._claims.values()
    assert len(made) == 6 and all(claim.holds for claim in made)
    assert {claim.id.partition("/")[0] for claim in made} == {"my-own-topic"}


def test_it_stands_last_of_the_chapters(book):
    before = Project(book).chapters
    new_chapter(Project(book), "first")
    new_chapter(Project(book), "second")
    assert Project(book).chapters == [*before, "first", "second"]
    captions = [
        part["caption"] for part in yaml.safe_load((book / "_toc.yml").read_text())["parts"]
    ]
    assert captions[-2:] == ["Own chapters", "Reproduce and reuse"]


@pytest.mark.parametrize("name", ["My Topic", "a_b", "-a", "../a", "a--b", ""])
def test_names_that_are_no_files_are_refused(book, name):
    before = (book / "_toc.yml").read_text()
    with pytest.raises(Problem, match="small letters, digits and single hyphens"):
        new_chapter(Project(book), name)
    assert (book / "_toc.yml").read_text() == before


def test_a_name_that_is_taken_is_refused(book):
    with pytest.raises(Problem, match="There is a chapter 'theorem-1' already"):
        new_chapter(Project(book), "theorem-1")


def test_a_table_of_contents_of_another_form_is_left_alone():
    with pytest.raises((Problem, yaml.YAMLError)):
        listed("chapters:\n- file: a\n", "b")
