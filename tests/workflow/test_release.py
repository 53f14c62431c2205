"""What a release consists of: archives, metadata that agree, and the executed book's crate."""

import json
import re
import tarfile
import tomllib
import zipfile

import pytest
import yaml

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
    assert codemeta["version"] == citation["version"] == PROJECT["version"]
    assert zenodo["license"] == citation["license"] == PROJECT["license"]
    assert zenodo["title"] == citation["title"]
    assert codemeta["name"] == PROJECT["name"]


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
