"""Chapters with other data: the cell tagged `data` changed, every claim holds."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_breast_cancer, load_iris, load_sample_image

from companion.book import claims
from workflow.exercises import source, tags

HOME = Path(__file__).resolve().parents[2]
CHAPTERS = sorted(
    path.stem
    for path in (HOME / "notebooks").glob("*.ipynb")
    if any("data" in tags(cell) for cell in json.loads(path.read_text("utf-8"))["cells"])
)


#: Of numbers, a table for each family of the chapter on mixtures.
FOUR_TABLES = """
import torch
x = (x - x.mean(0)) / x.std(0)
counts, sizes, ratios = (1 + x / 2).exp().floor(), x.exp(), x.sigmoid()
angles = torch.atan2(x, x.roll(1, 1))
words = size_names = ratio_names = angle_names = [f"column {n}" for n in range(len(x.T))]
"""


def table(path, values):
    lines = [",".join(f"column {n}" for n in range(values.shape[1]))]
    lines += [",".join(map(str, row)) for row in values]
    path.write_text("\n".join(lines))
    return (
        f"x, names = datasets.table({str(path)!r})\nx, picture = (x - x.mean(0)) / x.std(0), None"
    )


def pictures(path):
    """Two hundred grey pieces of a photograph, 6 pixels high and 9 wide."""
    grey = load_sample_image("china.jpg").mean(2).astype("u1")
    pieces = grey[:420, :630].reshape(70, 6, 70, 9).swapaxes(1, 2).reshape(-1, 6, 9)
    path.mkdir()
    for number, piece in enumerate(pieces[:: len(pieces) // 200]):
        Image.fromarray(np.ascontiguousarray(piece)).save(path / f"{number:04}.png")
    return f"x, picture = datasets.images({str(path)!r})\nnames = None"


def line(kind, folder):
    """What a reader writes into the cell tagged `data`."""
    if kind == "pictures":
        return pictures(folder / "mine")
    values = load_iris().data[:, :3] if kind == "three columns" else load_breast_cancer().data
    return table(folder / "my.csv", values)


#: What each chapter is tried with by default: "three columns", but for these. Weekly, with all.
TAKEN = {"probabilistic-pca": "pictures", "sigmoid-belief-networks": "thirty columns"}


@pytest.mark.slow
@pytest.mark.filterwarnings("default:Newton ended")  # near a maximum at infinity, as it should
@pytest.mark.parametrize(
    ("chapter", "kind"),
    [
        pytest.param(
            *(chapter, kind),
            marks=[pytest.mark.crossed] if kind != TAKEN.get(chapter, "three columns") else [],
        )
        for chapter in CHAPTERS
        for kind in ("three columns", "thirty columns", "pictures")
        if (chapter, kind) != ("mixtures-of-any-family", "pictures")  # it takes tables
    ],
)
def test_every_claim_holds_for_other_data(chapter, kind, tmp_path, monkeypatch, capsys):
    data = line(kind, tmp_path)
    if chapter == "sigmoid-belief-networks":
        data += "\nx = (x > x.mean(0)).to(x)"
    if chapter == "mixtures-of-any-family":
        data += FOUR_TABLES
    monkeypatch.setattr(claims, "_claims", {})
    monkeypatch.setattr(claims, "_values", {})
    namespace: dict[str, object] = {}
    cells = json.loads((HOME / "notebooks" / f"{chapter}.ipynb").read_text("utf-8"))["cells"]
    for cell in cells:
        if cell["cell_type"] == "code":
            text = data if "data" in tags(cell) else source(cell)
            exec(text.replace('tier = "book"', 'tier = "smoke"'), namespace)
    assert len(claims._claims) > 4
    assert [str(claim) for claim in claims._claims.values() if not claim.holds] == []
