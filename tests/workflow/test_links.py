"""Addresses that the book names, and what is made of the answers of servers."""

from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import requests

from workflow import links
from workflow.project import HOME

#: Answers as servers gave them, one after the other: a status, or why there was none.
RECORDED = {
    "https://arxiv.org/abs/2209.03077": [200],
    "https://doi.org/10.1000/moved": [200],  # after redirections, which requests follows
    "https://a.org/only-for-people": [403],
    "https://a.org/too-often": [429],
    "https://a.org/gone": [404],
    "https://a.org/withdrawn": [410],
    "https://a.org/down-for-a-moment": [503, requests.ConnectionError(), 200],
    "https://a.org/down": [503, 502, 503],
    "https://no-such-host.org/": [requests.ConnectionError()] * 3,
    "https://a.org/slow": [requests.Timeout()] * 3,
}
FAULTS = {
    "https://a.org/gone": "answers 404",
    "https://a.org/withdrawn": "answers 410",
    "https://a.org/down": "answers 503",
    "https://no-such-host.org/": "no answer (ConnectionError)",
    "https://a.org/slow": "no answer (Timeout)",
}


@pytest.fixture
def get():
    left = {address: list(answers) for address, answers in RECORDED.items()}

    def answer(address, **how):
        assert how["timeout"] and how["stream"]
        given = left[address].pop(0)
        if isinstance(given, Exception):
            raise given
        return nullcontext(SimpleNamespace(status_code=given))

    return answer


@pytest.mark.parametrize("address", RECORDED)
def test_what_is_made_of_each_answer(address, get):
    waited = []
    assert links.fault(address, get, waited.append) == FAULTS.get(address, "")
    assert len(waited) == len(RECORDED[address]) - 1


def test_what_does_not_answer_is_told_with_its_files(tmp_path, get, capsys):
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "a.md").write_text("See [it](https://a.org/gone), http://127.0.0.1:8000/.")
    (tmp_path / "README.md").write_text(
        "<https://a.org/gone#part> https://arxiv.org/abs/2209.03077."
    )
    assert links.main(tmp_path, get, lambda pause: None) == 1
    assert capsys.readouterr().out.splitlines() == [
        "https://a.org/gone answers 404: README.md, book/a.md",
        "2 addresses, of which 1 do not answer.",
    ]
    (tmp_path / "book" / "a.md").write_text("")
    (tmp_path / "README.md").write_text("https://a.org/only-for-people")
    assert links.main(tmp_path, get, lambda pause: None) == 0


def test_the_books_own_addresses_are_found_whole():
    found = links.addresses(HOME)
    assert {
        "https://arxiv.org/abs/2209.03077",
        "https://proceedings.mlr.press/v206/damm23a.html",
    } <= set(found)
    assert len(found) > 20
    assert not [address for address in found if address[-1] in ".,;:)" and "(" not in address]


def test_the_hosted_workflow_asks_every_week():
    text = (HOME / ".github" / "workflows" / "book.yml").read_text("utf-8")
    job = text.partition("\n  links:\n")[2]
    assert job.startswith("    if: github.event_name == 'schedule'")
    assert "-m workflow.links" in job.partition("\n\n")[0]
