"""The Python examples of README and of the prose pages run as they stand, from top to bottom."""

import re

import pytest

from workflow.project import HOME

PAGES = [
    path
    for path in [HOME / "README.md", *sorted((HOME / "book").glob("*.md"))]
    if "```python" in path.read_text("utf-8")
]


def test_there_are_examples():
    assert {"README.md", "rerun.md"} <= {path.name for path in PAGES}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_the_examples_run(path):
    blocks = re.findall(r"^```python\n(.*?)^```", path.read_text("utf-8"), re.M | re.S)
    namespace = {}
    for number, block in enumerate(blocks, 1):
        exec(compile(block, f"{path.name}, example {number}", "exec"), namespace)


@pytest.mark.parametrize("path", sorted((HOME / "book").glob("*.md")), ids=lambda path: path.name)
def test_code_of_a_page_is_as_wide_as_that_of_chapters(path):
    blocks = re.findall(r"^```(?!{)\w*\n(.*?)^```", path.read_text("utf-8"), re.M | re.S)
    assert [line for block in blocks for line in block.splitlines() if len(line) > 78] == []
