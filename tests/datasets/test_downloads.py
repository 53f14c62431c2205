"""MNIST, SUSY and CelebA from fabricated folders and a server on this machine."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import io
import threading
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image

from companion import datasets
from companion.datasets.large import downloads, files, susy_table

IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"


def idx(array):
    """The array of bytes in the IDX format, written independently of the reader."""
    header = bytes([0, 0, 8, array.ndim])
    return header + b"".join(n.to_bytes(4, "big") for n in array.shape) + array.tobytes()


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (7, 28, 28), dtype=np.uint8)


@pytest.fixture
def packed(monkeypatch, pixels):
    """Small MNIST files, with checksums to match, by name."""
    plain = {IMAGES: idx(pixels), LABELS: idx(np.arange(7, dtype=np.uint8))}
    made = plain | {f"{name}.gz": gzip.compress(content) for name, content in plain.items()}
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in made.items()}
    monkeypatch.setattr(downloads, "MNIST_SHA256", sums)
    return made


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty cache, and no address outside this machine."""
    monkeypatch.setenv("COMPANION_DATA", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(downloads, "MNIST_ADDRESSES", ("http://127.0.0.1:9/",))
    monkeypatch.setattr(downloads, "SUSY_ADDRESSES", ("http://127.0.0.1:9/susy.zip",))
    return tmp_path / "cache"


@pytest.fixture
def server():
    """A web server whose pages are set by the test: path to (content, announced length)."""
    pages, asked = {}, []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            if self.path not in pages:
                self.send_error(404)
                return
            content, announced = pages[self.path]
            self.send_response(200)
            self.send_header("Content-Length", str(announced))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments):
            pass

    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=running.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{running.server_port}/", pages, asked
    running.shutdown()
    thread.join()
    running.server_close()


