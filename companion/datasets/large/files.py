"""Files of data: where they lie, how they are checked, and how they are downloaded."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import http.client
import os
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

__all__ = [
    "FolderLike",
    "cache_folder",
    "check_sha256",
    "fetch",
    "folder_or_cache",
    "read_idx",
    "replacing",
    "sha256_of",
]

FolderLike = str | os.PathLike[str]

_BLOCK = 1 << 20
_TIMEOUT = 60


def cache_folder() -> Path:
    """Where downloads go if no folder is named: ``$COMPANION_DATA``, else the user's cache.

    The user's cache is ``$XDG_CACHE_HOME/companion``, or ``~/.cache/companion``.
    """
    named = os.environ.get("COMPANION_DATA")
    if named:
        return Path(named).expanduser()
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / "companion"


def folder_or_cache(folder: FolderLike | None, name: str) -> Path:
    """The folder that the user names, or the cache's own for the data ``name``."""
    return cache_folder() / name if folder is None else Path(folder).expanduser()


def sha256_of(path: Path) -> str:
    """The SHA-256 checksum of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_sha256(path: Path, expected: str, hint: str) -> None:
    """Raise a ``ValueError`` that names both checksums unless the file has the ``expected`` one."""
    found = sha256_of(path)
    if found != expected:
        raise ValueError(
            f"{path} is corrupted or another file: its SHA-256 is {found}, expected {expected}; "
            f"{hint}"
        )


@contextlib.contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """A path beside ``target`` to write to, which becomes ``target`` if the block succeeds.

    If it does not, whatever was written is removed, and ``target`` is as before.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f"{target.name}.{os.getpid()}.part")
    try:
        yield partial
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)


def fetch(addresses: Sequence[str], target: Path, sha256: str | None = None) -> None:
    """Download ``target`` from the first address that delivers it whole.

    A file that ends early, or whose SHA-256 is not ``sha256``, is thrown away; nothing that is
    incomplete or wrong is ever found under the name of ``target``.

    Raises
    ------
    ConnectionError
        If no address delivers the file; the sentence says for each what went wrong.
    """
    failures = []
    for address in addresses:
        try:
            with replacing(target) as partial:
                found = _receive(address, partial)
                if sha256 is not None and found != sha256:
                    raise OSError(f"its SHA-256 is {found}, expected {sha256}")
            return
        except (OSError, http.client.HTTPException) as error:
            failures.append(f"{address}: {error}")
    raise ConnectionError(
        f"{target.name} could not be downloaded to {target.parent} ({'; '.join(failures)}); get it "
        "by other means and name the folder it lies in"
    )


def _receive(address: str, path: Path) -> str:
    """Write what ``address`` delivers to ``path``; return its SHA-256."""
    request = urllib.request.Request(address, headers={"User-Agent": "companion"})
    digest, received = hashlib.sha256(), 0
    with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer, path.open("wb") as file:
        announced = answer.headers.get("Content-Length")
        for block in _blocks(answer):
            digest.update(block)
            received += len(block)
            file.write(block)
    # A connection that breaks off looks like the end of the file.
    if announced is not None and received != int(announced):
        raise OSError(f"it ended after {received} of {announced} bytes")
    return digest.hexdigest()


def _blocks(file: Any) -> Iterator[bytes]:
    while block := file.read(_BLOCK):
        yield block


def read_idx(path: Path) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """The array of bytes in an IDX file, plain or compressed (``.gz``).

    The format: two zero bytes, the type (8: unsigned bytes), the number of dimensions, each
    dimension as a big-endian 32-bit integer, then the entries.
    """
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        content = file.read()
    if content[:3] != b"\0\0\x08" or len(content) < 4 * (1 + content[3]):
        raise ValueError(f"{path} must be an IDX file of unsigned bytes: it begins {content[:4]!r}")
    start = 4 * (1 + content[3])
    shape = np.frombuffer(content[4:start], ">u4").astype(int)
    entries = np.frombuffer(content[start:], np.uint8)
    if entries.size != shape.prod():
        raise ValueError(f"{path} must have {shape.prod()} entries: found {entries.size}")
    return entries.reshape(shape)
