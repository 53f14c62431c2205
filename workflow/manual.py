"""The reference of the package: its public names, arranged by what a reader wants to do."""

import ast
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Task:
    """A page: what it is for, and which names it lists.

    ``names`` are of the package's face; of ``modules``, all that they hand on; ``results`` are
    classes, each with the function that returns it.
    """

    page: str
    title: str
    words: str
    names: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    results: dict[str, str] = field(default_factory=dict)


TASKS = (
    Task(
        "check",
        "Check my model",
        "Is a loss the ELBO, does a model fulfil the theorem's condition, how far is learning from "
        "a stationary point, and why are ELBO and entropy sum not equal?",
        names=(
            *("verify", "verify_vae", "verify_pyro", "verify_module", "from_sklearn"),
            *("check_criterion", "check_score_criterion", "explain_gap"),
            *("gap_blocks", "project", "curvature"),
        ),
        results={
            "theory.identity.Verification": "verify",
            "models.own.record.VAEVerification": "verify_vae",
            "models.own.site_record.PyroVerification": "verify_pyro",
            "theory.module_check.ModuleVerification": "verify_module",
            "theory.criterion.Criterion": "check_criterion",
            "theory.explain.Explanation": "explain_gap",
            "theory.projection.NotReached": "project",
            "theory.objective.Curvature": "curvature",
        },
    ),
    Task(
        "bounds",
        "Compute ELBO and entropy sum",
        "Both sides of the theorem, each computed on its own, for one sample or several.",
        names=("elbo", "entropy_sum", "iwae_bound", "iwae_entropy_sum"),
        results={"theory.elbo.EntropySum": "entropy_sum"},
    ),
    Task(
        "models",
        "Choose or write a model",
        "What generates the data, from probabilistic PCA to VAEs and time series.",
        modules=("models",),
    ),
    Task(
        "variational",
        "Choose a variational distribution",
        "The distributions q, each with the nodes and weights of its expectations.",
        modules=("theory.variational",),
    ),
    Task(
        "families",
        "Choose or write a family",
        "What priors and observables are made of.",
        modules=("families",),
    ),
    Task(
        "learn",
        "Learn",
        "Maximise the ELBO of a model, or any function of tensors; train VAEs of many seeds.",
        modules=("fit", "fit.maximise", "training"),
    ),
    Task(
        "data",
        "Get data",
        "Real and synthetic data, downloads, and your own files.",
        modules=("datasets",),
        results={
            "datasets.own.Images": "datasets.images",
            "datasets.own.Columns": "datasets.table",
        },
    ),
    Task(
        "claims",
        "Record claims, draw figures",
        "What chapters state, show and draw with.",
        names=("Table",),
        modules=("book.claims", "book.tiers", "book", "book.charts"),
    ),
)
INTRODUCTION = """\
# API reference

The names of the package `companion` that chapters and readers use, arranged by task. Parameters of
models are plain dictionaries of float64 tensors, and every value is in nats per data point. What is
not listed here is internal.

| To | use |
|---|---|
"""


def pages(package):
    """The overview and a page for each task, of the names that the package has."""
    face, generated, rows = public(package / "__init__.py"), {}, []
    for task in TASKS:
        names = [name for name in task.names if name in face]
        modules = {
            module: found for module in task.modules if (found := public(_file(package, module)))
        }
        if not names and not modules:
            continue
        listed = [*names]
        for module, found in modules.items():
            modules[module] = found = [
                name
                for name in found
                if f"{module}.{name}" not in task.modules and not _is_constant(module, name)
            ]
            listed += [f"{module}.{name}" for name in found]
        results = {
            name: maker
            for name, maker in task.results.items()
            if _file(package, name.rpartition(".")[0]).is_file()
        }
        listed += results
        text = [f"# {task.title}", "", task.words, "", "```{eval-rst}", ".. autosummary::"]
        text += ["   :nosignatures:", "", *(f"   ~companion.{name}" for name in listed), ""]
        for name in names:
            kind = "autoclass" if name[0].isupper() else "autofunction"
            text += [f".. {kind}:: companion.{name}", ""]
        for module, found in modules.items():
            text += [f".. automodule:: companion.{module}", f"   :members: {', '.join(found)}"]
            text += ["   :imported-members:", ""]
        for name, maker in results.items():
            text += [f".. autoclass:: companion.{name}", ""]
            text += [f"   Returned by :func:`companion.{maker}`, whose example makes one.", ""]
        generated[f"api/{task.page}.md"] = "\n".join([*text, "```", ""])
        links = ", ".join(f"`{name}`" for name in names or modules)
        rows.append(f"| [{task.title}](api/{task.page}.md) | {links} |")
    return {"api.md": INTRODUCTION + "\n".join(rows) + "\n", **generated}


def _is_constant(module, name):
    """Numbers and colours, which have no docstrings of their own."""
    return name.isupper() and ("_" in name or module.startswith("book"))


def _file(package, module):
    path = package.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def public(path):
    """The names that a module hands on: in its `__all__`, or imported `as` what they are."""
    if not path.is_file():
        return []
    names: list[str] = []
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.ImportFrom):
            names += [alias.name for alias in node.names if alias.asname == alias.name]
        target = getattr(node, "target", None) or getattr(node, "targets", [None])[0]
        if getattr(target, "id", "") == "__all__":
            names += ast.literal_eval(getattr(node, "value"))  # noqa: B009
    return names
