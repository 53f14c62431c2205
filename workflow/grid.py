"""Read the grid file of a sweep: every run with its settings and seed, checked before any runs.

A grid has `settings` (values for all runs), `grid` (lists of values, of which all combinations are
taken), `cases` (settings that belong together and replace those for all runs, each with every
combination) and `seeds` (a number, or a list). Each value must have the type of its setting in
`workflow.settings.Settings`; `data: {file: my.csv}` is a file of your own, from the grid's folder.
"""

import hashlib
import itertools
import json
import math
import re

import yaml

from workflow.progress import Problem
from workflow.project import dump

#: More runs than this are a slip of the pen: a job of ten takes a second to plan, and hours to run.
MOST = 1_000_000
#: Generators of random numbers take no larger seed.
LARGEST_SEED = 2**63 - 1


class Loader(yaml.SafeLoader):
    """YAML in which a name stands once, and 1e-2 is a number (in YAML 1.1 it is a text)."""

    def construct_mapping(self, node, deep=False):
        names = [self.construct_object(key, deep=True) for key, _ in node.value]
        for name in names:
            if names.count(name) > 1:
                raise yaml.constructor.ConstructorError(None, None, f"{name!r} stands there twice")
        return super().construct_mapping(node, deep)


Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"),
    list("-+.0123456789"),
)


def plan(path):
    """Every run of a grid file: id, settings, seed. Raises `Problem` in one sentence."""
    grid = _read(path)
    fixed, varied = grid.get("settings") or {}, grid.get("grid") or {}
    if not isinstance(fixed, dict) or not isinstance(varied, dict):
        raise Problem(f"{path}: settings and grid must map names of settings to values.")
    for name, values in varied.items():
        if not isinstance(values, list) or not values:
            raise Problem(f"{path}: grid {name} must be a list of values: found {values!r}.")
        if name in fixed:
            raise Problem(f"{path}: {name} is both in settings and in grid.")
    cases = _cases(path, grid.get("cases", [{}]), varied)
    seeds = _seeds(path, grid.get("seeds", 1))
    count = math.prod(map(len, varied.values())) * len(cases) * len(seeds)
    if count > MOST:
        raise Problem(f"{path} asks for {count} runs: at most {MOST} are planned in one sweep.")
    runs = []
    for case, *values in itertools.product(cases, *varied.values()):
        settings = _settings(path, fixed | case | dict(zip(varied, values, strict=True)))
        name = hashlib.sha256(dump(settings).encode()).hexdigest()[:10]
        runs += [{"id": f"{name}-{seed:04d}", "settings": settings, "seed": seed} for seed in seeds]
    if len({run["id"] for run in runs}) < len(runs):
        raise Problem(f"{path} asks for the same run twice: a value or a seed is repeated.")
    return runs


def _read(path):
    try:
        # Bytes, not text: YAML tells UTF-8 from UTF-16 by their first bytes.
        grid = yaml.load(path.read_bytes(), Loader)
    except OSError as error:
        raise Problem(f"Cannot read the grid {path}: {(error.strerror or '').lower()}.") from None
    except yaml.reader.ReaderError:
        raise Problem(f"{path} is not readable YAML: save it as UTF-8.") from None
    except yaml.YAMLError as error:
        said = " ".join(str(getattr(error, "problem", None) or error).split())
        raise Problem(f"{path} is not readable YAML: {said}.") from None
    if not isinstance(grid, dict) or set(grid) - {"settings", "grid", "cases", "seeds"}:
        raise Problem(f"{path} must have settings, grid, cases and seeds, and nothing else.")
    return grid


def _cases(path, cases, varied):
    if not isinstance(cases, list) or not cases or not all(isinstance(c, dict) for c in cases):
        raise Problem(f"{path}: cases must be a list of settings: found {cases!r}.")
    for name in varied:
        if any(name in case for case in cases):
            raise Problem(f"{path}: {name} is both in cases and in grid.")
    return cases


def _settings(path, chosen):
    """The settings as plain JSON, every value of the type that its setting has."""
    from dataclasses import asdict

    from pydantic import TypeAdapter, ValidationError

    from workflow.settings import Settings, digest

    own = chosen.get("data")
    if isinstance(own, dict) and isinstance(own.get("file"), str):
        file = (path.parent / own["file"]).resolve()
        if not file.exists():
            raise Problem(f"{path}: data must name a file, from the grid's folder: {file} is none.")
        sealed = {"sha256": digest(file)} if file.is_file() else {}
        chosen = chosen | {"data": own | {"file": str(file)} | sealed}
    known = Settings.__dataclass_fields__
    for name, value in chosen.items():
        if name not in known:
            raise Problem(f"{path}: there is no setting {name!r}: choose from {', '.join(known)}.")
        if isinstance(value, float) and not math.isfinite(value):
            raise Problem(f"{path}: {name} must be finite: found {value}.")
    try:
        text = json.dumps(chosen)
        return json.loads(
            json.dumps(asdict(TypeAdapter(Settings).validate_json(text, strict=True)))
        )
    except ValidationError as error:
        first = error.errors()[0]
        said = first["msg"].removeprefix("Value error, ")
        if first["loc"]:
            name = str(first["loc"][0])
            said = f"{name}: {said[0].lower()}{said[1:]}: found {chosen[name]!r}"
        raise Problem(f"{path}: {said}.") from None
    except (TypeError, ValueError) as error:
        raise Problem(f"{path}: {error}.") from None


def _seeds(path, seeds):
    if isinstance(seeds, int) and not isinstance(seeds, bool) and seeds > 0:
        return range(seeds)
    if isinstance(seeds, list) and seeds and all(type(s) is int and s >= 0 for s in seeds):
        if max(seeds) > LARGEST_SEED:
            raise Problem(f"{path}: seeds must be at most {LARGEST_SEED}: found {max(seeds)}.")
        return seeds
    raise Problem(f"{path}: seeds must be a number of seeds or a list of them: found {seeds!r}.")