def everything(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


# --- MNIST ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ("", "MNIST/raw/"))
@pytest.mark.parametrize("ending", ("", ".gz"))
def test_mnist_is_read_from_a_folder(tmp_path, packed, pixels, place, ending):
    (tmp_path / place).mkdir(parents=True, exist_ok=True)
    for name in (IMAGES, LABELS):
        (tmp_path / f"{place}{name}{ending}").write_bytes(packed[f"{name}{ending}"])
    x, labels = datasets.mnist(tmp_path), datasets.mnist_labels(str(tmp_path), count=3)
    assert x.dtype == torch.float64 and x.shape == (7, 784)
    np.testing.assert_array_equal(x.numpy() * 255, pixels.reshape(7, 784))
    assert torch.equal(datasets.mnist(tmp_path, count=2), x[:2])
    assert labels.tolist() == [0, 1, 2]
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
    with pytest.raises(FileNotFoundError, match=r"train-labels.*datasets\.mnist_labels\(downl"):
        datasets.mnist_labels(tmp_path)
    with pytest.raises(FileNotFoundError, match=str(cache / "mnist")):
        datasets.mnist()


@pytest.mark.parametrize("ending", ("", ".gz"))
def test_other_or_corrupted_mnist_files_are_refused_with_both_checksums(tmp_path, packed, ending):
    name = f"{IMAGES}{ending}"
    wrong = bytearray(packed[name])
    wrong[-9] ^= 1
    (tmp_path / name).write_bytes(wrong)
    found, expected = (hashlib.sha256(content).hexdigest() for content in (wrong, packed[name]))
    with pytest.raises(ValueError, match=f"SHA-256 is {found}, expected {expected}"):
        datasets.mnist(tmp_path)


def test_real_checksums_are_whole_and_different():
    names = {
        f"{part}-{kind}{end}"
        for part in ("train", "t10k")
        for end in ("", ".gz")
        for kind in ("images-idx3-ubyte", "labels-idx1-ubyte")
    }
    assert set(downloads.MNIST_SHA256) == names
    assert len(set(downloads.MNIST_SHA256.values())) == len(names)
    assert all(len(bytes.fromhex(value)) == 32 for value in downloads.MNIST_SHA256.values())


def test_mnist_is_downloaded_once_to_the_cache(packed, server, monkeypatch, cache):
    address, pages, asked = server
    pages[f"/{IMAGES}.gz"] = (packed[f"{IMAGES}.gz"], len(packed[f"{IMAGES}.gz"]))
    monkeypatch.setattr(downloads, "MNIST_ADDRESSES", ("http://127.0.0.1:9/", address))
    x = datasets.mnist(download=True)
    assert everything(cache) == [f"{IMAGES}.gz"] and asked == [f"/{IMAGES}.gz"]
    assert torch.equal(x, datasets.mnist(download=True)) and torch.equal(x, datasets.mnist())
    assert len(asked) == 1, "what is there is not fetched again"


@pytest.mark.parametrize(
    ("change", "message"),
    (
        (lambda content: (content[:-5], len(content)), "it ended after .* of .* bytes"),
        (lambda content: (content[:-1] + b"?", len(content)), "SHA-256 is .*, expected"),
        (lambda content: (content[:100], 100), "SHA-256 is .*, expected"),
        (None, "404"),
    ),
    ids=("cut off", "wrong content", "short but announced so", "not there"),
)
def test_a_bad_download_leaves_nothing_behind(
    packed, server, monkeypatch, tmp_path, change, message
):
    address, pages, _ = server
    content = packed[f"{IMAGES}.gz"]
    if change:
        pages[f"/{IMAGES}.gz"] = change(content)
    monkeypatch.setattr(downloads, "MNIST_ADDRESSES", (address,))
    folder = tmp_path / "data"
    with pytest.raises(ConnectionError, match=message) as caught:
        datasets.mnist(folder, download=True)
    assert address in str(caught.value) and str(folder) in str(caught.value)
    assert everything(folder) == []


def test_a_failed_replacement_keeps_the_old_file(tmp_path):
    target = tmp_path / "file"
    target.write_text("old")
    with pytest.raises(KeyboardInterrupt), files.replacing(target) as partial:
        partial.write_text("new")
        raise KeyboardInterrupt
    assert target.read_text() == "old" and everything(tmp_path) == ["file"]


def test_the_cache_folder(monkeypatch, tmp_path):
    monkeypatch.delenv("COMPANION_DATA")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert files.cache_folder() == tmp_path / "companion"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert files.cache_folder() == tmp_path / ".cache" / "companion"


@pytest.mark.parametrize(
    ("content", "message"),
    (
        (b"\0\0\x0d\1\0\0\0\1\0\0\0\0", "unsigned bytes"),
        (b"", "unsigned bytes"),
        (b"\0\0\x08\2\0\0\0\1", "unsigned bytes"),
        (b"\0\0\x08\1\0\0\0\3\1\2", "must have 3 entries: found 2"),
    ),
)
def test_files_that_are_not_idx_are_named(tmp_path, content, message):
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        files.read_idx(path)


# --- SUSY ----------------------------------------------------------------------------------------


def table(rows=5, columns=19, labels=(0, 1)):
    values = np.random.default_rng(1).normal(size=(rows, columns))
    values[:, 0] = np.resize(labels, rows)
    text = io.StringIO()
    np.savetxt(text, values, delimiter=",")
    return values, text.getvalue().encode()


@pytest.fixture
def five(monkeypatch):
    monkeypatch.setattr(susy_table, "ROWS", 5)
    monkeypatch.setattr(downloads, "ROWS", 5)


@pytest.mark.parametrize("name", ("SUSY.csv", "SUSY.csv.gz"))
def test_susy_is_checked_once_and_recorded(tmp_path, five, name, monkeypatch):
    values, content = table()
    packed = gzip.compress(content) if name.endswith(".gz") else content
    (tmp_path / name).write_bytes(packed)
    x = datasets.susy(tmp_path)
    assert x.dtype == torch.float64
    np.testing.assert_allclose(x, values[:, 1:], rtol=1e-15)
    recorded = (tmp_path / f"{name}.sha256").read_text()
    assert recorded == f"{hashlib.sha256(packed).hexdigest()}  {name}\n"
    monkeypatch.setattr(susy_table, "_check_structure", None)  # would fail if called again
    assert torch.equal(datasets.susy(tmp_path, count=2), x[:2])
    with pytest.raises(ValueError, match="count must be at most 5: got 6"):
        datasets.susy(tmp_path, count=6)
    other = gzip.compress(table(4)[1])
    (tmp_path / name).write_bytes(other)
    found, expected = (hashlib.sha256(content).hexdigest() for content in (other, packed))
    with pytest.raises(ValueError, match=f"{found}, expected {expected}; .* delete .*sha256"):
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
    ),
)
def test_susy_of_another_structure_is_refused_and_not_recorded(tmp_path, five, content, message):
    (tmp_path / "SUSY.csv").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        datasets.susy(tmp_path)
    assert everything(tmp_path) == ["SUSY.csv"]


