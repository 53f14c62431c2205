"""Formulas of docstrings, which are plain text for `help`, as TeX for the reference.

A formula is a run of single letters, Greek, operators, indices and names of functions; what has
none of the first four stays text, as do code, examples and the names of arguments.
"""

import re
from itertools import pairwise

KEPT = re.compile(
    r"``.*?``|:[\w:+-]+:`[^`]*`|`[^`]+`_*|^ *>>>.*?(?=\n\s*\n|\Z)|^ *-{3,}$|^\.\. [^\n]*$"
    r"|\S+:\S*\d\S*"
    r"|^[^\s*>][^\n]*\n(?= {4}\S)",  # the name of an argument, above its words
    re.S | re.M,
)
GREEK = {
    **{"α": "alpha", "β": "beta", "γ": "gamma", "ε": "varepsilon", "ζ": "zeta", "η": "eta"},
    **{"θ": "theta", "κ": "kappa", "λ": "lambda", "μ": "mu", "ν": "nu", "π": "pi", "σ": "sigma"},
    **{"τ": "tau", "φ": "varphi", "χ": "chi", "ψ": "psi", "ω": "omega", "Γ": "Gamma"},
    **{"Δ": "Delta", "Θ": "Theta", "Λ": "Lambda", "Φ": "Phi", "Ψ": "Psi"},
    **{"ℓ": "ell", "∂": "partial"},
    **{"∇": "nabla", "·": "cdot", "×": "times", "±": "pm", "…": "dots", "→": "to"},
    **{"↦": "mapsto", "←": "leftarrow", "∝": "propto", "∈": "in", "≡": "equiv", "≤": "le"},
    **{"≥": "ge", "≈": "approx", "≠": "neq", "~": "sim", "⟨": "langle", "⟩": "rangle"},
    **{"∞": "infty", "Π": "prod", "‖": "|", "{": "{", "}": "}", "½": "tfrac12"},
}
PLAIN = {"−": "-", "′": "'", "″": "''", "|": r"\vert "}
RAISED = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺ᵗᵃᴴᴰᶜ", "0123456789-+taHDC", strict=True)) | {"ᵀ": r"\mathsf T"}
LOWERED = dict(zip("₀₁₂₃₄₅₆₇₈₉", "0123456789", strict=True))
ACCENTS = {"\u0304": "bar", "\u0303": "tilde", "\u0302": "hat"}
FUNCTIONS = ("log", "exp", "det", "max", "min", "cos", "sin", "tanh")
NAMES = ("ELBO", "tr", "diag", "vec", "softmax", "softplus", "Cat", "Bern", "KL", "GP", "Laplace")
PRODUCTS = ("Wz", "tA", "Vz", "LL", "AA", "sI", "sk", "rI", "rx", "xx", "zz", "eC", "es")
#: Letters that English has as words.
ARTICLES = ("a", "A", "I")
LEXEME = re.compile(
    r"(?P<space>\s+)"
    r"|(?P<text>[A-Za-zäöüé]+(?:[-'’][A-Za-z0-9]+)+'?|e\.g\.|i\.e\.|[A-Za-z]{2,}(?:_\w+)+)"
    r"|(?P<word>[A-Za-zäöüéß]+)"
    r"|(?P<index>(?<=[^\s(\"'])[_^](?:\{[^{}]*\}|\([^()]*\)|[A-Za-z0-9]+[̄̃̂]?|[α-ω½]))"
    r"|(?P<number>\d+(?:\.\d+)?(?:e[-−]?\d+)?)"
    r"|(?P<greek>[α-ωΓΔΘΛΦΣΠΨℓ∂∇½√‖⟨⟩⁰¹²³⁴-⁹⁻⁺ᵗᵃᴴᴰᶜᵀ₀-₉̄̃̂ᾱ′″])"
    r"|(?P<operator>[-−=+·×±~∝∈≡≤≥<>≈≠→↦←…∞|/]|!(?=[/;.,)]))"
    r"|(?P<bracket>[()\[\]{},;])|(?P<other>.)"
)
#: Where reStructuredText needs an empty escape, for a role to begin or to end.
TOUCHED = re.compile(r"(?<=[^\s'\"(\[{<\-/:])(?=:math:`)")
TOUCHING = re.compile(r"(:math:`[^`]*`)(?=[^\s'\")\]}>\-/:.,;!?\\])")
PAIRS = {")": "(", "]": "[", "}": "{", "⟩": "⟨"}


def marked(text):
    r"""A docstring with its formulas in the role `math`.

    >>> marked("The noise has variance σ² ``()``; v is −1 on it.")
    'The noise has variance :math:`\\sigma^{2}` ``()``; :math:`v` is :math:`-1` on it.'
    """
    parts, end = [], 0
    for kept in KEPT.finditer(text):
        parts += [_prose(text[end : kept.start()]), kept[0]]
        end = kept.end()
    return TOUCHING.sub(r"\1\\ ", TOUCHED.sub("\\\\ ", "".join([*parts, _prose(text[end:])])))


def _prose(text):
    lexemes = [(match.lastgroup, match[0]) for match in LEXEME.finditer(text)]
    result, run = "", []
    for place, (kind, value) in enumerate(lexemes):
        if _belongs(lexemes, place) and not (kind == "space" and value.count("\n") > 1):
            run.append((kind, value))
        else:
            result, run = result + _formulas(run) + value, []
    return result + _formulas(run)


