"""What every test shares: one thread for torch, and the browser where there is one."""

from __future__ import annotations

import os
import random
import re
import sys
from pathlib import Path

import pytest
from hypothesis import settings

from workflow.pdf import find_chromium
from workflow.progress import Problem
from workflow.project import Project

# Hypothesis draws the same examples on every run: a red test stays red, a green one green.
settings.register_profile("companion", derandomize=True, deadline=None, database=None)
settings.load_profile("companion")

INSTALL_CHROMIUM = (
    "Chromium is not installed (Debian: sudo apt-get install chromium; Ubuntu: sudo snap install "
    "chromium; macOS: brew install --cask chromium; or name one with CHROMIUM=/path/to/chromium)"
)


def in_ci() -> bool:
    return os.environ.get("CI", "").lower() not in ("", "0", "false")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--order", metavar="SEED", help="files, and tests in each, in random order")


def shuffled(items: list[pytest.Item], seed: str) -> list[pytest.Item]:
    """The tests in an order that the seed gives: a file's tests stay together, and its fixtures."""
    files: dict[Path, list[pytest.Item]] = {}
    for item in items:
        files.setdefault(item.path, []).append(item)
    generator, order = random.Random(seed), list(files.values())
    generator.shuffle(order)
    for tests in order:
        generator.shuffle(tests)
    return [item for tests in order for item in tests]


@pytest.hookimpl(tryfirst=True)  # -m reads the marks that are set here
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what runs on demand only, unless -m asks for it by name; shuffle, if asked.

    What runs the small book or a sweep is slow, and what is slow begins first: else one worker
    would wait at the end for another's.
    """
    for item in items:
        if {"template", "swept"} & set(getattr(item, "fixturenames", ())):
            item.add_marker("slow")
    if config.option.order:
        items[:] = shuffled(items, config.option.order)
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)
    unasked = {"setup", "slurm", "crossed"} - set(re.findall(r"\w+", config.option.markexpr))
    left_out = [item for item in items if any(map(item.get_closest_marker, unasked))]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip browser tests where there is no browser; in CI that is a failure."""
    if item.get_closest_marker("web") and find_chromium() is None:
        if in_ci():
            pytest.fail(f"the browser tests must run in CI: {INSTALL_CHROMIUM}", pytrace=False)
        pytest.skip(INSTALL_CHROMIUM)


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """Path of the Chromium that a test marked `web` drives."""
    path = find_chromium()
    if path is None:
        if in_ci():
            pytest.fail(f"the browser tests must run in CI: {INSTALL_CHROMIUM}", pytrace=False)
        pytest.skip(INSTALL_CHROMIUM)
    return path


@pytest.fixture(scope="session")
def site():
    """Folder of the current site; without it the test is skipped, or fails in CI."""
    try:
        return Project().site()
    except Problem as problem:
        if in_ci():
            pytest.fail(str(problem), pytrace=False)
        pytest.skip(str(problem))


@pytest.fixture(autouse=True)
def _one_torch_thread() -> None:
    """One thread, so that sums are added in one order and tests don't fight for cores."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.get_num_threads() != 1:
        torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _closed_figures():
    """No test leaves a figure open."""
    yield
    pyplot = sys.modules.get("matplotlib.pyplot")
    if pyplot is not None:
        pyplot.close("all")
