"""MNIST, SUSY and CelebA from fabricated folders and a server on this machine."""

from __future__ import annotations

import contextlib
import errno
import gzip
import hashlib
import http.server
import io
import threading
import tracemalloc
import zipfile
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import requests
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
#: Without the time, which names of tests would hold: workers that collect them must agree.
gzipped = partial(gzip.compress, mtime=0)
PACKED = gzipped(PLAIN[IMAGES])


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
    """A web server of right files, but for pages that the test sets.

    A page is its content and the length that is announced, or what answers; None is no page.
    """
    pages, asked = {f"/{IMAGES}.gz": (PACKED, None), "/susy.zip": (archive(), None)}, []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            if pages.get(self.path) is None:
                self.send_error(404)
                return
            if callable(pages[self.path]):
                pages[self.path](self)
                return
            content, announced = pages[self.path]
            self.send_response(200)
            self.send_header("Content-Length", str(announced or len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments):
            pass

    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=running.serve_forever, args=(0.01,))
    thread.start()
    address = f"http://127.0.0.1:{running.server_port}/"
    monkeypatch.setattr(mnist, "ADDRESSES", ("http://127.0.0.1:9/", address))
    monkeypatch.setattr(susy, "ADDRESSES", (f"{address}susy.zip",))
    yield address, pages, asked
    running.shutdown()
    thread.join()
    running.server_close()


def answers(content=b"", length=None, status=200, **headers):
    """A page that is sent with these headers, and a length only if there is one."""

    def answer(handler):
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        if length is not None:
            handler.send_header("Content-Length", length)
        handler.end_headers()
        with contextlib.suppress(ConnectionError):  # whoever has seen enough goes away
            handler.wfile.write(content)

    return answer


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


def csv(*header):
    """A table of a label and the pixels of each image."""
    rows = [",".join(map(str, (9, *image.ravel()))) for image in PIXELS]
    return "\n".join([*header, *rows]).encode()


def npz(**arrays):
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)
    return content.getvalue()


KERAS = npz(x_train=PIXELS, y_train=np.arange(7), x_test=PIXELS[:2], y_test=np.arange(2))
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
    "Kaggle, a table": {"archive/mnist_train.csv": csv("label,1x1,1x2")},
    "a table without a header": {"mnist_train.csv": csv()},
    "Keras": {"datasets/mnist.npz": KERAS},
    "Keras beside a part of it": {"mnist_train.csv": csv()[:9000], "mnist.npz": KERAS},
    "three folders below": {f"data/MNIST/raw/{IMAGES}": PLAIN[IMAGES]},
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
        *("mnist.npz", "mnist_test.csv", "three folders below"),
    ):
        assert part in str(caught.value)
    with pytest.raises(FileNotFoundError, match=str(cache / "mnist")):
        datasets.mnist()


@pytest.mark.parametrize("content", (PLAIN[IMAGES][:-9] + bytes(9), PACKED[:-9]))
def test_another_mnist_file_is_refused_with_both_checksums(tmp_path, content):
    folder(tmp_path, {IMAGES: content})
    expected = f"SHA-256 .* is {sha256(content)}, expected {sha256(PLAIN[IMAGES])}"
    with pytest.raises(ValueError, match=expected):
        datasets.mnist(tmp_path)
    with pytest.raises(ConnectionError):
        datasets.mnist(tmp_path, download=True)
    assert (tmp_path / IMAGES).read_bytes() == content, "it goes only where a right one comes"


