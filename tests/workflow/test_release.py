"""What a release consists of: archives, metadata that agree, and the executed book's crate."""

import json
import os
import re
import subprocess
import tarfile
import tomllib
import zipfile

import pytest
import yaml

import companion
from workflow import release
from workflow.progress import Problem
from workflow.project import HOME, Project

PROJECT = tomllib.loads((HOME / "pyproject.toml").read_text("utf-8"))["project"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REPOSITORY_URL", "https://github.com/somebody/elbo-companion")
        return release.distributions(Project(), tmp_path_factory.mktemp("dist"))


def test_the_source_archive_holds_the_book_and_the_wheel_the_package(made):
    wheel, source = made
    version = PROJECT["version"]
    assert wheel.name == f"elbo_companion-{version}-py3-none-any.whl"
    with tarfile.open(source) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    wanted = ["notebooks/theorem-1.ipynb", "book/index.md", "tests/oracles.py", "Makefile"]
    wanted += ["workflow/Snakefile", "requirements/book.lock", "reference/claims.json", "_toc.yml"]
    assert set(wanted) <= names
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.partition("/")[0] for name in archive.namelist()}
    assert tops == {"companion", f"elbo_companion-{version}.dist-info"}


def test_no_link_of_the_readme_in_the_metadata_is_relative(made):
    with zipfile.ZipFile(made[0]) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith("/METADATA")]
        text = archive.read(name).decode("utf-8")
    links = re.findall(r"\]\(([^)\s]+)\)", text)
    assert len(links) > 10
    assert not [link for link in links if not re.match("https://|#", link)]


def test_metadata_files_agree_on_version_and_licence():
    zenodo = json.loads((HOME / ".zenodo.json").read_text("utf-8"))
    codemeta = json.loads((HOME / "codemeta.json").read_text("utf-8"))
    citation = yaml.safe_load((HOME / "CITATION.cff").read_text("utf-8"))
    versions = {codemeta["version"], zenodo["version"], citation["version"], companion.__version__}
    assert versions == {PROJECT["version"]}
    assert zenodo["license"] == citation["license"] == PROJECT["license"]
    assert zenodo["title"] == citation["title"]
    assert codemeta["name"] == PROJECT["name"]


def step(name):
    """The commands of a step of the release workflow."""
    text = (HOME / ".github" / "workflows" / "release.yml").read_text("utf-8")
    steps = yaml.safe_load(text)["jobs"]["release"]["steps"]
    return next(one["run"] for one in steps if name in one.get("name", one.get("run", "")))


CHANGES = "# Changelog\n\n{}## 2.0.1 – {}\n\n### Fixed\n\n- This.\n- That.\n{}"
OLDER = "\n## 2.0.0 – 2020-01-01\n\n- Older.\n"


@pytest.mark.parametrize("newer", ["", "## Unreleased\n\n- Newer.\n\n"])
@pytest.mark.parametrize("older", ["", OLDER])
@pytest.mark.parametrize(
    ("tag", "date", "passes"),
    [
        ("v2.0.1", "2024-02-03", True),
        ("v2.0.1", "2024-02-04", False),
        ("v2.0", "2024-02-03", False),
    ],
)
def test_a_tag_is_released_if_changelog_and_commit_agree(tmp_path, newer, older, tag, date, passes):
    (tmp_path / "CHANGELOG.md").write_text(CHANGES.format(newer, date, older), "utf-8")
    (tmp_path / "pyproject.toml").write_text('version = "2.0.1"\n')
    own = {"GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@b.c", "GIT_COMMITTER_NAME": "A"}
    own |= {"GIT_COMMITTER_EMAIL": "a@b.c", "GIT_COMMITTER_DATE": "2024-02-03T12:00:00Z"}
    own |= {"PATH": os.environ["PATH"], "GITHUB_REF_NAME": tag, "HOME": str(tmp_path)}

    def bash(commands):
        # As hosted: a step ends with its first failure.
        command = ["bash", "-e", "-c", commands]
        return subprocess.run(command, cwd=tmp_path, env=own, capture_output=True, text=True)

    assert bash("git init -q && git add . && git commit -qm x").returncode == 0
    assert (bash(step("The tag is the version")).returncode == 0) == passes
    if passes:
        assert bash("gh() { true; }\n" + step("gh release create")).returncode == 0
        notes = (tmp_path / "notes.md").read_text("utf-8").strip()
        assert notes == "### Fixed\n\n- This.\n- That."


def test_this_version_has_its_section_and_the_paper_has_no_gaps():
    changes = (HOME / "CHANGELOG.md").read_text("utf-8")
    version = re.escape(PROJECT["version"])
    assert re.search(rf"^## {version} – \d{{4}}-\d\d-\d\d$", changes, re.M)
    head = yaml.safe_load((HOME / "paper.md").read_text("utf-8").split("---")[1])
    assert {one["affiliation"] for one in head["authors"]} == {
        one["index"] for one in head["affiliations"]
    }
    gaps = re.compile(r"\bto be\b|fill|todo|tbd|xxx", re.IGNORECASE)
    assert not [one["name"] for one in head["affiliations"] if gaps.search(one["name"])]


@pytest.mark.parametrize("path", sorted((HOME / ".github").rglob("*.yml")), ids=lambda p: p.stem)
def test_hosted_files_are_yaml_and_actions_are_pinned(path):
    text = path.read_text("utf-8")
    assert yaml.safe_load(text)["name"]
    for action in re.findall(r"uses: (\S+)", text):
        assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", action), action


def test_the_crate_names_every_file_and_what_made_it(template, tmp_path):
    project = Project(template.root)
    crate = release.crate(project)
    by = {entry["@id"]: entry for entry in crate["@graph"]}
    assert by["ro-crate-metadata.json"]["about"] == {"@id": "./"}
    for part in by["./"]["hasPart"]:
        assert part["@id"] in by
    run = by["#run-one"]
    assert run["result"] == {"@id": "executed/one.ipynb"} and '"tier": "book"' in run["description"]
    assert by["executed/one.ipynb"]["sha256"] == project.run("one")["executed"]
    path = release.archive(project, tmp_path)
    with tarfile.open(path) as archive:
        assert "elbo-companion-executed/executed/one.ipynb" in archive.getnames()


def test_a_book_that_is_not_executed_has_no_crate(toy):
    with pytest.raises(Problem, match="run `make book` first"):
        release.crate(Project(toy.root))
