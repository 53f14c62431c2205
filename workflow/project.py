"""What is to be built: chapters, tier, parameters, folders, and the key that says what changed.

A chapter's key holds the hashes of its notebook, of the package's core, of the chapter's own study
(what `companion/studies/` keeps for it alone) and of the lock, and the parameters it is given. It
is stamped into a small file, whose time moves only when the key does: so neither `touch` nor
`git clone` makes a chapter run, and every change of content does.

Existence and times prove nothing: a product counts only with a sealed record, a JSON file that
holds its own hash and the SHA-256 of what it certifies. What is cut, emptied or foreign is removed
before a run, which makes it again, alone.
"""

import ast
import hashlib
import json
import os
import sys
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib import metadata
from pathlib import Path

import yaml
from packaging.requirements import Requirement

from companion.book.tiers import TIERS
from workflow.progress import Problem

HOME = Path(__file__).resolve().parents[1]
IGNORED = {"__pycache__", ".ipynb_checkpoints", ".DS_Store"}


@dataclass(frozen=True)
class Project:
    """A book in `root`, built for one tier into `output` (for other tiers than book: below it)."""

    root: Path = HOME
    tier: str = "book"
    output: Path | None = None
    settings: tuple[str, ...] = field(default=())

    @classmethod
    def from_config(cls, config):
        """From Snakemake's configuration."""
        root, output = Path(config.get("root", HOME)), config.get("output")
        settings = tuple(map(str, config.get("settings", [])))
        return cls(root, config.get("tier", "book"), Path(output) if output else None, settings)

    @property
    def build(self):
        base = self.output or self.root / "_build"
        return base if self.tier == "book" else base / self.tier

    @cached_property
    def chapters(self):
        """Names of the chapters in the order of `_toc.yml`."""
        path = self.root / "_toc.yml"
        if not path.is_file():
            raise Problem(f"{path.name} is missing from {self.root}: it lists the chapters.")
        toc = yaml.safe_load(path.read_text("utf-8"))
        entries = [e for part in toc.get("parts", [toc]) for e in part.get("chapters", [])]
        names = [Path(e["file"]) for e in entries if e.get("file", "").startswith("notebooks/")]
        return [name.stem for name in names]

    @cached_property
    def numbers(self):
        """The number of each chapter: its place in `_toc.yml`."""
        return {chapter: number for number, chapter in enumerate(self.chapters, 1)}

    def notebook(self, chapter):
        return self.root / "notebooks" / f"{chapter}.ipynb"

    def select(self, wanted):
        """The chapters with a number, or a start of their name, in `wanted` (all, if none)."""
        chosen = set() if wanted else set(self.chapters)
        for word in wanted:
            found = {
                name
                for name, number in self.numbers.items()
                if (word.isdecimal() and int(word) == number) or name.startswith(word)
            }
            if not found:
                known = ", ".join(f"{number} {name}" for name, number in self.numbers.items())
                raise Problem(f"There is no chapter {word!r}; _toc.yml lists {known}.")
            chosen |= found
        return [name for name in self.chapters if name in chosen]

    def parameters(self, chapter):
        """What papermill injects into a chapter: the tier, and what `--set` asks for."""
        chosen = {"tier": self.tier}
        for setting in self.settings:
            name, value = _setting(setting)
            owner, _, name = name.rpartition(".")
            if owner in ("", chapter):
                chosen[name] = value
        return chosen

    def validate(self, chapters):
        """Raise `Problem` before anything runs, unless every chapter can take its parameters."""
        if self.tier not in TIERS:
            raise Problem(f"There is no tier {self.tier!r}; choose one of {', '.join(TIERS)}.")
        for setting in self.settings:
            owner = _setting(setting)[0].rpartition(".")[0]
            if owner and owner not in self.chapters:
                raise Problem(f"There is no chapter {owner!r} to set {setting!r} in.")
        for chapter in chapters:
            if not self.notebook(chapter).is_file():
                raise Problem(f"_toc.yml lists notebooks/{chapter}.ipynb, which does not exist.")
            declared = declared_parameters(self.notebook(chapter))
            unknown = [name for name in self.parameters(chapter) if name not in declared]
            if unknown:
                raise Problem(
                    f"Chapter {chapter} has no parameter {unknown[0]!r}; "
                    f"it has {', '.join(declared) or 'none'}."
                )

    def key(self, chapter):
        return {
            "chapter": chapter,
            "notebook": digest(self.notebook(chapter)),
            "package": self.core,
            "studies": {study: digest(self._studies / study) for study in self.studies(chapter)},
            "lock": self.lock,
            "python": "{}.{}".format(*sys.version_info),
            "installed": installed(),
            "parameters": self.parameters(chapter),
        }

    @property
    def _studies(self):
        return self.root / "companion" / "studies"

    def studies(self, chapter):
        """Names of the studies that a chapter imports: the parts of the package of its own."""
        known = {path.name for path in self._studies.glob("*/")}
        return sorted(known & imported_studies(self.notebook(chapter)))

    def package_files(self, chapter=None):
        """Files of the package's core, and of the chapter's own studies if one is named."""
        wanted = set(self.studies(chapter)) if chapter else set()
        for path in files_below(self.root / "companion"):
            parts = path.relative_to(self.root / "companion").parts
            if parts[0] != "studies" or len(parts) == 2 or parts[1] in wanted:
                yield path

    @cached_property
    def core(self):
        """The hash of all that every chapter depends on: the package without its studies."""
        return digest(self.root / "companion", self.package_files())

    @cached_property
    def lock(self):
        folder = self.root / "requirements"
        return digest(folder, [folder / "torch.lock", folder / "book.lock"])[:12]

    def stamp(self):
        """Write what each step depends on; a stamp's time moves only when its content does."""
        tools = digest(HOME / "workflow")
        self.repair()
        for chapter in self.chapters:
            if not self.notebook(chapter).is_file():
                continue
            key, path = self.key(chapter), self.build / "stamps" / f"{chapter}.json"
            write_if_changed(path, dump(key))
            executed = self.executed(chapter)
            if executed.is_file() and self.run(chapter)["key"] == key:
                before = executed.stat().st_mtime - 1
                os.utime(path, (before, before))  # a change that was taken back is no change
        write_if_changed(self.build / "stamps" / "claims", tools)
        write_if_changed(self.build / "stamps" / "check", tools + self.reference + self.tier)
        write_if_changed(self.build / "stamps" / "site", self.site_key())

    def repair(self):
        """Remove every product that its record does not certify: the next run makes it again."""
        for chapter in self.chapters:
            if not self.run(chapter):
                self.executed(chapter).unlink(missing_ok=True)
                (self.build / "runs" / f"{chapter}.json").unlink(missing_ok=True)
        if not self.collected:
            (self.build / "claims.json").unlink(missing_ok=True)
        if not self.checked:
            (self.build / "claims.checked").unlink(missing_ok=True)
        site = self.build / "site"
        if (site / "build.json").exists() and not self.built:
            (site / "build.json").unlink()

    @property
    def reference(self):
        """The hash of the recorded values."""
        return digest(self.root / "reference" / "claims.json")

    @property
    def collected(self):
        """The claims of the executed copies that are there now; None if there is no such file."""
        found = unsealed(self.build / "claims.json")
        if found and found.get("executed") == self.hashes():
            return found
        return None

    def hashes(self):
        """The hash of each executed copy, as its record certifies it."""
        return {chapter: self.run(chapter).get("executed") for chapter in self.chapters}

    @property
    def checked(self):
        """What the check said of these claims and this reference; None if it has not passed."""
        found = unsealed(self.build / "claims.checked")
        expected = {"claims": digest(self.build / "claims.json"), "reference": self.reference}
        if found and self.collected and expected.items() <= found.items():
            return found
        return None

    @property
    def built(self):
        """The record of the built site, if it certifies the pages that are there; else None."""
        site = self.build / "site"
        found = unsealed(site / "build.json")
        if found and found.get("pages") == pages_digest(site):
            return found
        return None

    def site_key(self):
        """What the site depends on beside the executed chapters."""
        names = ("book", "companion", "_config.yml", "_toc.yml")
        measured = (
            *("reference/claims.json", "reference/papers.yml", "reference/faults.json"),
            *("benchmarks/results.json", "benchmarks/growth.json"),
        )
        parts = [self.lock, *(digest(self.root / name) for name in (*names, *measured))]
        return "\n".join([digest(HOME / "workflow"), repository_address(self.root) or "", *parts])

    def site(self):
        """Folder of the built site; raises `Problem` if it is not of the present sources."""
        built = self.built or {}
        if built.get("key") != self.site_key() or not all(map(self.current, self.chapters)):
            state = "not up to date" if built else "not built yet"
            raise Problem(f"The site is {state}: run `make book` first.")
        return self.build / "site"

    def executed(self, chapter):
        return self.build / "executed" / f"{chapter}.ipynb"

    def run(self, chapter):
        """The record of the chapter's last complete execution; empty if it certifies none."""
        found = unsealed(self.build / "runs" / f"{chapter}.json") or {}
        executed = self.executed(chapter)
        if not executed.is_file() or found.get("executed") != digest(executed):
            return {}
        return found

    def priority(self, chapter):
        """What waits longest goes first, or a core would be idle while the last one runs.

        The seconds that the chapter took last time; its number where it has not been executed yet,
        for the last chapters are the longest.
        """
        return self.run(chapter).get("seconds", self.numbers[chapter])

    def current(self, chapter):
        """Whether the executed copy is of exactly this notebook, package, lock and parameters."""
        return self.run(chapter).get("key") == self.key(chapter)


