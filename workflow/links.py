"""Ask every address that the book and its code name whether it answers: `python -m workflow.links`.

For the hosted workflow, once a week: the book itself is built and tested without a network.
"""

import re
import sys
import time

import requests

from workflow.project import HOME

#: Where addresses stand that somebody may follow.
FILES = ("*.md", "*.cff", "book/*.md", "book/*.bib", "notebooks/*.ipynb", "companion/**/*.py")
ADDRESS = re.compile(r"https?://[^\s<>\"'`|\\{}\[\]]+")
#: Machines of the reader, names that stand for any, and what file names are appended to.
NOT_PAGES = re.compile(r"https?://(localhost|127\.|0\.|[\w.-]*example\b|.*/mnist/$)")
#: What servers say to programs, whatever they say to people.
ONLY_PEOPLE = (401, 403, 405, 406, 418, 429, 999)
TRIES, PAUSE = 3, 20


def addresses(root):
    """All of them, with the files that name each.

    >>> ADDRESS.findall("[a](https://x.org/b_(c)). And https://y.org/d, too.")
    ['https://x.org/b_(c)).', 'https://y.org/d,']
    >>> trimmed("https://x.org/b_(c)).")
    'https://x.org/b_(c)'
    """
    found: dict[str, list[str]] = {}
    for pattern in FILES:
        for path in sorted(root.glob(pattern)):
            text = path.read_text("utf-8").replace("\\n", "\n").replace('\\"', '"')
            for address in map(trimmed, ADDRESS.findall(text)):
                if "." in address and not NOT_PAGES.match(address):
                    found.setdefault(address, []).append(path.relative_to(root).as_posix())
    return {address: sorted(set(names)) for address, names in sorted(found.items())}


def trimmed(address):
    """Without the marks of the sentence, and brackets that were opened before it."""
    while address[-1] in ".,;:!?*" or (
        address[-1] == ")" and address.count(")") > address.count("(")
    ):
        address = address[:-1]
    return address.partition("#")[0]


def fault(address, get=requests.get, sleep=time.sleep):
    """What is wrong with an address, or "": what only people may see counts as there."""
    said = ""
    for last in range(TRIES):
        try:
            with get(address, timeout=30, stream=True, headers={"User-Agent": "links"}) as answer:
                code = answer.status_code
        except requests.RequestException as error:
            said = f"no answer ({type(error).__name__})"
        else:
            if code < 400 or code in ONLY_PEOPLE:
                return ""
            said = f"answers {code}"
            if code < 500:
                return said
        if last < TRIES - 1:
            sleep(PAUSE)
    return said


def main(root=HOME, get=requests.get, sleep=time.sleep):
    """Print what does not answer, and where it stands; 1 if there is any."""
    named = addresses(root)
    faults = {address: words for address in named if (words := fault(address, get, sleep))}
    for address, words in faults.items():
        print(f"{address} {words}: {', '.join(named[address])}")
    print(f"{len(named)} addresses, of which {len(faults)} do not answer.")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