def header(kind=np.uint8, shape=(7, 28, 28)):
    """The beginning of an array's file, which announces more than there is."""
    content = io.BytesIO()
    about = {"descr": np.dtype(kind).str, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(content, about)
    return content.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    (
        (f"{IMAGES}.gz", gzipped(bytes(2_000_000)), "more than 1000000 bytes in it"),
        (IMAGES, bytes(1_000_001), "more than 1000000 bytes in it"),
        ("mnist.npz", npz(x_train=np.zeros((2000, 28, 28), np.uint8)), "more than 1000000 bytes"),
        ("mnist.npz", npz(x_train=PIXELS / 255), "must hold bytes: found float64"),
        ("mnist.npz", npz(x_test=PIXELS), "no item named 'x_train.npy'"),
        ("mnist.npz", npz(x_train=PIXELS[:3]), "corrupted or another file"),
        ("mnist.npz", KERAS[:-50], "not a zip file"),
        ("mnist.npz", npz(x_train=np.array([None])), "must hold bytes: found object"),
        ("mnist_train.csv", csv()[:-20] + b"x", "could not convert"),
        ("mnist_train.csv", b"", "is empty or has more than 250000000 bytes"),
        ("mnist_train.csv", b"0,0,0", "invalid column index"),
        ("mnist_train.csv", csv().replace(b",9,", b",999,"), "could not convert"),
    ),
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_mnist_is_said_in_one_sentence(tmp_path, monkeypatch, name, content, message):
    monkeypatch.setattr(mnist, "LARGEST", 1_000_000)
    with pytest.raises(ValueError, match=message) as caught:
        datasets.mnist(folder(tmp_path, {name: content}))
    assert str(caught.value).startswith(str(tmp_path / name)) and "\n" not in str(caught.value)


def test_an_announced_array_is_not_made_before_it_is_there(tmp_path):
    """The shape in an archive says 700 GB: read is what is there."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as packed:
        packed.writestr("x_train.npy", header(shape=(10**9, 28, 28)) + bytes(100))
    with pytest.raises(ValueError, match="corrupted or another file"):
        datasets.mnist(folder(tmp_path, {"mnist.npz": content.getvalue()}))


def test_a_damaged_mnist_is_replaced_by_the_next_download(server, tmp_path, cache):
    *_, asked = server
    folder(cache / "mnist", {IMAGES: PLAIN[IMAGES][:500]})
    assert len(datasets.mnist(download=True)) == 7 and len(asked) == 1
    assert everything(cache) == [f"mnist/{IMAGES}"]
    folder(tmp_path / "own", {IMAGES: b"fashion"})
    assert len(datasets.mnist(tmp_path / "own", download=True)) == 7
    kept = tmp_path / "own" / f"{IMAGES}.replaced"
    assert kept.read_bytes() == b"fashion" and len(datasets.mnist(tmp_path / "own")) == 7


def test_real_checksums_are_whole_and_different(monkeypatch):
    monkeypatch.undo()
    assert set(mnist.SHA256) == {f"{part}-images-idx3-ubyte" for part in ("train", "t10k")}
    assert len({bytes.fromhex(value) for value in mnist.SHA256.values()}) == 2
    assert all(len(value) == 64 for value in mnist.SHA256.values())


def test_mnist_is_downloaded_once_to_the_cache(server, cache):
    *_, asked = server
    x = datasets.mnist(download=True)
    assert everything(cache) == [f"mnist/{IMAGES}"] and asked == [f"/{IMAGES}.gz"]
    assert torch.equal(x, datasets.mnist(download=True)) and torch.equal(x, datasets.mnist())
    assert len(asked) == 1, "what is there is not fetched again"
    assert (cache / "mnist" / IMAGES).stat().st_mode & 0o777 == 0o644, "others may read it too"


@pytest.mark.parametrize(
    ("page", "message"),
    (
        ((PACKED[:-5], len(PACKED)), "bytes read, 5 more expected"),
        ((gzipped(b"other"), None), f"expected {sha256(PLAIN[IMAGES])} but got"),
        ((PACKED[:100], None), "ended before"),
        ((PLAIN[IMAGES], None), "Not a gzipped file"),
        (None, "answers with status 404"),
        ((bytes(1_000_001), None), "1000001 bytes are announced, at most 1000000 expected"),
        ((gzipped(bytes(2_000_000)), None), "more than 1000000 bytes are packed in it"),
        (answers(length="many"), "announces a length of 'many'"),
        (answers(length="-1"), "announces a length of '-1'"),
        (answers(length="1" * 40), "announces a length of '1111"),
        (answers(PACKED, **{"Content-Encoding": "gzip"}), "sends the coding 'gzip', not the file"),
        (answers(bytes(1_000_001)), "more than 1000000 bytes are sent"),
        (answers(status=302, Location="/again"), "leads elsewhere more than 5 times"),
        (answers(status=302, Location="file:///etc/hosts"), "No connection adapters"),
        (answers(**{f"X-{n}": "y" for n in range(200)}), "no valid answer"),
        (answers(**{"X": "y" * 70_000}), "no valid answer"),
        (lambda handler: handler.wfile.write(b"\0nonsense"), "no valid answer"),
    ),
    ids=(
        *("cut off", "wrong content", "short but announced so", "not packed", "not there"),
        *("announced too long", "bomb", "length no number", "negative length", "absurd length"),
        *("packed twice", "endless", "led in circles", "led to a file", "many headers"),
        *("long header", "no answer"),
    ),
)
def test_a_bad_download_leaves_nothing_behind(server, tmp_path, monkeypatch, page, message):
    address, pages, _ = server
    monkeypatch.setattr(mnist, "LARGEST", 1_000_000)
    pages |= {f"/{IMAGES}.gz": page, "/again": page}
    with pytest.raises(ConnectionError, match=message) as caught:
        datasets.mnist(tmp_path / "data", download=True)
    for part in ("127.0.0.1:9/", "no connection", address, str(tmp_path / "data")):
        assert part in str(caught.value)
    assert everything(tmp_path) == []


def test_https_never_falls_to_http(server, tmp_path, monkeypatch):
    """The server here stands for a safe one; where it leads is asked for only if that is safe."""
    address, pages, asked = server
    safe, get = "https://data.example/", requests.get
    monkeypatch.setattr(mnist, "ADDRESSES", (safe,))
    monkeypatch.setattr(
        requests, "get", lambda where, **options: get(where.replace(safe, address), **options)
    )
    pages["/other"] = (PACKED, None)
    pages[f"/{IMAGES}.gz"] = answers(status=302, Location=f"{address}other")
    with pytest.raises(ConnectionError, match=f"leads to '{address}other', which is not https"):
        datasets.mnist(tmp_path, download=True)
    assert asked == [f"/{IMAGES}.gz"] and everything(tmp_path) == []
    for place in ("/other", "//data.example/other", f"{safe}other"):
        pages[f"/{IMAGES}.gz"] = answers(status=302, Location=place)
        assert len(datasets.mnist(tmp_path / place.strip("/"), download=True)) == 7


def test_a_download_is_in_memory_a_block_at_a_time(server, tmp_path, monkeypatch):
    """40 MB, packed and as they are: neither is ever held whole."""
    _, pages, _ = server
    content = np.random.default_rng(2).bytes(40_000_000)
    pages[f"/{IMAGES}.gz"] = (gzip.compress(content, 0), None)
    monkeypatch.setattr(mnist, "SHA256", {IMAGES: sha256(content)})
    tracemalloc.start()
    try:
        files.fetch([f"{mnist.ADDRESSES[1]}{IMAGES}.gz"], tmp_path / "x", gzip.open, 48_000_000)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (tmp_path / "x").stat().st_size == 40_000_000 and most < 15_000_000


@pytest.mark.parametrize("number", (errno.ENOSPC, errno.EROFS, errno.EACCES))
def test_a_folder_that_cannot_be_written_to_is_named(server, tmp_path, monkeypatch, number):
    def refuse(*arguments):
        yield b"begun"
        raise OSError(number, "the reason")

    monkeypatch.setattr(files, "_unpacked", refuse)
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
    with pytest.warns(UserWarning, match=f"no published checksum: .*sha256='{sha256(packed)}'"):
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
    found = f"{sha256(other)}, expected {sha256(packed)}; get .* delete .*sha256 if"
    with pytest.raises(ValueError, match=found):
        datasets.susy(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    (
        (table(4)[1], "must have 5 rows: found 4"),
        (table(6)[1], "must have 5 rows of .* row 6"),
        (b"", "must have 5 rows: found 0"),
        (table(5, columns=18)[1], "row 1 has 18 columns"),
        (table(5, labels=(0, 1, 2))[1], "label 0 or 1 .* row 3 has 19 columns and begins b'2"),
        (table(4)[1] + table(1, columns=20)[1], "row 5 has 20 columns"),
        (b"a" + table()[1], "row 1 has 19 columns and begins b'a"),
        (gzipped(table()[1])[:-20], "corrupted or cut off"),
        (
            gzipped(b"1" + b",1" * 10 + b",1" + b"0" * 2000 + b",1" * 7),
            "row 1 has 12 columns",
        ),
        (gzipped(table()[1] * 9), "row 6 has 19 columns"),
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
    for _ in range(2):
        with pytest.warns(UserWarning, match="no published checksum"):
            assert len(datasets.susy(tmp_path)) == 5


@pytest.mark.parametrize(
    ("content", "found"), ((b"hello", "hello"), (b"\xff" * 70, "�"), (b"a" * 63, "a"))
)
def test_a_record_that_is_no_checksum_is_named(tmp_path, content, found):
    folder(tmp_path, {"SUSY.csv": table()[1], "SUSY.csv.sha256": content})
    with pytest.raises(ValueError, match=f"SUSY.csv.sha256, .* 64 digits .* found '{found}"):
        datasets.susy(tmp_path)


@pytest.mark.parametrize("pin", (sha256(table()[1]), sha256(table()[1]).upper()))
def test_susy_that_is_pinned_is_trusted_silently(tmp_path, pin):
    folder(tmp_path, {"SUSY.csv": table()[1], "SUSY.csv.sha256": b""})
    assert len(datasets.susy(tmp_path, sha256=pin)) == 5
    assert len(datasets.susy(tmp_path)) == 5, "the record of a full disk was empty and is made anew"
    with pytest.raises(ValueError, match=f"expected {'0' * 64}; get it again, .* or give another"):
        datasets.susy(tmp_path, sha256="0" * 64)
    with pytest.raises(ValueError, match="sha256 must be the 64 digits of a SHA-256: found 'abc'"):
        datasets.susy(tmp_path, sha256="abc")


def test_words_and_infinities_in_susy_are_refused(tmp_path):
    for word, message in ((b"word", "must hold numbers: could not"), (b"inf", "must be finite")):
        content = table()[1].rpartition(b",")[0] + b"," + word + b"\n"
        folder(tmp_path, {"SUSY.csv": content})
        with pytest.raises(ValueError, match=f"SUSY.csv {message}"):
            datasets.susy(tmp_path, sha256=sha256(content))


def test_absent_susy_is_said_in_one_sentence(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        datasets.susy(tmp_path)
    for part in (str(tmp_path), "SUSY.csv.gz", "susy.zip", "datasets.susy(download=True)"):
        assert part in str(caught.value)


def archive(name="SUSY.csv.gz", method=zipfile.ZIP_STORED, content=None):
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as packed:
        packed.writestr(name, content or gzip.compress(table()[1]))
    return made.getvalue()


def test_susy_is_downloaded_and_unpacked(server, cache):
    *_, asked = server
    with pytest.warns(UserWarning, match="no published checksum"):
        assert datasets.susy(download=True).shape == (5, 18)
    assert everything(cache) == ["susy/SUSY.csv.gz", "susy/SUSY.csv.gz.sha256"]
    assert len(datasets.susy(count=1, download=True)) == 1 and asked == ["/susy.zip"]


def test_a_damaged_susy_is_replaced_by_what_was_trusted(server, cache, tmp_path):
    _, pages, asked = server
    right = {"SUSY.csv.gz": gzip.compress(table()[1], mtime=0)}
    pages["/susy.zip"] = (archive(content=right["SUSY.csv.gz"]), None)
    trusted = sha256(right["SUSY.csv.gz"])
    for place in (cache / "susy", tmp_path / "own"):
        folder(place, {"SUSY.csv.gz": right["SUSY.csv.gz"][:90]})
        (place / "SUSY.csv.gz.sha256").write_text(f"{trusted}  SUSY.csv.gz\n")
        where = None if place == cache / "susy" else place
        assert len(datasets.susy(where, download=True)) == len(datasets.susy(where)) == 5
    assert everything(cache) == ["susy/SUSY.csv.gz", "susy/SUSY.csv.gz.sha256"]
    assert (tmp_path / "own" / "SUSY.csv.gz.replaced").read_bytes() == right["SUSY.csv.gz"][:90]
    pages["/susy.zip"] = (archive(content=gzip.compress(table()[1] + b"\n")), None)
    folder(cache / "susy", {"SUSY.csv.gz": b"damaged"})
    with pytest.raises(ConnectionError, match=f"expected {trusted} but got"):
        datasets.susy(download=True)
    assert len(asked) == 3


def encrypted(content):
    """The archive with the sign that its member is encrypted, in both of its places."""
    for mark, place in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        at = content.index(mark) + place
        content = content[:at] + b"\1" + content[at + 1 :]
    return content


def method(number):
    content = archive()
    for mark, place in ((b"PK\3\4", 8), (b"PK\1\2", 10)):
        at = content.index(mark) + place
        content = content[:at] + bytes([number, 0]) + content[at + 2 :]
    return content


def damaged(content):
    """The archive with one bit of its member changed, which its CRC notices."""
    middle = content.index(b"SUSY.csv.gz") + 100
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def with_an_index():
    """An archive whose index has 45 kB, by a remark on each member."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as packed:
        for name in ("SUSY.csv.gz", "second", "third"):
            about = zipfile.ZipInfo(name)
            about.comment = bytes(15_000)
            packed.writestr(about, gzip.compress(table()[1]))
    return made.getvalue()


@pytest.mark.parametrize(
    ("page", "message"),
    (
        ((archive()[:300], 9999), "300 bytes read, 9699 more expected"),
        ((archive()[:300], None), "File is not a zip file"),
        ((archive("other.csv"), None), "no item named 'SUSY.csv.gz'"),
        ((damaged(archive()), None), "Bad CRC-32"),
        ((archive("../SUSY.csv.gz"), None), "no item named 'SUSY.csv.gz'"),
        ((archive("/tmp/SUSY.csv.gz"), None), "no item named 'SUSY.csv.gz'"),
        ((encrypted(archive()), None), "SUSY.csv.gz is encrypted in the archive"),
        ((method(99), None), "compressed by the unknown method 99"),
        ((method(12), None), "compressed by the unknown method 12"),
        (
            (archive(method=zipfile.ZIP_DEFLATED, content=bytes(200_000)), None),
            "more than 100000 b",
        ),
        ((with_an_index(), None), "Truncated central directory"),
        ((archive(content=gzip.compress(table(4)[1])), None), "must have 5 rows: found 4"),
    ),
    ids=(
        *("cut off", "cut off unnoticed", "another archive", "damaged", "a folder up", "rooted"),
        *("encrypted", "method 99", "bzip2", "bomb", "large index", "another table"),
    ),
)
def test_a_bad_susy_archive_leaves_nothing_behind(server, cache, monkeypatch, page, message):
    address, pages, _ = server
    monkeypatch.setattr(susy, "LARGEST", 100_000)
    monkeypatch.setattr(files, "_BLOCK", 20_000)
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


def test_celeba_is_found_three_folders_below(faces, tmp_path):
    deep = tmp_path / "data" / "celeba" / "img_align_celeba"
    deep.mkdir(parents=True)
    faces.rename(deep / "img_align_celeba")
    assert len(datasets.celeba(tmp_path / "data", size=4, count=None)) == 3


def test_a_photograph_is_a_jpeg_of_a_photographs_size(faces, monkeypatch):
    """No other reader of Pillow is handed a stranger's file, and no bomb is unpacked."""
    Image.new("RGB", (178, 218)).save(faces / "000001.jpg", "PNG")
    with pytest.raises(ValueError, match=r"000001.jpg is corrupted"):
        datasets.celeba(faces, count=1)
    Image.new("RGB", (1780, 2180)).save(faces / "000001.jpg", "JPEG")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 178 * 218)
    with pytest.raises(ValueError, match=r"000001.jpg is corrupted .*decompression bomb"):
        datasets.celeba(faces, count=1)


def test_bad_celeba_folders_are_named(faces, tmp_path):
    with pytest.raises(ValueError, match=r"size must be at most 148.*: got 149"):
        datasets.celeba(faces, size=149)
    with pytest.raises(ValueError, match="count must be at most 3: got 4"):
        datasets.celeba(faces, count=4)
    with pytest.raises(
        FileNotFoundError, match=r"in .*elsewhere and three .* not found: get img_align"
    ):
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
