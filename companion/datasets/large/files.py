"""Files of data: the folder they lie in, how they are found there, and how they are downloaded."""

from __future__ import annotations

import os
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any
from urllib.parse import urljoin, urlsplit

from companion.support.checks import positive_integer

__all__ = ["BAD_FILE", "Folder", "at_most", "fetch", "find", "folder_or_cache", "member", "said"]

Folder = str | os.PathLike[str] | None
Unpack = Callable[[IO[bytes]], Any]

#: What the standard library raises for bytes that are not what they should be.
BAD_FILE = (
    *(OSError, EOFError, ValueError, KeyError, RuntimeError, OverflowError),
    *(struct.error, zlib.error, zipfile.BadZipFile),
)
_BLOCK = 1 << 20
_REDIRECTS = 5


def folder_or_cache(folder: Folder, name: str) -> Path:
    """The folder that the reader names, or the cache's own for the data ``name``.

    The cache is ``$COMPANION_DATA``, else ``$XDG_CACHE_HOME/companion``, else
    ``~/.cache/companion``.
    """
    if folder is None:
        user = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
        folder = Path(os.environ.get("COMPANION_DATA") or f"{user}/companion", name)
    return Path(folder).expanduser()


def find(root: Path, *names: str) -> Iterator[Path]:
    """The files of these names, ``?`` for any character, in ``root`` or up to three folders below.

    The nearest come first, in one folder those of the first name.
    """
    for below in ("", "*/", "*/*/", "*/*/*/"):
        for name in names:
            yield from filter(Path.is_file, sorted(root.glob(f"{below}{name}")))


def at_most(count: int | None, available: int) -> int:
    """The number of rows to give, all if ``count`` is ``None``."""
    if count is None:
        return available
    if positive_integer(count, "count") > available:
        raise ValueError(f"count must be at most {available}: got {count}")
    return count


def fetch(
    addresses: Sequence[str],
    target: Path,
    unpack: Unpack,
    largest: int,
    sha256: str | None = None,
    check: Callable[[Path], None] | None = None,
    keep: bool = False,
) -> None:
    """Download and unpack ``target`` from the first address that delivers it whole.

    Nothing that is incomplete or wrong is ever found under the name of ``target``, what was there
    is replaced by what is right only, and no more than a block of it is in memory at a time.

    Parameters
    ----------
    addresses
        Where the packed file is, tried in this order; one with https leads to no other kind.
    target
        The file to make, in a folder that is made if it is not there.
    unpack
        Opens what was downloaded, such as :func:`gzip.open` or :func:`member`.
    largest
        The most bytes that the file may have, packed or unpacked.
    sha256
        The checksum that the unpacked file must have, ``None`` if there is none to compare with.
    check
        Raises a ``ValueError`` for an unpacked file that is not what it should be.
    keep
        Whether a file that is replaced stays, with ``.replaced`` after its name.

    Raises
    ------
    ConnectionError
        If no address delivers the file; the sentence says for each what went wrong.
    OSError
        If the file cannot be written.
    """
    import pooch
    import requests
    import urllib3

    def unpacked(address: str, output: str, _: Any) -> None:
        with tempfile.TemporaryFile(dir=target.parent) as packed, open(output, "wb") as file:
            for block in _received(address, largest):
                packed.write(block)
            packed.seek(0)
            for block in _unpacked(packed, unpack, largest):
                file.write(block)

    failures = []
    for address in addresses:
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".", dir=target.parent) as folder:
                fresh = Path(folder, target.name)
                pooch.retrieve(address, sha256, target.name, folder, downloader=unpacked)
                if check:
                    check(fresh)
                fresh.chmod(0o644)  # pooch's is for its owner's eyes only
                if keep and target.exists():
                    target.replace(target.with_name(f"{target.name}.replaced"))
                fresh.replace(target)
            return
        except requests.ConnectionError as error:
            failures.append(f"{address}: no connection or no valid answer, {type(error).__name__}")
        except (requests.RequestException, urllib3.exceptions.HTTPError, ValueError) as error:
            failures.append(f"{address}: {said(error)}")
        except OSError as error:
            raise OSError(
                f"{target.name} could not be written to {target.parent} "
                f"({error.strerror or error}); make room there or name another folder"
            ) from error
    raise ConnectionError(
        f"{target.name} could not be downloaded to {target.parent} ({'; '.join(failures)}); get it "
        "by other means and name the folder it lies in"
    )


