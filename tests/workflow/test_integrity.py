"""Nothing falsely green: what is lost, cut, emptied, foreign or stale is made again, alone."""

import json

import pytest

from tests.faults.kinds import HARMS
from tests.workflow.conftest import make_toy
from workflow import project as project_module
from workflow.project import Project, digest, sealed, unsealed


def tampered(path):
    """Another number in it, and the rest as it was."""
    text = path.read_text()
    assert "3" in text
    path.write_text(text.replace("3", "4", 1))


#: What goes with each file: that which it certifies, and what was made from it.
GONE = {
    "executed/one.ipynb": {"executed/one.ipynb", "runs/one.json", "claims.json", "claims.checked"},
    "runs/one.json": {"executed/one.ipynb", "runs/one.json", "claims.json", "claims.checked"},
    "claims.json": {"claims.json", "claims.checked"},
    "claims.checked": {"claims.checked"},
}
ALL = {*GONE["executed/one.ipynb"], "executed/two.ipynb", "runs/two.json"}


@pytest.mark.parametrize("harm", [*HARMS, tampered])
@pytest.mark.parametrize("file", GONE)
def test_a_run_begins_by_removing_what_is_damaged_and_nothing_else(made, file, harm):
    """That it is then made again, alone, is seen by `make faults`."""
    harm(made.build / file)
    Project(made.root).stamp()
    assert {name for name in ALL if (made.build / name).exists()} == ALL - GONE[file]


def test_a_value_beyond_its_bound_does_not_pass_because_the_file_says_so(made):
    """A well-sealed file is believed for what was computed, never for what it concludes."""
    path = made.executed("one")
    notebook = json.loads(path.read_text())
    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            claim = output.get("data", {}).get("application/vnd.companion.claim+json")
            if claim and claim["id"] == "one/first":
                claim |= {"value": 99, "holds": True}
    path.write_text(json.dumps(notebook))
    record = made.build / "runs" / "one.json"
    record.write_text(sealed({**unsealed(record), "executed": digest(path)}))
    status, output = made.until_claims()
    assert status == 1 and "does not hold: one/first" in output


@pytest.mark.slow
def test_a_book_without_claims_fails(tmp_path):
    toy = make_toy(tmp_path / "toy", ["one"])
    path = toy.write("one")
    notebook = json.loads(path.read_text())
    notebook["cells"] = [c for c in notebook["cells"] if "claims.record" not in c["source"]]
    path.write_text(json.dumps(notebook))
    for _ in range(2):
        status, output = toy.until_claims()
        assert status == 1 and "none: no chapter made any" in output and "hold." not in output


def test_other_versions_of_what_is_installed_are_another_key(made, monkeypatch):
    before = Project(made.root).key("one")
    real = project_module.metadata.distribution
    newer = type("Newer", (), {"name": "torch", "version": "99", "requires": None})
    found = {"torch": newer}
    monkeypatch.setattr(
        project_module.metadata, "distribution", lambda name: found.get(name) or real(name)
    )
    project_module.installed.cache_clear()
    try:
        after = Project(made.root).key("one")
    finally:
        project_module.installed.cache_clear()
    assert {name for name in after if after[name] != before[name]} == {"installed"}


def test_no_folder_above_hides_a_change(tmp_path):
    folder = tmp_path / "__pycache__" / "book"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "a.py").write_text("x = 1\n")
    before = digest(folder)
    (folder / "sub" / "a.py").write_text("x = 2\n")
    assert digest(folder) != before
    (folder / "sub" / "__pycache__").mkdir()
    changed = digest(folder)
    (folder / "sub" / "__pycache__" / "a.pyc").write_text("compiled")
    assert digest(folder) == changed


@pytest.mark.parametrize("harm", HARMS)
def test_a_sealed_file_is_whole_or_nothing(tmp_path, harm):
    path = tmp_path / "record.json"
    path.write_text(sealed({"value": 3, "list": [1, 2]}))
    assert unsealed(path) == {"value": 3, "list": [1, 2]}
    harm(path)
    assert unsealed(path) is None