def declared_parameters(notebook):
    """Names assigned in the notebook's cell tagged `parameters`, with their default values."""
    try:
        cells = json.loads(notebook.read_text("utf-8"))["cells"]
    except (ValueError, KeyError) as error:
        raise Problem(f"notebooks/{notebook.name} is not a readable notebook: {error}.") from None
    tagged = [c for c in cells if "parameters" in c.get("metadata", {}).get("tags", [])]
    if len(tagged) != 1:
        raise Problem(
            f"notebooks/{notebook.name} must have exactly one cell tagged parameters: "
            f"found {len(tagged)}."
        )
    found: dict[str, object] = {}
    for line in ast.parse("".join(tagged[0]["source"])).body:
        if not isinstance(line, ast.Assign):
            continue
        for target in line.targets:
            if isinstance(target, ast.Name):
                try:
                    found[target.id] = ast.literal_eval(line.value)
                except ValueError:
                    found[target.id] = None
    return found


def imported_studies(notebook):
    """Names below `companion.studies` that a notebook's code imports, wherever it does."""
    found = set()
    for cell in (load(notebook) or {"cells": []})["cells"]:
        if cell["cell_type"] != "code":
            continue
        try:
            tree = ast.parse("".join(cell["source"]))
        except SyntaxError:  # a cell with a %magic, or one that will fail by itself
            continue
        for node in ast.walk(tree):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            for parts in (name.split(".") for name in names):
                if parts[:2] == ["companion", "studies"]:
                    found |= set(parts[2:3])
    return found


