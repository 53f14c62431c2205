"""Terms of the glossary are linked where a page first uses them, in its running text only."""

import pytest

from workflow import glossary

ENTRIES = """<dl class="glossary"><dt id="term-entropy-sum">entropy sum<a class="headerlink"
href="#term-entropy-sum">#</a></dt><dd>x</dd><dt id="term-ELBO">ELBO<a href="#">#</a></dt></dl>"""
TERMS = {"entropy sum": "term-entropy-sum", "ELBO": "term-ELBO"}


def linked(text):
    page = glossary.linked(f"ELBO<article>{text}</article>ELBO", TERMS, "../glossary.html")
    assert page.startswith("ELBO<article>") and page.endswith("</article>ELBO")
    return page.removeprefix("ELBO<article>").removesuffix("</article>ELBO")


def link(words, anchor):
    return f'<a class="companion-term" href="../glossary.html#{anchor}">{words}</a>'


def test_terms_are_read_from_the_page():
    assert glossary.terms(ENTRIES) == TERMS


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<p>The ELBO is. ELBO</p>", f"<p>The {link('ELBO', 'term-ELBO')} is. ELBO</p>"),
        (
            "<p>Entropy sums <b>and</b> ELBO</p>",
            f"<p>{link('Entropy sums', 'term-entropy-sum')} <b>and</b> "
            f"{link('ELBO', 'term-ELBO')}</p>",
        ),
        (
            "<h2>ELBO</h2><p><code>ELBO</code> <a>ELBO</a><br/>ELBO</p>",
            f"<h2>ELBO</h2><p><code>ELBO</code> <a>ELBO</a><br/>{link('ELBO', 'term-ELBO')}</p>",
        ),
    ],
)
def test_the_first_use_is_linked(text, expected):
    assert linked(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "<p>ELBOism, un-ELBO, an entropy summary</p>",
        '<p><span class="math">ELBO</span></p>',
        "<figure><figcaption><p>ELBO</p></figcaption></figure>",
        "<table><tr><td><p>ELBO</p></td></tr></table>",
        "<div>ELBO</div>",
        '<p class="admonition-title"><span>Definition</span> (ELBO)</p>',
    ],
)
def test_other_words_stay(text):
    assert linked(text) == text
