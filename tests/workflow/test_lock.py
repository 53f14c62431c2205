"""What renews the locks: which files count, in what words, and where torch's hashes are from."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from workflow import lock
from workflow.environment import SetupError

TORCH = {"name": "torch", "version": "9.1"}
PAGE = """
<a href="/whl/cpu/torch-9.1%2Bcpu-cp311-cp311-manylinux_2_28_x86_64.whl#sha256=aa" >a</a><br>
<a href="/whl/cpu/torch-9.1%2Bcpu-cp311-cp311-win_amd64.whl#sha256=bb" data-x="y">b</a><br>
<a href="https://else.where/torch-9.1%2Bcpu-cp313-cp313-manylinux_2_28_aarch64.whl#sha256=cc">c</a>
<a href="/whl/cpu/torch-9.1-cp313-cp313-macosx_14_0_arm64.whl#sha256=dd">d</a>
<a href="/whl/cpu/torch-9.11%2Bcpu-cp311-cp311-manylinux_2_28_x86_64.whl#sha256=ee">e</a>
"""


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("py3-none-any", True),
        ("py2.py3-none-any", True),
        ("py2-none-any", False),
        ("cp311-cp311-manylinux_2_28_x86_64", True),
        ("cp313-cp313-manylinux2014_aarch64.manylinux_2_17_aarch64", True),
        ("cp312-cp312-macosx_11_0_arm64", True),
        ("cp312-cp312-macosx_10_13_universal2", True),
        ("cp312-cp312-macosx_10_13_x86_64", False),
        ("cp39-abi3-manylinux_2_17_x86_64", True),
        ("cp314-abi3-manylinux_2_17_x86_64", False),
        ("cp313-cp313t-manylinux_2_28_x86_64", False),
        ("cp310-cp310-manylinux_2_28_x86_64", False),
        ("cp314-cp314-manylinux_2_28_x86_64", False),
        ("cp311-cp311-musllinux_1_2_x86_64", False),
        ("cp311-cp311-win_amd64", False),
        ("pp311-pypy311_pp73-manylinux_2_28_x86_64", False),
    ],
)
def test_only_files_for_our_pythons_and_systems_count(tags: str, expected: bool) -> None:
    assert lock.fits(f"https://files.example/toy-1.0%2Blocal-{tags}.whl") == expected


def test_where_no_wheel_fits_the_source_counts_and_must_be_there() -> None:
    wheel = {"url": "https://x/toy-1-cp27-cp27m-win32.whl", "hashes": {"sha256": "aa"}}
    source = {"url": "https://x/toy-1.tar.gz", "hashes": {"sha256": "bb"}}
    package = {"name": "toy", "version": "1", "wheels": [wheel]}
    assert lock.hashes(package | {"sdist": source}) == ["bb"]
    with pytest.raises(SetupError, match="toy 1 has no file for our systems"):
        lock.hashes(package)


@pytest.mark.parametrize(
    ("marker", "written"),
    [
        ("python_full_version < '3.15'", ""),
        ("sys_platform != 'win32'", ""),
        (
            "(platform_machine == 'aarch64' or platform_machine == 'x86_64') and "
            "sys_platform == 'linux'",
            " ; sys_platform == 'linux'",
        ),
        ("python_full_version == '3.12.*'", " ; python_version == '3.12'"),
        ("python_full_version < '3.13'", " ; python_full_version < '3.13'"),
    ],
)
def test_a_line_says_where_it_applies_in_the_simplest_words(marker: str, written: str) -> None:
    package = {"name": "toy", "version": "1.0", "marker": marker, "hashes": ["bb", "aa"]}
    assert lock.line(package) == f"toy==1.0{written} --hash=sha256:aa --hash=sha256:bb"


def test_what_no_system_of_ours_needs_does_not_apply() -> None:
    for marker in ("sys_platform == 'win32'", "implementation_name == 'pypy'"):
        assert not any(lock.applies(marker))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "requirements").mkdir()
    text = "# A lock.\ntorch==9.1+cpu --hash=sha256:0a --hash=sha256:0b\n"
    lock.lock_path(tmp_path, "torch-cpu").write_text(text)
    return tmp_path


def test_hashes_of_cpu_builds_are_from_pytorchs_index(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = io.BytesIO(PAGE.encode())
    monkeypatch.setattr(lock.urllib.request, "urlopen", lambda *_, **__: page)
    found = lock.cpu_builds(root, TORCH)
    assert found == TORCH | {"version": "9.1+cpu", "hashes": ["aa", "cc"]}


def test_hashes_of_cpu_builds_stay_where_the_index_is_away(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def away(*_: object, **__: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr(lock.urllib.request, "urlopen", away)
    assert lock.cpu_builds(root, TORCH)["hashes"] == ["0a", "0b"]
    assert "out of reach (no network): the hashes of the CPU builds stay" in capsys.readouterr().out
    with pytest.raises(SetupError, match=r"No CPU build of torch 9\.2\+cpu is known"):
        lock.cpu_builds(root, TORCH | {"version": "9.2"})


def test_conda_gets_the_versions_of_the_locks(tmp_path: Path) -> None:
    text = "dependencies:\n  - python=3.11\n  - pytorch-cpu=1.0\n  - pip:\n      - toy==1.0\n"
    (tmp_path / "environment.yml").write_text(text)
    lock.write_conda(tmp_path, {"torch": "2.0", "toy": "3.0"})
    expected = text.replace("cpu=1.0", "cpu=2.0").replace("toy==1.0", "toy==3.0")
    assert (tmp_path / "environment.yml").read_text() == expected