def test_susy_that_is_cut_off_is_refused(tmp_path, five):
    (tmp_path / "SUSY.csv.gz").write_bytes(gzip.compress(table()[1])[:-20])
    with pytest.raises(ValueError, match="corrupted or cut off"):
        datasets.susy(tmp_path)
    assert everything(tmp_path) == ["SUSY.csv.gz"]


def test_susy_in_a_read_only_folder_is_read_all_the_same(tmp_path, five, monkeypatch):
    (tmp_path / "SUSY.csv").write_bytes(table()[1])

    def refuse(target):
        raise PermissionError(target)

    monkeypatch.setattr(susy_table, "replacing", refuse)
    assert len(datasets.susy(tmp_path)) == 5 and everything(tmp_path) == ["SUSY.csv"]


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


def test_susy_is_downloaded_and_unpacked(five, server, monkeypatch, cache):
    address, pages, asked = server
    pages["/susy.zip"] = (archive(), len(archive()))
    monkeypatch.setattr(downloads, "SUSY_ADDRESSES", (f"{address}susy.zip",))
    assert datasets.susy(download=True).shape == (5, 18)
    assert everything(cache) == ["SUSY.csv.gz", "SUSY.csv.gz.sha256"]
    assert len(datasets.susy(count=1)) == 1 and asked == ["/susy.zip"]


def damaged(content):
    """The archive with one bit of its member changed, which its CRC notices."""
    middle = content.index(b"SUSY.csv.gz") + 100
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


@pytest.mark.parametrize(
    ("content", "announced", "message"),
    (
        (archive()[:300], 9999, "it ended after 300 of 9999 bytes"),
        (archive()[:300], 300, "did not deliver a whole archive"),
        (archive("other.csv"), None, "with SUSY.csv.gz in it"),
        (damaged(archive()), None, "did not deliver a whole archive"),
    ),
    ids=("cut off", "cut off unnoticed", "another archive", "damaged"),
)
def test_a_bad_susy_archive_leaves_nothing_behind(
    five, server, monkeypatch, cache, content, announced, message
):
    address, pages, _ = server
    pages["/susy.zip"] = (content, announced or len(content))
    monkeypatch.setattr(downloads, "SUSY_ADDRESSES", (f"{address}susy.zip",))
    with pytest.raises(ConnectionError, match=message):
        datasets.susy(download=True)
    assert everything(cache) == []


# --- CelebA --------------------------------------------------------------------------------------


@pytest.fixture
def faces(tmp_path, monkeypatch):
    """A folder of three 178 × 218 images, black but for a white central part of 148 × 148."""
    monkeypatch.setattr(downloads, "CELEBA_IMAGES", 3)
    folder = tmp_path / "img_align_celeba"
    folder.mkdir()
    for number, colour in enumerate(((255, 255, 255), (255, 0, 0), (0, 0, 255)), 1):
        image = Image.new("RGB", (178, 218))
        image.paste(colour, (15, 35, 163, 183))
        image.save(folder / f"{number:06d}.jpg", quality=100, subsampling=0)
    return folder


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
    with pytest.raises(FileNotFoundError, match=r"elsewhere/img_align_celeba and not found: get"):
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
