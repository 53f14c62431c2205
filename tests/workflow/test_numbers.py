"""Numbers of chapters come from `_toc.yml`, in the sources and on the site."""

import re

import pytest

from workflow.numbers import numbered, sources
from workflow.project import Project, imported_studies

PROJECT = Project()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("see [Chapter 9](b.ipynb).", "see [Chapter 2](b.ipynb)."),
        ("see [the chapter 9](b.ipynb#part)", "see [the chapter 2](b.ipynb#part)"),
        ("| [9. A title](notebooks/b.ipynb) |", "| [2. A title](notebooks/b.ipynb) |"),
        ("[9](b.ipynb), [9](a.ipynb)", "[2](b.ipynb), [1](a.ipynb)"),
        ("[9](unknown.ipynb), [9](page.md)", "[9](unknown.ipynb), [9](page.md)"),
        ("[Theorem 9](b.ipynb)", "[Theorem 9](b.ipynb)"),
        ("[9 lives](b.ipynb)", "[9 lives](b.ipynb)"),
    ],
)
def test_a_link_carries_the_number_of_its_chapter(text, expected):
    assert numbered(text, {"a": 1, "b": 2}) == expected


def test_the_sources_are_in_step_with_the_table_of_contents():
    late = [path.name for path, text in sources(PROJECT) if path.read_text("utf-8") != text]
    assert not late, f"run `python -m workflow.numbers`: {late}"


def test_no_text_states_the_number_of_a_chapter_without_a_link():
    bare = re.compile(r"(?<!\[)(?<!\[the )(?<!--)\b[Cc]hapters?[ \n]\d")
    found = [(path.name, m.group()) for path, text in sources(PROJECT) for m in bare.finditer(text)]
    assert not found


def test_the_order_lives_in_the_table_of_contents_alone():
    """Chapters change places: numbers follow, no file is renamed."""
    turned = Project()
    vars(turned)["chapters"] = list(reversed(PROJECT.chapters))
    text = dict(sources(turned))[turned.root / "README.md"]
    first = re.search(r"\| \[(\d+)\. Entropy sums at a glance\]", text)
    assert first is not None and int(first.group(1)) == len(turned.chapters)


def test_a_study_belongs_to_one_chapter():
    owners = {}
    for chapter in PROJECT.chapters:
        used = imported_studies(PROJECT.notebook(chapter))
        assert len(used) <= 1, f"{chapter} uses {used}: what two chapters need is core"
        for study in used:
            assert owners.setdefault(study, chapter) == chapter, f"two chapters use {study}"
    folders = {
        path.parent.name for path in (PROJECT.root / "companion/studies").glob("*/__init__.py")
    }
    assert folders == set(owners), "a study that no chapter imports"


def test_chapters_are_chosen_by_number_or_start_of_name():
    first, second, *_ = PROJECT.chapters
    assert PROJECT.select(["2", first[:8]]) == [first, second]
    assert PROJECT.select([]) == PROJECT.chapters


def test_reading_times_count_prose_without_solutions():
    from workflow import stage
    from workflow.progress import Problem
    from workflow.project import Project

    prose = "word " * 1500
    cells = [{"cell_type": "markdown", "source": [prose, "\n"]}]
    folded = {"metadata": {"tags": ["solution"]}, "source": ["long " * 3000]}
    cells += [{"cell_type": "markdown", **folded}]
    cells += [{"cell_type": "code", "source": ["x = 1\n" * 3000]}]
    assert stage.minutes({"cells": cells}) == 10
    assert stage.minutes({"cells": []}) == 5
    text = stage.timed("{{minutes: theorem-1}} min", "reading.md", Project())
    assert 10 <= int(text.partition(" ")[0]) <= 60
    with pytest.raises(Problem, match="asks how long 'theorem-9' takes"):
        stage.timed("{{ minutes: theorem-9 }}", "reading.md", Project())


def test_the_core_path_is_marked():
    from workflow.project import HOME

    reading = (HOME / "book" / "reading.md").read_text("utf-8")
    index = (HOME / "book" / "index.md").read_text("utf-8")
    path = re.findall(r"\{\{minutes: ([\w-]+)\}\}", reading)
    assert len(path) == 5 and index.count("●") == 5
    assert all(f"notebooks/{name}.ipynb) ● |" in index for name in path)
