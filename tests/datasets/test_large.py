"""MNIST, SUSY and CelebA from fabricated folders and a server on this machine."""

from __future__ import annotations

import errno
import gzip
import hashlib
import http.server
import io
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from companion import datasets
from companion.datasets.large import celeba, files, mnist, susy

IMAGES = "train-images-idx3-ubyte"
PIXELS = np.random.default_rng(0).integers(0, 256, (7, 28, 28), dtype=np.uint8)


def idx(array):
    """The array of bytes in the IDX format: its type, each dimension in four bytes, its entries."""
    header = bytes([0, 0, 8, array.ndim])
    return header + b"".join(n.to_bytes(4, "big") for n in array.shape) + array.tobytes()


def sha256(content):
    return hashlib.sha256(content).hexdigest()


PLAIN = {IMAGES: idx(PIXELS)}
PACKED = gzip.compress(PLAIN[IMAGES])


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Small data, an empty cache, and no address outside this machine."""
    monkeypatch.setenv("COMPANION_DATA", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(mnist, "SHA256", {name: sha256(text) for name, text in PLAIN.items()})
    monkeypatch.setattr(mnist, "ADDRESSES", ("http://127.0.0.1:9/",))
    monkeypatch.setattr(susy, "ADDRESSES", ("http://127.0.0.1:9/susy.zip",))
    monkeypatch.setattr(susy, "ROWS", 5)
    monkeypatch.setattr(celeba, "IMAGES", 3)
    return tmp_path / "cache"


@pytest.fixture
def server(monkeypatch):
    """A web server whose pages are set by the test: path to content, or content and its length."""
    pages, asked = {}, []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            if self.path not in pages:
                self.send_error(404)
                return
            content, announced = pages[self.path]
            self.send_response(200)
            self.send_header("Content-Length", str(announced or len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments):
            pass

    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=running.serve_forever)
    thread.start()
    address = f"http://127.0.0.1:{running.server_port}/"
    monkeypatch.setattr(mnist, "ADDRESSES", ("http://127.0.0.1:9/", address))
    monkeypatch.setattr(susy, "ADDRESSES", (f"{address}susy.zip",))
    yield address, pages, asked
    running.shutdown()
    thread.join()
    running.server_close()


def folder(root, contents):
    for name, content in contents.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def everything(root):
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


# --- where files lie ------------------------------------------------------------------------------


def test_the_cache_folder(monkeypatch, tmp_path):
    assert files.folder_or_cache(None, "mnist") == tmp_path / "cache" / "mnist"
    assert files.folder_or_cache("here", "mnist") == Path("here")
    monkeypatch.delenv("COMPANION_DATA")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert files.folder_or_cache(None, "susy") == tmp_path / "companion" / "susy"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert files.folder_or_cache(None, "susy") == tmp_path / ".cache" / "companion" / "susy"
    assert files.folder_or_cache("~/data", "susy") == tmp_path / "data"


# --- MNIST ----------------------------------------------------------------------------------------

LAYOUTS = {
    "in the folder": {IMAGES: PLAIN[IMAGES]},
    "compressed": {f"{IMAGES}.gz": PACKED},
    "compressed again": {f"{IMAGES}.gz": gzip.compress(PLAIN[IMAGES], 1, mtime=5)},
    "unpacked by a browser": {f"{IMAGES}.gz": PLAIN[IMAGES]},
    "torchvision": {f"MNIST/raw/{IMAGES}.gz": PACKED, f"FashionMNIST/raw/{IMAGES}": b"other"},
    "torchvision's own folder": {f"raw/{IMAGES}": PLAIN[IMAGES]},
    "whole beside cut off": {IMAGES: PLAIN[IMAGES], f"{IMAGES}.gz": PACKED[:500]},
    "cut off beside whole": {IMAGES: PLAIN[IMAGES][:500], f"{IMAGES}.gz": PACKED},
    "Kaggle, a dot": {"train-images.idx3-ubyte": PLAIN[IMAGES]},
    "Kaggle, a folder": {f"{IMAGES}/{IMAGES}": PLAIN[IMAGES]},
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_mnist_is_read_from_the_layouts_that_people_have(tmp_path, layout):
    x = datasets.mnist(folder(tmp_path, LAYOUTS[layout]))
    assert x.dtype == torch.float64
    np.testing.assert_array_equal(x.numpy() * 255, PIXELS.reshape(7, 784))


def test_mnist_gives_the_first_so_many(tmp_path):
    folder(tmp_path, PLAIN)
    assert torch.equal(datasets.mnist(tmp_path, count=2), datasets.mnist(tmp_path)[:2])
    with pytest.raises(ValueError, match="count must be at most 7: got 8"):
        datasets.mnist(tmp_path, count=8)


def test_absent_mnist_is_said_in_one_sentence(tmp_path, cache):
    with pytest.raises(FileNotFoundError) as caught:
        datasets.mnist(tmp_path, train=False)
    for part in (
        *(str(tmp_path), "t10k-images-idx3-ubyte.gz", "http://127.0.0.1:9/"),
        *("datasets.mnist('FOLDER')", "datasets.mnist(download=True)"),
    ):
        assert part in str(caught.value)
    with pytest.raises(FileNotFoundError, match=str(cache / "mnist")):
        datasets.mnist()


@pytest.mark.parametrize("download", (False, True))
@pytest.mark.parametrize("content", (PLAIN[IMAGES][:-9] + bytes(9), PACKED[:-9]))
def test_another_mnist_file_is_refused_with_both_checksums(tmp_path, content, download):
    folder(tmp_path, {IMAGES: content})
    expected = f"SHA-256 .* is {sha256(content)}, expected {sha256(PLAIN[IMAGES])}"
    with pytest.raises(ValueError, match=expected):
        datasets.mnist(tmp_path, download=download)
    assert (tmp_path / IMAGES).read_bytes() == content, "a reader's file is never replaced"


def test_real_checksums_are_whole_and_different(monkeypatch):
    monkeypatch.undo()
    assert set(mnist.SHA256) == {f"{part}-images-idx3-ubyte" for part in ("train", "t10k")}
    assert len({bytes.fromhex(value) for value in mnist.SHA256.values()}) == 2
    assert all(len(value) == 64 for value in mnist.SHA256.values())


def test_mnist_is_downloaded_once_to_the_cache(server, cache):
    _, pages, asked = server
    pages[f"/{IMAGES}.gz"] = (PACKED, None)
    x = datasets.mnist(download=True)
    assert everything(cache) == [f"mnist/{IMAGES}"] and asked == [f"/{IMAGES}.gz"]
    assert torch.equal(x, datasets.mnist(download=True)) and torch.equal(x, datasets.mnist())
    assert len(asked) == 1, "what is there is not fetched again"
    assert (cache / "mnist" / IMAGES).stat().st_mode & 0o777 == 0o644, "others may read it too"


@pytest.mark.parametrize(
    ("page", "message"),
    (
        ((PACKED[:-5], len(PACKED)), "bytes read, 5 more expected"),
        ((gzip.compress(b"other"), None), f"expected {sha256(PLAIN[IMAGES])} but got"),
        ((PACKED[:100], None), "ended before"),
        ((PLAIN[IMAGES], None), "Not a gzipped file"),
        (None, "404 Client Error: Not Found"),
    ),
    ids=("cut off", "wrong content", "short but announced so", "not packed", "not there"),
)
def test_a_bad_download_leaves_nothing_behind(server, tmp_path, page, message):
    address, pages, _ = server
    pages |= {f"/{IMAGES}.gz": page} if page else {}
    with pytest.raises(ConnectionError, match=message) as caught:
        datasets.mnist(tmp_path / "data", download=True)
    for part in ("127.0.0.1:9/", "no connection", address, str(tmp_path / "data")):
        assert part in str(caught.value)
    assert everything(tmp_path) == []


@pytest.mark.parametrize("number", (errno.ENOSPC, errno.EROFS, errno.EACCES))
def test_a_folder_that_cannot_be_written_to_is_named(server, tmp_path, monkeypatch, number):
    _, pages, _ = server
    pages[f"/{IMAGES}.gz"] = (PACKED, None)

    def refuse(source, target, *length):
        target.write(source.read(100))
        raise OSError(number, "the reason")

    monkeypatch.setattr(files.shutil, "copyfileobj", refuse)
    sentence = f"could not be written to {tmp_path} .the reason.; make room there or name another"
    with pytest.raises(OSError, match=sentence):
        datasets.mnist(tmp_path, download=True)
    assert everything(tmp_path) == []
    with pytest.raises(OSError, match=r"could not be written to .*Not a directory"):
        datasets.mnist(folder(tmp_path, {"file": b""}) / "file" / "below", download=True)


# --- SUSY -----------------------------------------------------------------------------------------


def table(rows=5, columns=19, labels=(0, 1)):
    values = np.random.default_rng(1).normal(size=(rows, columns))
    values[:, 0] = np.resize(labels, rows)
    text = io.StringIO()
    np.savetxt(text, values, delimiter=",")
    return values, text.getvalue().encode()


@pytest.mark.parametrize("name", ("SUSY.csv", "SUSY.csv.gz", "below/SUSY.csv"))
def test_susy_is_checked_once_and_recorded(tmp_path, name, monkeypatch):
    values, content = table()
    packed = gzip.compress(content) if name.endswith(".gz") else content
    record = folder(tmp_path, {name: packed}) / f"{name}.sha256"
    x = datasets.susy(tmp_path)
    assert x.dtype == torch.float64
    np.testing.assert_allclose(x, values[:, 1:], rtol=1e-15)
    assert record.read_text() == f"{sha256(packed)}  {Path(name).name}\n"
    monkeypatch.setattr(susy, "_check_structure", None)  # would fail if called again
    assert torch.equal(datasets.susy(tmp_path, count=2), x[:2])
    with pytest.raises(ValueError, match="count must be at most 5: got 6"):
        datasets.susy(tmp_path, count=6)
    other = gzip.compress(table(4)[1])
    folder(tmp_path, {name: other})
    found = f"{sha256(other)}, expected {sha256(packed)}; .* delete .*sha256"
    with pytest.raises(ValueError, match=found):
        datasets.susy(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    (
        (table(4)[1], "must have 5 rows: found 4"),
        (table(6)[1], "must have 5 rows: found 6"),
        (b"", "must have 5 rows: found 0"),
        (table(5, columns=18)[1], "row 1 has 18 columns"),
        (table(5, labels=(0, 1, 2))[1], "label 0 or 1 .* row 3 has 19 columns and begins b'2"),
        (table(4)[1] + table(1, columns=20)[1], "row 5 has 20 columns"),
        (b"a" + table()[1], "row 1 has 19 columns and begins b'a"),
        (gzip.compress(table()[1])[:-20], "corrupted or cut off"),
    ),
)
def test_susy_of_another_structure_is_refused_and_not_recorded(tmp_path, content, message):
    name = "SUSY.csv.gz" if content[:1] == b"\x1f" else "SUSY.csv"
    with pytest.raises(ValueError, match=message):
        datasets.susy(folder(tmp_path, {name: content}))
    assert everything(tmp_path) == [name]


@pytest.mark.parametrize("number", (errno.EROFS, errno.EACCES, errno.ENOSPC))
def test_susy_is_read_where_its_checksum_cannot_be_recorded(tmp_path, monkeypatch, number):
    folder(tmp_path, {"SUSY.csv": table()[1]})

    def refuse(path, text, encoding):
        path.touch()  # what is left of it on a full disk
        raise OSError(number, "the reason", str(path))

    monkeypatch.setattr(Path, "write_text", refuse)
    assert len(datasets.susy(tmp_path)) == len(datasets.susy(tmp_path)) == 5


def test_absent_susy_is_said_in_one_sentence(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        datasets.susy(tmp_path)
    for part in (str(tmp_path), "SUSY.csv.gz", "susy.zip", "datasets.susy(download=True)"):
        assert part in str(caught.value)


def archive(name="SUSY.csv.gz"):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as packed:
        packed.writestr(name, gzip.compress(table()[1]))
    return content.getvalue()


def test_susy_is_downloaded_and_unpacked(server, cache):
    _, pages, asked = server
    pages["/susy.zip"] = (archive(), None)
    assert datasets.susy(download=True).shape == (5, 18)
    assert everything(cache) == ["susy/SUSY.csv.gz", "susy/SUSY.csv.gz.sha256"]
    assert len(datasets.susy(count=1)) == 1 and asked == ["/susy.zip"]


def damaged(content):
    """The archive with one bit of its member changed, which its CRC notices."""
    middle = content.index(b"SUSY.csv.gz") + 100
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


@pytest.mark.parametrize(
    ("page", "message"),
    (
        ((archive()[:300], 9999), "300 bytes read, 9699 more expected"),
        ((archive()[:300], None), "File is not a zip file"),
        ((archive("other.csv"), None), "no item named 'SUSY.csv.gz'"),
        ((damaged(archive()), None), "Bad CRC-32"),
    ),
    ids=("cut off", "cut off unnoticed", "another archive", "damaged"),
)
def test_a_bad_susy_archive_leaves_nothing_behind(server, cache, page, message):
    address, pages, _ = server
    pages["/susy.zip"] = page
    with pytest.raises(ConnectionError, match=f"{address}susy.zip: .*{message}"):
        datasets.susy(download=True)
    assert everything(cache) == []


# --- CelebA ---------------------------------------------------------------------------------------


@pytest.fixture
def faces(tmp_path):
    """A folder of three 178 × 218 images, black but for a white central part of 148 × 148."""
    images = tmp_path / "img_align_celeba"
    images.mkdir()
    for number, colour in enumerate(((255, 255, 255), (255, 0, 0), (0, 0, 255)), 1):
        image = Image.new("RGB", (178, 218))
        image.paste(colour, (15, 35, 163, 183))
        image.save(images / f"{number:06d}.jpg", quality=100, subsampling=0)
    return images


def test_celeba_is_cropped_scaled_and_flattened(faces):
    x = datasets.celeba(faces.parent, size=8, count=None)
    assert x.dtype == torch.float64 and x.shape == (3, 192)
    assert torch.equal(x, datasets.celeba(faces, size=8, count=3))
    images = x.reshape(-1, 8, 8, 3)[:, 1:-1, 1:-1]
    wanted = torch.tensor([[1.0, 1, 1], [1, 0, 0], [0, 0, 1]], dtype=torch.float64)
    assert float((images - wanted[:, None, None]).abs().max()) < 0.02
    assert float(x[0].min()) > 0.9, "nothing of the border is left"
    assert len(datasets.celeba(faces, size=4, count=1)) == 1


def test_bad_celeba_folders_are_named(faces, tmp_path):
    with pytest.raises(ValueError, match=r"size must be at most 148.*: got 149"):
        datasets.celeba(faces, size=149)
    with pytest.raises(ValueError, match="count must be at most 3: got 4"):
        datasets.celeba(faces, count=4)
    with pytest.raises(FileNotFoundError, match=r"in .*elsewhere and not found: get img_align"):
        datasets.celeba(tmp_path / "elsewhere")
    (faces / "000002.jpg").rename(faces / "000007.jpg")
    with pytest.raises(ValueError, match=r"000001.jpg to 000003.jpg: found 3, 000002.jpg is miss"):
        datasets.celeba(faces, count=1)
    (faces / "000007.jpg").rename(faces / "000002.jpg")
    Image.new("RGB", (178, 178)).save(faces / "000003.jpg")
    with pytest.raises(ValueError, match=r"000003.jpg must have 178 × 218 pixels: found 178 × 178"):
        datasets.celeba(faces, count=3)
    (faces / "000002.jpg").write_bytes((faces / "000001.jpg").read_bytes()[:-600])
    with pytest.raises(ValueError, match=r"000002.jpg is corrupted"):
        datasets.celeba(faces, count=2)
    (faces / "000004.jpg").write_bytes(b"")
    with pytest.raises(ValueError, match="found 4; unpack"):
        datasets.celeba(faces, count=1)