def _belongs(lexemes, place):
    """Whether a lexeme may be part of a formula."""
    kind, value = lexemes[place]
    if kind != "word":
        return kind not in ("text", "other")
    known = value in FUNCTIONS + NAMES + PRODUCTS or value == "mean"
    if len(value) > 1 or value not in ARTICLES:
        return known or len(value) == 1
    before = [one for one in lexemes[max(0, place - 2) : place] if one[0] != "space"][-1:]
    after = [one for one in lexemes[place + 1 : place + 3] if one[0] != "space"][:1]
    if before and (before[0][0] == "operator" or before[0][1] == "("):
        return True
    return bool(after) and after[0][0] not in ("word", "text", "greek")


def _formulas(run):
    """A run, cut at commas and brackets that are not its own, each piece marked if it is one."""
    if "…" not in {value for _, value in run}:
        depth = 0
        for place, (_, value) in enumerate(run):
            depth += (value in PAIRS.values()) - (value in PAIRS)
            if value in ",;" and depth <= 0:
                return _formulas(run[:place]) + value + _formulas(run[place + 1 :])
    open_, wrong = [], []
    for place, (_, value) in enumerate(run):
        if value in PAIRS.values():
            open_.append(place)
        elif value in PAIRS:
            if open_ and run[open_[-1]][1] == PAIRS[value]:
                open_.pop()
            else:
                wrong.append(place)
    if found := [*wrong, *open_]:
        cut = found[0]
        return _formulas(run[:cut]) + run[cut][1] + _formulas(run[cut + 1 :])
    begin, end = 0, len(run)
    loose = " ,;/-" + "|" * ([value for _, value in run].count("|") % 2)
    while begin < end and (run[begin][0] == "space" or run[begin][1] in loose):
        begin += 1
    while begin < end and (run[end - 1][0] == "space" or run[end - 1][1] in loose):
        end -= 1
    inner = run[begin:end]
    parts = ["".join(value for _, value in part) for part in (run[:begin], inner, run[end:])]
    return parts[0] + (f":math:`{tex(parts[1])}`" if _is_one(inner) else parts[1]) + parts[2]


def _is_one(run):
    values = [value for _, value in run]
    return any(
        kind in ("greek", "index") or (kind == "word" and (len(value) == 1 or value in PRODUCTS))
        for kind, value in run
    ) or any(a == "−" and b.isdigit() for a, b in pairwise(values))


def tex(text):
    r"""A formula in plain text as TeX.

    >>> tex("F = (1/N) Σ_n H[q_n] − E_q̄ log p(x|z)")
    'F = (1/N) \\sum_{n} \\mathcal H[q_{n}] - \\mathbb E_{\\bar q} \\log p(x\\vert z)'
    """
    text = " ".join(text.split()).replace("ᾱ", "α\u0304")
    result, rest = "", text
    while rest:
        piece, rest = _next(rest, result)
        result += piece
    result = re.sub(r"(?<=\S)  +", " ", result).strip()
    # A relation keeps its room where a formula begins or ends with it.
    result = re.sub(r"^(?=[=+]|\\(?:sim|in|to|mapsto|le|ge|cdot)\b)", "{}", result)
    return re.sub(r"([=+-])$", r"\1{}", result)


def _next(rest, before):
    """The TeX of what a formula begins with, and what is left of it."""
    if match := re.match(r"([A-Za-zα-ω])([̄̃̂])", rest):
        inner = match[1] if match[1].isascii() else "\\" + GREEK[match[1]]
        if match[0] == "H̃" and rest[2:3] == "[":
            inner = r"\mathcal H"
        inner = f"{{{inner}}}" if inner.startswith("\\") else f" {inner}"
        return f"\\{ACCENTS[match[2]]}{inner}", rest[match.end() :]
    if match := re.match(r"([_^])(?:\{([^{}]*)\}|\(([^()]*)\)|([A-Za-z0-9]+[̄̃̂]?|[α-ω½]))", rest):
        inner = match[2] or match[3] or match[4]
        return f"{match[1]}{{{tex(inner)}}}", rest[match.end() :]
    for signs, mark in ((RAISED, "^"), (LOWERED, "_")):
        if match := re.match(f"[{''.join(signs)}]+", rest):
            return f"{mark}{{{''.join(signs[c] for c in match[0])}}}", rest[match.end() :]
    if match := re.match(r"√(?:\(([^()]*)\)|([A-Za-zα-ω]̄?(?:_\w+)?))", rest):
        return rf"\sqrt{{{tex(match[1] or match[2])}}}", rest[match.end() :]
    if match := re.match(r"Σ(?:_c)?(?=[⁻),])", rest):
        return r"\Sigma" + ("_{c}" if "_" in match[0] else " "), rest[match.end() :]
    if rest[0] == "Σ":
        return r"\sum" + " " * rest[1:2].isalpha(), rest[1:]
    if match := re.match(r"[A-Za-z]+", rest):
        word, after = match[0], rest[match.end() :]
        if word in FUNCTIONS:
            return f"\\{word} ", after
        if word in NAMES:
            return rf"\operatorname{{{word}}}" if word != "ELBO" else r"\mathrm{ELBO}", after
        if word == "mean":
            return r"\text{mean }", after.lstrip()
        if word == "H" and after[:1] == "[":
            return r"\mathcal H", after
        if word == "N" and after[:1] == "(":
            return r"\mathcal N", after
        if word == "E" and (after[:1] in ("[", "_", "‖", "|") or after[:2] == " Σ"):
            return r"\mathbb E", after
        if len(word) > 2 and word not in PRODUCTS:
            return rf"\mathrm{{{word}}}", after
        return word[0], rest[1:]
    sign = PLAIN.get(rest[0]) or ("\\" + GREEK[rest[0]] if rest[0] in GREEK else rest[0])
    letters = sign.startswith("\\") and sign[-1].isalpha() and rest[1:2].isalpha()
    return sign + " " * letters, rest[1:]