def repository_address(root):
    """Web address of the repository: REPOSITORY_URL, else the git remote, else None."""
    import subprocess

    address = os.environ.get("REPOSITORY_URL", "").strip()
    if not address and (root / ".git").exists():
        command = ["git", "-C", str(root), "remote", "get-url", "origin"]
        address = subprocess.run(command, capture_output=True, text=True).stdout.strip()
    if address.startswith("git@"):
        address = "https://" + address.removeprefix("git@").replace(":", "/", 1)
    if not address.startswith("https://") or "@" in address:
        return None
    return address.removesuffix("/").removesuffix(".git")


def site_address(root):
    """Where the book is published, ending in a slash: SITE_URL, else GitHub's page, else None.

    It stands in pages as their canonical address, so it is known or left out, never guessed.
    """
    address = os.environ.get("SITE_URL", "").strip()
    if not address and (repository := repository_address(root)):
        host, _, path = repository.removeprefix("https://").partition("/")
        owner, _, name = path.partition("/")
        if host == "github.com" and owner and name and "/" not in name:
            address = f"https://{owner.lower()}.github.io/{name}"
    return address.rstrip("/") + "/" if address.startswith("https://") else None


def commit_date(root):
    """The date of the last commit, or None outside a repository."""
    import subprocess

    if not (root / ".git").exists():
        return None
    command = ["git", "-C", str(root), "log", "-1", "--format=%cs"]
    return subprocess.run(command, capture_output=True, text=True).stdout.strip() or None


def files_below(folder):
    """All files below a folder but for what Python and editors leave there, in a fixed order."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not IGNORED.intersection(path.relative_to(folder).parts):
            yield path


def digest(path, files=None):
    """SHA-256 of a file's content, or of names and contents below a folder (of `files` there)."""
    sum = hashlib.sha256()
    if path.is_file():
        sum.update(path.read_bytes())
    elif path.is_dir():
        for file in files_below(path) if files is None else files:
            sum.update(f"{file.relative_to(path).as_posix()}\0".encode())
            sum.update(hashlib.sha256(file.read_bytes()).digest())
    return sum.hexdigest()


def pages_digest(site):
    """SHA-256 of all that a site holds but for the record that says so."""
    return digest(site, (path for path in files_below(site) if path != site / "build.json"))


@cache
def installed():
    """SHA-256 of names and versions of the packages that a chapter can import, as installed."""
    waiting, found = ["elbo-companion", "ipykernel"], {}
    while waiting:
        name = waiting.pop()
        try:
            package = metadata.distribution(name)
        except metadata.PackageNotFoundError:  # of another system, or left out
            continue
        if package.name not in found:
            found[package.name] = package.version
            needed = map(Requirement, package.requires or ())
            waiting += [r.name for r in needed if r.marker is None or r.marker.evaluate()]
    return hashlib.sha256(dump(found).encode()).hexdigest()


def sealed(content):
    """The content of a JSON file with its own hash, for `unsealed` to check."""
    return dump({**content, "sha256": hashlib.sha256(dump(content).encode()).hexdigest()})


def unsealed(path):
    """The content of a sealed JSON file; None if it is absent, cut or changed since."""
    content = load(path)
    if not isinstance(content, dict):
        return None
    seal = content.pop("sha256", None)
    return content if seal == hashlib.sha256(dump(content).encode()).hexdigest() else None


def dump(content):
    return json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def load(path):
    """Content of a JSON file; None if it is absent or was not written to its end."""
    try:
        return json.loads(Path(path).read_text("utf-8"))
    except (OSError, ValueError):
        return None


def write(path, content):
    """Write a file as a whole or not at all: it is renamed into place when the disk has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    if isinstance(content, str):
        content = content.encode()
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_if_changed(path, content):
    if isinstance(content, str):
        content = content.encode()
    if not path.is_file() or path.read_bytes() != content:
        write(path, content)


def _setting(text):
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise Problem(f"--set takes name=value or chapter.name=value: found {text!r}.")
    try:
        return name.strip(), ast.literal_eval(value.strip())
    except (ValueError, SyntaxError):
        return name.strip(), value.strip()
