"""`make test ORDER=seed`: every test once, files whole, in an order that only the seed decides."""

from itertools import pairwise
from types import SimpleNamespace

from tests.conftest import shuffled


def test_a_seed_orders_files_and_the_tests_in_them():
    items = [SimpleNamespace(path=file, name=f"{file}{n}") for file in "abcdefgh" for n in range(9)]
    orders = {seed: [item.name for item in shuffled(items, seed)] for seed in ("1", "2")}
    assert orders["1"] == [item.name for item in shuffled(items, "1")] != orders["2"]
    for order in orders.values():
        assert sorted(order) == [item.name for item in items] != order
        files = [name[0] for name in order]
        assert len([a for a, b in pairwise(files) if a != b]) == 7
        assert files != sorted(files)
        assert any(order[i] > order[i + 1] for i in range(70) if files[i] == files[i + 1])
