"""The recorded experiments: what is read is what the files hold, and they are whole."""

import json
import re
from importlib.resources import files

import numpy as np
import pytest

from companion.studies import full_size

EXPERIMENTS = {"linear VAE": "plane", "VAE-1": "digits", "VAE-3": "ring"}


@pytest.mark.parametrize("name", EXPERIMENTS.values())
def test_every_recorded_case_is_whole(name):
    content = json.loads((files(full_size) / f"{name}.json").read_text("utf-8"))["cases"]
    cases = full_size.measured(name)
    assert len(cases) == sum(bool(case["seeds"]) for case in content)
    for case, one in zip(filter(lambda c: c["seeds"], content), cases.values(), strict=True):
        assert one.elbo.shape == one.gap.shape == (len(one.seeds), len(one.steps))
        assert one.steps[0] == 0 and one.steps[-1] == one.settings["steps"]
        assert np.isfinite(one.elbo).all() and np.isfinite(one.gap).all()
        assert len(one.seeds) <= one.planned == case["planned"]
        assert len(set(one.seeds)) == len(one.seeds) == len(set(case["sha256"]))
        terms = [np.array(case["spread"][f"{n}_entropy"]) for n in ("posterior", "observable")]
        assert all(np.isfinite(part).all() for part in terms)


def test_cases_are_named_by_what_sets_them_apart():
    names = list(full_size.measured("digits"))
    assert names[0] == "as published"
    assert "1 sample of z, tanh units" in names and "1 sample of z, τ from exp" in names


def test_an_error_is_shown_in_so_many_digits():
    assert [full_size._places(error) for error in (0.0, 0.0048, 0.3, 2.0, 30.0)] == [2, 3, 1, 0, 0]
    assert [full_size._places(error, 2) for error in (0.0048, 3.93, 42.0)] == [4, 1, 0]


def test_tables_say_how_many_seeds_there_are():
    text = str(full_size.overview(EXPERIMENTS))
    shown = full_size.overview(EXPERIMENTS)._repr_html_()
    assert not re.search(r"\de[+-]\d|[ (>]-\d", shown)  # numbers for readers
    assert "10 of 10" in text and "100 of 100" in text
    gains = re.findall(r"[+−]\d+\.?(\d*) ± \d+\.?(\d*)", text)
    assert gains and all(len(mean) == len(error) for mean, error in gains)
    base = full_size.NAMES[1]
    for name, case, *_, gain, _, _ in full_size.overview(EXPERIMENTS).rows():
        if case == base:
            assert gain == ""
        elif gain:
            mean, error = full_size.paired(EXPERIMENTS[name], case, base)
            shown, deviation = (float(n.replace("−", "-")) for n in gain.split(" ± "))
            assert abs(shown - mean) <= error and 0.5 < deviation / error < 1.5
    rows = dict(full_size.differences("digits"))
    one = full_size.measured("digits")["as published"]
    worst = 100 * np.abs(one.gap[:, -1] / one.elbo[:, -1]).max()
    assert rows["as published"]["one seed"].max() == pytest.approx(worst)
    assert "H200" in str(full_size.machines(EXPERIMENTS))
    mean, error = full_size.paired("ring", "1 sample of z, tanh units", "1 sample of z")
    cases = full_size.measured("ring")
    few, all_ = cases["1 sample of z, tanh units"], cases["1 sample of z"]
    apart = [
        few.elbo[row, -1] - all_.elbo[all_.seeds.index(seed), -1]
        for row, seed in enumerate(few.seeds)
    ]
    assert mean == pytest.approx(np.mean(apart))
    assert error == pytest.approx(np.std(apart, ddof=1) / len(apart) ** 0.5)
    ((_, axis, small, large, seeds, apart),) = full_size.compared({"a": (1.5, all_)}, 4).rows()
    assert (axis, small, seeds, apart) == (4, 1.5, 100, large - 1.5)
    assert large == pytest.approx(100 * np.median(np.abs(all_.gap[:, -1] / all_.elbo[:, -1])))
    moved = full_size.replayed(EXPERIMENTS).rows()
    assert all(row[3] <= row[4] for row in moved)
    assert {row[0] for row in moved} == EXPERIMENTS.keys()
