"""Link the first use of each term of the glossary in a chapter to its entry."""

import re

ENTRY = re.compile(r'<dt id="(term-[^"]+)">(.*?)</dt>', re.DOTALL)
PIECE = re.compile(r"<[^>]*>|[^<]+")
#: Where terms stay as they are: what is a link, code, a formula, a heading or a caption already.
WITHIN = re.compile(r"<(/?)(a|code|pre|h[1-6]|span|figure|table|script|style|summary|button|svg)\b")
VOID = re.compile(r"<[^>]*/>$")


def terms(page):
    """The glossary's terms with the ids of their entries."""
    entries = ENTRY.findall(page)
    return {re.sub(r"<[^>]*>|#", "", words).strip(): anchor for anchor, words in entries}


def linked(page, found, glossary):
    """The page with links; ``found`` are terms and ids, ``glossary`` its address from there."""
    start, end = page.find("<article"), page.find("</article>")
    if start < 0 or not found:
        return page
    left, outside, inside, title, pieces = dict(found), 0, 0, False, []
    for piece in PIECE.findall(page[start:end]):
        if piece.startswith("<"):
            inside += _step(piece, r"<(/?)(?:p|li|dd)\b")
            outside += _step(piece, WITHIN)
            title = piece.startswith('<p class="admonition-title"') or (title and piece != "</p>")
        elif inside and not outside and not title:
            piece = _first_uses(piece, left, glossary)
        pieces.append(piece)
    return page[:start] + "".join(pieces) + page[end:]


def _step(piece, pattern):
    match = re.match(pattern, piece)
    if not match or VOID.search(piece):
        return 0
    return -1 if match[1] else 1


def _first_uses(text, left, glossary):
    """Words between two tags, with links for terms that have none yet."""
    if not left:
        return text
    longest = sorted(left, key=len, reverse=True)
    pattern = rf"(?<![\w-])({'|'.join(map(re.escape, longest))})(s?)(?![\w-])"

    def link(match):
        term = match[1] if match[1] in left else match[1].lower()
        if term not in left:
            return match[0]
        anchor = left.pop(term)
        return f'<a class="companion-term" href="{glossary}#{anchor}">{match[0]}</a>'

    return re.sub(pattern, link, text, flags=re.IGNORECASE)
