"""The faults, their weaknesses and their page; `make faults` itself runs them."""

import json

import pytest

from tests.faults.kinds import PHASES, SHORT, faults
from tests.faults.weak import COPIED, WEAKNESSES
from workflow.faults import RESULTS, page, pages
from workflow.project import HOME, Project

ROW = {
    "phase": "Sphinx",
    "fault": "stage/_config.yml",
    "how": ["cut", "removed"],
    "tried": 2,
    "survived": 2,
    "planted_in_weak_code": 2,
    "lost_in_weak_code": 1,
}


@pytest.mark.parametrize("name", WEAKNESSES)
def test_a_weakness_can_be_planted_in_the_code_as_it_is(tmp_path, name):
    weakness = WEAKNESSES[name]
    home = weakness.plant(tmp_path)
    changed = {
        path.relative_to(home).as_posix()
        for folder in COPIED
        for path in (home / folder).rglob("*.py")
        if path.read_bytes() != (HOME / path.relative_to(home)).read_bytes()
    }
    assert changed == set(weakness.changes)
    for file in changed:
        compile((home / file).read_text(), file, "exec")


def test_every_fault_has_a_weakness_and_the_short_form_one_of_each():
    known = list(faults())
    names = [(fault.phase, fault.name) for fault in known]
    assert len(set(names)) == len(names)
    assert {fault.lost_if for fault in known} == set(WEAKNESSES)
    short = [fault for fault in known if fault.short]
    assert len(short) == len(SHORT) + 4  # output, disk, two at once, cleaned beside
    assert {fault.lost_if for fault in short} == set(WEAKNESSES)
    assert {fault.phase for fault in short} == {*PHASES, "any"}


def test_the_page_tells_what_was_tried_and_what_survived():
    lost = {**ROW, "fault": "driver killed", "how": ["after 0.3 s"], "survived": 1}
    text = page({"date": "2026-01-02", "rows": [ROW, lost]})
    assert "**3 of 4 faults were survived**, 2 of 4 were lost on weakened code (2026-01-02)" in text
    assert text.count("<tr><td>✓ 2 of 2</td>") == 1 == text.count("<tr><td>✗ 1 of 2</td>")
    assert '<code class="literal">stage/_config.yml</code><br><small>Sphinx · cut, removed' in text
    assert "<td>driver killed<br><small>Sphinx · after 0.3 s</small></td><td>1 of 2</td>" in text


def test_a_book_without_a_record_has_no_page(tmp_path):
    assert pages(Project(tmp_path)) == {}


def test_the_record_is_of_the_faults_that_there_are_and_all_were_survived():
    """And each was seen lost where the code is weakened."""
    rows = json.loads((HOME / RESULTS).read_text("utf-8"))["rows"]
    listed = {(row["phase"], f"{row['fault']} {how}") for row in rows for how in row["how"]}
    assert listed == {(fault.phase, fault.name) for fault in faults()}
    for row in rows:
        assert row["survived"] == row["tried"] == len(row["how"]), row
        assert row["lost_in_weak_code"] == row["planted_in_weak_code"] > 0, row
    assert "/tmp" not in json.dumps(rows) and str(HOME) not in json.dumps(rows)
