"""Files of data: the folder they lie in, how they are found there, and how they are downloaded."""

from __future__ import annotations

import gzip
import os
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from companion.support.checks import positive_integer

__all__ = ["Folder", "at_most", "fetch", "find", "folder_or_cache"]

Folder = str | os.PathLike[str] | None
Unpack = Callable[[IO[bytes]], Any]

_BLOCK = 1 << 20


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
    """The files of these names, ``?`` for any character, in ``root`` or up to two folders below.

    The nearest come first, in one folder those of the first name.
    """
    for below in ("", "*/", "*/*/"):
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
    addresses: Sequence[str], target: Path, unpack: Unpack, sha256: str | None = None
) -> None:
    """Download and unpack ``target`` from the first address that delivers it whole.

    Nothing that is incomplete or wrong is ever found under the name of ``target``.

    Parameters
    ----------
    addresses
        Where the packed file is, tried in this order.
    target
        The file to make, in a folder that is made if it is not there.
    unpack
        Opens what was downloaded, such as :func:`gzip.open`.
    sha256
        The checksum that the unpacked file must have, ``None`` if there is none to compare with.

    Raises
    ------
    ConnectionError
        If no address delivers the file; the sentence says for each what went wrong.
    OSError
        If the file cannot be written.
    """
    import pooch
    import requests

    # Not even a server that could may compress once more what is to be unpacked once.
    headers = {"Accept-Encoding": "identity"}
    receive = pooch.HTTPDownloader(progressbar=True, chunk_size=_BLOCK, headers=headers)

    def unpacked(address: str, output: str, _: Any) -> None:
        with tempfile.TemporaryFile(dir=target.parent) as packed:
            receive(address, packed, None)
            packed.seek(0)
            with unpack(packed) as source, open(output, "wb") as file:
                shutil.copyfileobj(source, file, _BLOCK)

    bad_file = (zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, EOFError, KeyError, ValueError)
    failures = []
    for address in addresses:
        try:
            pooch.retrieve(address, sha256, target.name, target.parent, downloader=unpacked)
            target.chmod(0o644)  # pooch's temporary file is for its owner's eyes only
            return
        except requests.ConnectionError as error:
            failures.append(f"{address}: no connection, {type(error).__name__}")
        except (requests.RequestException, *bad_file) as error:
            failures.append(f"{address}: {str(error).partition('. ')[0]}")
        except OSError as error:
            raise OSError(
                f"{target.name} could not be written to {target.parent} "
                f"({error.strerror or error}); make room there or name another folder"
            ) from error
    raise ConnectionError(
        f"{target.name} could not be downloaded to {target.parent} ({'; '.join(failures)}); get it "
        "by other means and name the folder it lies in"
    )