def member(name: str) -> Unpack:
    """Opens the file ``name`` of a zip archive; no other is looked at, nor where it wants to go."""

    def opened(packed: IO[bytes]) -> IO[bytes]:
        archive = zipfile.ZipFile(_Sparing(packed))
        about = archive.getinfo(name)
        if about.flag_bits & 1:
            raise ValueError(f"{name} is encrypted in the archive")
        if about.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError(f"{name} is compressed by the unknown method {about.compress_type}")
        return archive.open(about)

    return opened


class _Sparing:
    """A file that hands out a block at a time: what claims a larger index is found cut off."""

    def __init__(self, file: IO[bytes]) -> None:
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable
        self._file = file

    def read(self, size: int = -1) -> bytes:
        return self._file.read(_BLOCK if size < 0 else min(size, _BLOCK))


def _received(address: str, largest: int) -> Iterator[bytes]:
    """What an address sends, block by block and as it was sent, with a bar of its progress."""
    import requests
    from tqdm import tqdm

    # Not even a server that could may compress once more what is to be unpacked once.
    headers = {"Accept-Encoding": "identity"}
    for _ in range(_REDIRECTS + 1):
        with requests.get(
            address, headers=headers, stream=True, timeout=60, allow_redirects=False
        ) as answer:
            if answer.is_redirect:
                address = _led_to(address, answer.headers["Location"])
                continue
            if answer.status_code != 200:
                raise ValueError(f"the server answers with status {answer.status_code}")
            coding = answer.headers.get("Content-Encoding", "identity")
            if coding != "identity":
                raise ValueError(
                    f"the server sends the coding {coding[:40]!r}, not the file itself"
                )
            announced = answer.headers.get("Content-Length")
            if announced is not None and not (announced.isdecimal() and len(announced) < 16):
                raise ValueError(f"the server announces a length of {announced[:40]!r}")
            if announced is not None and int(announced) > largest:
                raise ValueError(f"{announced} bytes are announced, at most {largest} expected")
            received = 0
            with tqdm(total=announced and int(announced), unit="B", unit_scale=True) as bar:
                while block := answer.raw.read(_BLOCK, decode_content=False):
                    received += len(block)
                    if received > largest:
                        raise ValueError(f"more than {largest} bytes are sent")
                    bar.update(len(block))
                    yield block
            return
    raise ValueError(f"it leads elsewhere more than {_REDIRECTS} times")


def _led_to(address: str, location: str) -> str:
    """Where a redirection leads, in https if it came from there."""
    target = urljoin(address, location)
    if urlsplit(address).scheme == "https" and urlsplit(target).scheme != "https":
        raise ValueError(f"it leads to {target[:100]!r}, which is not https")
    return target


def _unpacked(packed: IO[bytes], unpack: Unpack, largest: int) -> Iterator[bytes]:
    """What is in a packed file, block by block; a ``ValueError`` if that cannot be had."""
    unpacked = 0
    try:
        with unpack(packed) as source:
            while block := source.read(_BLOCK):
                unpacked += len(block)
                if unpacked > largest:
                    raise ValueError(f"more than {largest} bytes are packed in it")
                yield block
    except BAD_FILE as error:
        raise ValueError(said(error)) from error


def said(error: BaseException) -> str:
    """The first sentence of what an error says, in one line."""
    words = getattr(error, "strerror", None) or (error.args[0] if error.args else "")
    return " ".join(str(words).split()).partition(". ")[0][:200] or type(error).__name__
