"""Your own data: tables and images of every layout, one sentence for what is wrong with them."""

from __future__ import annotations

import gzip
import struct

import numpy as np
import pytest
import torch
from PIL import Image

from companion import datasets

NUMBERS = "height,weight\n1.5,20\n1.6,21\n"


@pytest.fixture
def write(tmp_path):
    def write(text, name="my.csv", encoding="utf-8"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
        return path

    return write


@pytest.mark.parametrize(
    "text",
    (
        NUMBERS,
        NUMBERS.replace(",", ";"),
        NUMBERS.replace(",", "\t"),
        NUMBERS.replace(",", ";").replace(".", ","),
        NUMBERS.replace(",", "\t").replace(".", ","),
        "\ufeff" + NUMBERS,
        NUMBERS.replace("\n", "\r\n") + "\r\n",
        '"height","weight"\n"1.5",2e1\n 1.6 ,21',
    ),
)
def test_tables_of_every_layout_are_read(write, text):
    x, names = datasets.table(write(text))
    assert names == ("height", "weight") and x.dtype == torch.float64
    assert x.tolist() == [[1.5, 20.0], [1.6, 21.0]]


def test_a_table_without_names_is_numbered(write):
    x, names = datasets.table(str(write("1,2\n3,4\n")))
    assert names == ("column 0", "column 1") and x.tolist() == [[1.0, 2.0], [3.0, 4.0]]


def test_categories_become_columns_on_request(write):
    path = write("city,size\nRome,1\nBonn,2\nRome,3\n")
    x, names = datasets.table(path, one_hot="city")
    assert names == ("city=Bonn", "city=Rome", "size")
    assert x.tolist() == [[0.0, 1.0, 1.0], [1.0, 0.0, 2.0], [0.0, 1.0, 3.0]]
    assert datasets.table(path, leave_out=["city"]).x.tolist() == [[1.0], [2.0], [3.0]]


@pytest.mark.parametrize(
    ("text", "sentence"),
    (
        ("a,b\n1,2\n3,\n", r"1 of 2 are missing in column 'b', first in line 3"),
        ("a,b\nNA,2\n3,4\n", "missing in column 'a', first in line 2"),
        ("a,b\n1,red\n", "found 'red' in column 'b', line 2; name the column in one_hot"),
        ("a,b\n1,inf\n", "must hold finite numbers: found 'inf' in column 'b', line 2"),
        ("a,b\n1,2,3\n", "must have 2 cells in every line, separated by ',': found 3 in line 2"),
        ("a,a\n1,2\n", r"must have names in its first line .* found \['a'\] twice"),
        ("a,b\n", "found no other line"),
        ("\n\n", "must hold at least one line: it is empty"),
        ("a,b\n1,é\n".encode("latin-1"), "must be text in UTF-8: byte 6 is not"),
        ('a,b\n1,"2\n', "must be a table of text"),
    ),
)
def test_what_is_wrong_in_a_table_is_named(write, text, sentence):
    with pytest.raises(ValueError, match=sentence) as caught:
        datasets.table(write(text))
    assert "\n" not in str(caught.value)


def test_names_that_are_not_there_are_named(write):
    path = write(NUMBERS)
    with pytest.raises(ValueError, match=r"one_hot must name columns of .*: got \['city'\]"):
        datasets.table(path, one_hot=["city"])
    with pytest.raises(ValueError, match="leave_out must leave at least one column"):
        datasets.table(path, leave_out=["height", "weight"])
    for read in (datasets.table, datasets.images):
        with pytest.raises(FileNotFoundError, match="must be a file or folder: there is none"):
            read(path.with_name("other.csv"))
        with pytest.raises(ValueError, match="file must be a text or a PathLike: got 3"):
            read(3)


PIXELS = np.arange(24, dtype=np.uint8).reshape(2, 4, 3) * 10


def idx(array):
    return struct.pack(">4B3I", 0, 0, 8, 3, *array.shape) + array.tobytes()


def saved(folder, kind):
    """The two images of PIXELS as a file or folder of this kind."""
    path = folder / f"my.{kind}"
    if kind == "npy":
        np.save(path, PIXELS)
    elif kind == "npz":
        np.savez(path, images=PIXELS)
    elif kind == "idx":
        path.write_bytes(idx(PIXELS))
    elif kind == "idx.gz":
        path.write_bytes(gzip.compress(idx(PIXELS)))
    else:
        for name, pixels in zip(("a", "b"), PIXELS, strict=True):
            (path / name).mkdir(parents=True)
            Image.fromarray(pixels).save(path / name / "one.png")
    return path


@pytest.mark.parametrize("kind", ("npy", "npz", "idx", "idx.gz", "folder"))
def test_images_of_every_kind_are_read(tmp_path, kind):
    x, shape = datasets.images(saved(tmp_path, kind))
    assert shape == (4, 3) and x.dtype == torch.float64
    assert np.array_equal(x.numpy(), PIXELS.reshape(2, 12) / 255)


@pytest.mark.parametrize(
    ("array", "expected"),
    (
        (np.ones((5, 3, 8, 6), np.float32), (8, 6, 3)),
        (np.ones((5, 8, 6, 3)), (8, 6, 3)),
        (np.ones((5, 8, 6, 1), bool), (8, 6)),
        (np.full((5, 1, 8, 6), 65535, np.uint16), (8, 6)),
    ),
)
def test_arrays_have_their_colours_last_and_go_up_to_one(tmp_path, array, expected):
    np.save(tmp_path / "my.npy", array)
    x, shape = datasets.images(tmp_path / "my.npy")
    assert shape == expected and bool((x == 1).all()) and x.shape == (5, np.prod(expected))


def test_colour_pictures_are_rows_of_red_green_and_blue(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (2, 3, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "one.png")
    x, shape = datasets.images(tmp_path)
    assert shape == (2, 3, 3)
    assert np.array_equal(x.reshape(-1, *shape)[0].numpy(), pixels / 255)


def test_what_is_wrong_with_images_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"must hold pictures \(.png, .*: found none"):
        datasets.images(tmp_path)
    for name, size in (("a.png", (4, 3)), ("b.png", (4, 4))):
        Image.new("L", size).save(tmp_path / name)
    with pytest.raises(ValueError, match=r"one size and kind: a.png has shape \(3, 4\), b.png \(4"):
        datasets.images(tmp_path)
    (tmp_path / "b.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"b.png must be a picture: "):
        datasets.images(tmp_path)
    np.save(tmp_path / "flat.npy", np.ones((3, 4)))
    with pytest.raises(ValueError, match=r"shape \(N, height, width\).*found float64 of shape \(3"):
        datasets.images(tmp_path / "flat.npy")
    np.save(tmp_path / "gap.npy", np.full((3, 2, 2), np.nan))
    with pytest.raises(ValueError, match="found NaN or infinity in image 0"):
        datasets.images(tmp_path / "gap.npy")
    np.savez(tmp_path / "two.npz", a=PIXELS, b=PIXELS)
    with pytest.raises(
        ValueError, match=r"key must name one of its arrays, \['a', 'b'\]: got None"
    ):
        datasets.images(tmp_path / "two.npz")
    assert datasets.images(tmp_path / "two.npz", key="b").shape == (4, 3)
    for name, data in (("cut.idx", idx(PIXELS)[:-1]), ("no.npy", b"no"), ("my.csv", b"a,b\n1,2\n")):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(
            ValueError, match=r"must be a folder of pictures, a \.npy, a \.npz or an IDX"
        ):
            datasets.images(tmp_path / name)
