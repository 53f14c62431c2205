"""Data in blocks: what may be a source, that each block is looked at, that nothing is kept."""

import numpy as np
import pytest
import torch

from companion.datasets import Blocks, digits
from companion.support.blocks import in_blocks


@pytest.fixture
def x():
    return np.random.default_rng(0).normal(size=(70_000, 40))


def test_every_source_gives_all_points_in_order_and_again(x, tmp_path):
    np.save(tmp_path / "x.npy", x)
    on_disk = np.load(tmp_path / "x.npy", mmap_mode="r")
    arrays = [x[:1], torch.tensor(x[1:50_000]), x[50_000:].astype(object)]
    sources = (x, torch.tensor(x), on_disk, tmp_path / "x.npy", str(tmp_path / "x.npy"), arrays)
    for source in (*sources, lambda: iter(arrays)):
        blocks = Blocks(source)
        for _ in range(2):
            found = list(blocks)
            assert len(found) > 1 and all(b.dtype == torch.float64 for b in found)
            assert torch.equal(torch.cat(found), torch.tensor(x)) and blocks.points == len(x)


def test_an_array_that_can_be_written_keeps_what_was_written(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((9, 2)))
    for mode, value in (("r+", 5.0), ("c", 7.0)):
        array = np.load(tmp_path / "x.npy", mmap_mode=mode)
        array[0, 0] = value
        array.flags.writeable = False
        assert [float(block[0, 0]) for block in Blocks(array)] == [value] and array[0, 0] == value


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ([np.zeros((2, 3)), np.full((1, 3), np.nan)], r"block 2 of x must be finite: found 3"),
        ([np.zeros((2, 3)), np.zeros((1, 2))], r"block 2 of x must have 3 columns"),
        ([np.zeros(3)], r"block 1 of x must have shape \(N, D\)"),
        ([["a"]], r"block 1 of x must be"),
        ([], r"x must give at least one block each time it is read: got 0 points"),
        (np.zeros((0, 3)), r"at least one block"),
    ],
)
def test_a_block_that_is_no_data_is_named(source, words):
    with pytest.raises(ValueError, match=words):
        list(Blocks(source))


@pytest.mark.parametrize("source", [3, None, iter([]), {"x": 1}])
def test_what_cannot_be_read_twice_is_refused(source):
    with pytest.raises(ValueError, match="source must be a path, an array, arrays that can be"):
        Blocks(source)


def test_a_function_that_gives_less_the_second_time_is_found_out():
    arrays = iter([np.zeros((2, 3)), np.zeros((4, 3))])
    blocks = Blocks(lambda: arrays)
    list(blocks)
    with pytest.raises(ValueError, match="x must give at least one block each time"):
        list(blocks)


def test_data_in_memory_are_not_taken_for_blocks():
    x = digits()
    for data in (x, x.numpy(), x.tolist(), [[1, 2], [3, 4]], x[0], "x.npy", 3, None, {}):
        assert in_blocks(data) is None
    assert in_blocks([x, x]) is not None


def test_a_function_that_gives_other_points_the_second_time_is_found_out():
    sizes = [2, 4]
    blocks = Blocks(lambda: iter([np.zeros((sizes.pop(), 3))]))
    list(blocks)
    with pytest.raises(ValueError, match="the 4 points of before each time it is read: got 2"):
        list(blocks)
