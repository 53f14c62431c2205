"""Formulas of docstrings as TeX: all of them, and nothing else."""

import inspect
import re

import pytest

from tests.workflow.test_manual import ALL, resolve
from workflow.formulas import KEPT, marked

SIGNS = re.compile(r"[α-ωΓΔΘΛΦΨΣΠℓ∂∇½√‖⟨⟩²³ᵀᴴᴰᶜ₀-₉̄̃̂∈∝]|\b[A-Za-z]_\{?[a-z]")


def docstrings():
    """Those of the reference: public names, and what their classes have."""
    for name in ALL:
        thing = resolve(name)
        yield name, inspect.getdoc(thing) or ""
        if inspect.isclass(thing):
            for below in dir(thing):
                value = inspect.getattr_static(thing, below)
                if not below.startswith("_") and (callable(value) or isinstance(value, property)):
                    yield f"{name}.{below}", inspect.getdoc(value) or ""


def test_roles_begin_and_end_where_docutils_sees_them():
    for name, text in docstrings():
        for found in re.finditer(r"(.?):math:`[^`]*`(.?)", marked(text), re.DOTALL):
            before, after = found.groups()
            assert not re.match(r"[^\s'\"(\[{<\-/:]", before), (name, found[0])
            assert not re.match(r"[^\s'\")\]}>\-/:.,;!?\\]", after), (name, found[0])


@pytest.mark.parametrize(
    ("plain", "expected"),
    [
        ("F = E_q̄ H[p(x|z)]", r"$F = \mathbb E_{\bar q} \mathcal H[p(x\vert z)]$"),
        ("z ~ N(m, Σ) with Σ_n x_n", r"$z \sim \mathcal N(m, \Sigma )$ with $\sum_{n} x_{n}$"),
        ("p(x_d) ∝ x_d^{k−1}, x > 0", r"$p(x_{d}) \propto x_{d}^{k-1}$, $x > 0$"),
        ("Poisson: h(x) = Π_d 1/x_d!; L = D.", r"Poisson: $h(x) = \prod_{d} 1/x_{d}!$; $L = D$."),
        ("a model, a q and A_k B", r"a model, a $q$ and $A_{k} B$"),
        ("x̂_0 = √ᾱ_t x_t", r"$\hat x_{0} = \sqrt{\bar{\alpha}_{t}} x_{t}$"),
        ("{0, 1}ᴰ, for t = 1, …, T", r"$\{0, 1\}^{D}$, for $t = 1, \dots, T$"),
        (
            "q(z) = Bern(the mean) for x² words",
            r"$q(z) = \operatorname{Bern}$\ (the mean) for $x^{2}$ words",
        ),
        ("(see x² and L-BFGS)", "(see $x^{2}$ and L-BFGS)"),
        ("is λ ``rate`` = ⟨∇F,\n   v⟩", r"is $\lambda$ ``rate`` ${}= \langle\nabla F, v\rangle$"),
        ("at most 2e7 entries, as |gap − slope| in PPCA", None),
        ("I take one. A tensor is a data_point, e.g. one's own", None),
        ("``η = x²`` and :class:`Σ_n`", None),
        (">>> x = y_n  # σ²\nσ²\n", None),
        ("x\n    Data.", None),
    ],
)
def test_formulas_are_marked_and_words_are_not(plain, expected):
    expected = plain if expected is None else re.sub(r"\$(.*?)\$", r":math:`\1`", expected)
    assert marked(plain) == expected


def wrong_in(text):
    """What a docstring still has of formulas in plain text, and formulas that are no TeX."""
    found = marked(text)
    left = re.sub(
        r":math:`[^`]*`", "", re.sub(KEPT, lambda m: m[0] * m[0].startswith(":math"), found)
    )
    yield from (line for line in left.splitlines() if SIGNS.search(line))
    for formula in re.findall(r":math:`([^`]*)`", found):
        opened = re.sub(r"\\[{}]", "", formula)
        words = re.sub(
            r"\\(?:text|operatorname|mathrm|math\w+)\s*\{[^}]*\}|\\[a-zA-Z]+", "", formula
        )
        if (
            formula != formula.strip()
            or not formula.isascii()
            or opened.count("{") != opened.count("}")
            or re.search(r"[_^]{2}|\{\s+\}", formula)
            or re.search(r"[A-Za-z]{4,}", words)
        ):
            yield formula


def test_no_formula_of_the_reference_is_left_in_plain_text():
    assert not {name: wrong for name, text in docstrings() if (wrong := [*wrong_in(text)])}


@pytest.mark.parametrize("text", [":math:`a{b`", ":math:`x__y`", ":math:`much more`", "``σ``"])
def test_a_formula_that_is_none_is_found(text):
    assert bool([*wrong_in(text)]) == (text != "``σ``")
