"""Reading idx and npz files, whole and damaged, and where MNIST is looked for. Nothing here needs the network."""

import functools
import gzip
import hashlib
import http.server
import io
import os
import socket
import sys
import threading
import time
import tracemalloc
import zipfile

import numpy as np
import pytest

from dlcore.datasets import DataError, cache_dir, load_idx_directory, mnist, read_idx

TRAIN_X, TRAIN_Y, TEST_X, TEST_Y = NAMES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
CODES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}


def idx_bytes(array):
    array = np.asarray(array)
    header = bytes([0, 0, CODES[array.dtype.str[1:]], array.ndim]) + np.array(array.shape, ">u4").tobytes()
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


def arrays(n_train=12, n_test=5, size=(4, 3)):
    rng = np.random.default_rng(0)
    draw = functools.partial(rng.integers, 0, 256, dtype=np.uint8)
    return draw((n_train, *size)), draw(n_train), draw((n_test, *size)), draw(n_test)


def fill(folder, contents, pack=lambda data: data, suffix=""):
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in zip(NAMES, contents, strict=True):
        (folder / f"{name}{suffix}").write_bytes(pack(idx_bytes(array)))
    return folder


def assert_loaded(loaded, contents):
    for got, want in zip([array for split in loaded for array in split], contents, strict=True):
        assert got.dtype == np.uint8 and got.flags.writeable
        np.testing.assert_array_equal(got, want)


# ---- read_idx ----


@pytest.mark.parametrize("pack", [lambda data: data, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("shape", [(7,), (3, 5), (2, 3, 4), (0, 28, 28), (1,) * 8])
def test_round_trip(tmp_path, pack, code, shape):
    want = (np.arange(np.prod(shape)) * 3).reshape(shape).astype(code)
    path = tmp_path / "a"
    path.write_bytes(pack(idx_bytes(want)))
    got = read_idx(path, shape=(None, *shape[1:]), dtype=code, sha256=hashlib.sha256(idx_bytes(want)).hexdigest())
    assert got.dtype == np.dtype(code) and got.dtype.isnative and got.flags.writeable
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("pack", [lambda data: data, gzip.compress], ids=["plain", "gzip"])
def test_cut_content(tmp_path, pack):
    whole = idx_bytes(arrays()[0])
    path = tmp_path / "cut-idx"
    for length in [*range(17), *np.random.default_rng(1).integers(17, len(whole), 20)]:
        path.write_bytes(pack(whole[:length]))
        with pytest.raises(DataError, match="cut-idx"):
            read_idx(path)


def test_cut_gzip(tmp_path):
    whole = gzip.compress(idx_bytes(arrays()[0]))
    path = tmp_path / "cut.gz"
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(DataError, match=r"cut\.gz"):
            read_idx(path)


def test_one_damaged_byte_of_gzip_never_passes(tmp_path):
    content = idx_bytes(arrays()[0])
    whole = gzip.compress(content)
    path = tmp_path / "flip.gz"
    rng = np.random.default_rng(2)
    for at in [*range(30), *rng.integers(30, len(whole), 40), *range(len(whole) - 8, len(whole))]:
        path.write_bytes(whole[:at] + bytes([whole[at] ^ (1 << rng.integers(8))]) + whole[at + 1 :])
        try:  # name, time and the like in gzip's header do not touch the content
            np.testing.assert_array_equal(read_idx(path), arrays()[0])
        except DataError as error:
            assert "flip.gz" in str(error)


@pytest.mark.parametrize(
    "start",
    [b"\0\1\x08\1", b"\1\0\x08\1", b"\0\0\x07\1", b"\0\0\x0a\1", b"\0\0\x08\0", b"\0\0\x08\xff", b"\x89PNG"],
)
def test_wrong_magic(tmp_path, start):
    (tmp_path / "bad").write_bytes(start + b"\0" * 2000)
    with pytest.raises(DataError, match=rf"bad: expected an idx header.*found {start.hex(' ')}"):
        read_idx(tmp_path / "bad")


@pytest.mark.parametrize("pack", [lambda data: data, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize("sizes", [(2**32 - 1,), (2**32 - 1,) * 3, (2**31, 2, 2**31), (2**32 - 1,) * 8, (1, 2, 2**24)])
def test_huge_sizes(tmp_path, pack, sizes):
    path = tmp_path / "huge"
    path.write_bytes(pack(bytes([0, 0, 8, len(sizes)]) + np.array(sizes, ">u4").tobytes() + b"\0" * 64))
    tracemalloc.start()
    with pytest.raises(DataError, match="huge: the header promises"):
        read_idx(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4e6


def test_max_bytes(tmp_path):
    (tmp_path / "a").write_bytes(idx_bytes(np.zeros(100, np.uint8)))
    assert read_idx(tmp_path / "a", max_bytes=100).shape == (100,)
    with pytest.raises(DataError, match=r"promises 100 bytes.*at most 99"):
        read_idx(tmp_path / "a", max_bytes=99)


@pytest.mark.parametrize("pack", [lambda data: data, gzip.compress], ids=["plain", "gzip"])
def test_trailing_bytes(tmp_path, pack):
    (tmp_path / "long").write_bytes(pack(idx_bytes(arrays()[0]) + b"\0"))
    with pytest.raises(DataError, match=r"long: expected 144 bytes.*found more"):
        read_idx(tmp_path / "long")


def test_gzip_members(tmp_path):
    content = idx_bytes(arrays()[0])
    path = tmp_path / "two.gz"
    path.write_bytes(gzip.compress(content[:50]) + gzip.compress(content[50:]))  # members join, says RFC 1952
    np.testing.assert_array_equal(read_idx(path), arrays()[0])
    for extra in (gzip.compress(b"more"), b"no gzip"):
        path.write_bytes(gzip.compress(content) + extra)
        with pytest.raises(DataError, match=r"two\.gz"):
            read_idx(path)


def test_gzip_bomb_is_not_inflated(tmp_path):
    path = tmp_path / "bomb.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(idx_bytes(np.zeros(1000, np.uint8)))
        for _ in range(200):
            file.write(bytes(1 << 20))
    tracemalloc.start()
    began = time.process_time()
    with pytest.raises(DataError, match=r"bomb\.gz: expected 1000 bytes.*found more"):
        read_idx(path)
    took, peak = time.process_time() - began, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4e6 and took < 0.5


def test_what_is_no_file(tmp_path):
    with pytest.raises(DataError, match="gone: expected an idx file, found nothing"):
        read_idx(tmp_path / "gone")
    with pytest.raises(DataError, match="expected an idx file, found a folder"):
        read_idx(tmp_path)
    (tmp_path / "empty").touch()
    with pytest.raises(DataError, match="empty: expected an idx header of at least 4 bytes, found 0"):
        read_idx(tmp_path / "empty")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_not_readable(tmp_path):
    (tmp_path / "closed").touch(mode=0)
    with pytest.raises(DataError, match="closed"):
        read_idx(tmp_path / "closed")


def test_other_than_asked_for(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(idx_bytes(np.zeros((2, 3), np.uint8)))
    with pytest.raises(DataError, match="a: expected elements of float32, found uint8"):
        read_idx(path, dtype=np.float32)
    with pytest.raises(DataError, match="a: expected sizes any x 4, found 2 x 3"):
        read_idx(path, shape=(None, 4))
    with pytest.raises(DataError, match="a: expected sizes any, found 2 x 3"):
        read_idx(path, shape=(None,))
    with pytest.raises(DataError, match="a: expected content with SHA-256 00, found "):
        read_idx(path, sha256="00")


# ---- load_idx_directory ----


@pytest.mark.parametrize("pack, suffix", [(lambda data: data, ""), (gzip.compress, ".gz")], ids=["plain", "gzip"])
def test_directory(tmp_path, pack, suffix):
    assert_loaded(load_idx_directory(str(fill(tmp_path, arrays(), pack, suffix))), arrays())


def test_directory_with_dots_in_names(tmp_path):
    fill(tmp_path, arrays())
    for name in NAMES:
        (tmp_path / name).rename(tmp_path / name.replace("-idx", ".idx"))
    assert_loaded(load_idx_directory(tmp_path), arrays())


def test_directory_incomplete(tmp_path):
    with pytest.raises(DataError, match=r"missing: train-images.*, t10k-labels"):
        load_idx_directory(tmp_path)
    fill(tmp_path, arrays())
    (tmp_path / TEST_Y).unlink()
    with pytest.raises(DataError, match=f"missing: {TEST_Y}$"):
        load_idx_directory(tmp_path)
    with pytest.raises(DataError, match="expected a folder with idx files, found nothing"):
        load_idx_directory(tmp_path / "gone")
    with pytest.raises(DataError, match="expected a folder with idx files, found a file"):
        load_idx_directory(tmp_path / TRAIN_X)


def test_directory_swapped_or_unequal(tmp_path):
    x_train, y_train, x_test, y_test = arrays()
    with pytest.raises(DataError, match=f"{TRAIN_X}: expected sizes any x any x any, found 12"):
        load_idx_directory(fill(tmp_path, (y_train, x_train, x_test, y_test)))
    with pytest.raises(DataError, match=f"{TRAIN_Y}: expected 12 labels, .*{TRAIN_X}, found 5"):
        load_idx_directory(fill(tmp_path, (x_train, y_test, x_test, y_train)))
    with pytest.raises(DataError, match=f"{TEST_X}: expected images of .4, 3., .* found .4, 2."):
        load_idx_directory(fill(tmp_path, (x_train, y_train, x_test[..., :2], y_test)))
    with pytest.raises(DataError, match=f"{TEST_X}: expected images, found sizes 0 x 4 x 3"):
        load_idx_directory(fill(tmp_path, (x_train, y_train, x_test[:0], y_test[:0])))
    with pytest.raises(DataError, match=f"{TRAIN_X}: expected elements of uint8, found float32"):
        load_idx_directory(fill(tmp_path, (x_train.astype("f4"), y_train, x_test, y_test)))


# ---- mnist, played with small files in place of the published ones ----


@pytest.fixture
def small(tmp_path, monkeypatch):
    """Empty places to look in, no network, and `arrays()` in the role of MNIST."""
    monkeypatch.delenv("DLCORE_DATA_HOME", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    keys = ("x_train", "y_train", "x_test", "y_test")
    files = {
        name: (key, array.shape, hashlib.sha256(idx_bytes(array)).hexdigest())
        for name, key, array in zip(NAMES, keys, arrays(), strict=True)
    }
    monkeypatch.setattr(mnist, "_FILES", files)
    monkeypatch.setattr(mnist, "_MIRRORS", ())
    return tmp_path


def save_npz(path, contents=None, save=np.savez):
    x_train, y_train, x_test, y_test = contents or arrays()
    path.parent.mkdir(parents=True, exist_ok=True)
    save(path, x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)
    return path


def damaged():
    contents = arrays()
    contents[0][3, 2, 1] ^= 1
    return contents


def test_search_order(small, monkeypatch):
    with pytest.raises(DataError, match="MNIST was not found"):
        mnist.load_data()
    keras = save_npz(small / "keras/datasets/mnist.npz")
    assert_loaded(mnist.load_data(), arrays())
    keras.write_bytes(b"damaged")

    cache = fill(cache_dir() / "mnist", arrays(), gzip.compress, ".gz")
    assert cache == small / "xdg" / "dlcore" / "mnist"
    assert_loaded(mnist.load_data(), arrays())
    (cache / f"{TRAIN_X}.gz").write_bytes(b"damaged")

    home = fill(small / "home" / "mnist", arrays())
    monkeypatch.setenv("DLCORE_DATA_HOME", str(small / "home"))
    assert_loaded(mnist.load_data(), arrays())
    assert_loaded(mnist.load_data("mnist.npz"), arrays())  # Keras' default argument
    assert_loaded(mnist.load_data(path="mnist.npz"), arrays())
    (home / TRAIN_X).write_bytes(b"damaged")

    assert_loaded(mnist.load_data(fill(small / "own", arrays())), arrays())
    assert_loaded(mnist.load_data(save_npz(small / "own.npz")), arrays())


def test_damage_is_named_not_passed_over(small, monkeypatch):
    keras = save_npz(small / "keras/datasets/mnist.npz", damaged())
    with pytest.raises(DataError, match=rf"{keras}: expected 'x_train' with SHA-256"):
        mnist.load_data()
    fill(small / "xdg/dlcore/mnist", damaged(), gzip.compress, ".gz")
    with pytest.raises(DataError, match=rf"xdg/dlcore/mnist/{TRAIN_X}\.gz: expected content with SHA-256.*delete"):
        mnist.load_data()
    home = fill(small / "home/mnist", arrays())
    (home / TEST_Y).unlink()
    monkeypatch.setenv("DLCORE_DATA_HOME", str(small / "home"))
    with pytest.raises(DataError, match=f"home/mnist: expected .* missing: {TEST_Y}"):
        mnist.load_data()


def test_swapped_files(small):
    x_train, y_train, x_test, y_test = arrays()
    with pytest.raises(DataError, match=f"{TEST_X}: expected sizes 5 x 4 x 3, found 12 x 4 x 3.*load_idx_directory"):
        mnist.load_data(fill(small / "a", (x_train, y_train, x_train, y_test)))
    with pytest.raises(DataError, match=f"{TRAIN_X}: expected sizes 12 x 4 x 3, found 12"):
        mnist.load_data(fill(small / "b", (y_train, x_train, x_test, y_test)))


def test_path_not_there(small):
    with pytest.raises(DataError, match=r"gone\.npz: expected an \.npz file, found nothing"):
        mnist.load_data(small / "gone.npz")
    with pytest.raises(DataError, match="gone: expected a folder with idx files, found nothing"):
        mnist.load_data(str(small / "gone"))


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz(small, save):
    path = save_npz(small / "m.npz", save=save)
    assert_loaded(mnist.load_data(path), arrays())
    whole = path.read_bytes()
    rng = np.random.default_rng(3)
    for length in [0, 1, 3, *rng.integers(4, len(whole), 30)]:
        path.write_bytes(whole[:length])
        with pytest.raises(DataError, match=r"m\.npz"):
            mnist.load_data(path)
    for at in rng.integers(0, len(whole), 200):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ (1 << rng.integers(8))]) + whole[at + 1 :])
        try:  # dates and the like do not touch the content
            assert_loaded(mnist.load_data(path), arrays())
        except DataError as error:
            assert "m.npz" in str(error)


def test_npz_of_something_else(small):
    x_train, y_train, x_test, y_test = arrays()
    for contents, told in [
        ((x_train[1:], y_train, x_test, y_test), "'x_train' is uint8 .11, 4, 3."),
        ((x_train, y_train.astype("i8"), x_test, y_test), "'y_train' is int64"),
        ((np.asfortranarray(x_train), y_train, x_test, y_test), "'x_train' is uint8 .* in Fortran order"),
    ]:
        with pytest.raises(DataError, match=rf"other\.npz: expected .*{told}"):
            mnist.load_data(save_npz(small / "other.npz", contents))
    np.savez(small / "few.npz", x_train=x_train)
    with pytest.raises(DataError, match=r"few\.npz: .*y_train"):
        mnist.load_data(small / "few.npz")
    np.savez(small / "pickled.npz", x_train=np.array([{}], object))
    with pytest.raises(DataError, match=r"pickled\.npz: .*object"):
        mnist.load_data(small / "pickled.npz")


def test_npz_bomb_is_not_inflated(small):
    x_train = arrays()[0]
    with zipfile.ZipFile(small / "bomb.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        member = io.BytesIO()
        np.lib.format.write_array(member, x_train)
        archive.writestr("x_train.npy", member.getvalue() + bytes(100 << 20))
    tracemalloc.start()
    with pytest.raises(DataError, match=r"bomb\.npz: .*'x_train' should have 144 bytes by its header, found more"):
        mnist.load_data(small / "bomb.npz")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4e6


# ---- the download, from a server of our own ----


@pytest.fixture
def serve():
    """serve(folder) -> its address."""
    servers = []

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    def start(folder):
        handler = functools.partial(Quiet, directory=str(folder))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_address[1]}/"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_download(small, serve, monkeypatch):
    pytest.importorskip("pooch")
    good = serve(fill(small / "good", arrays(), gzip.compress, ".gz"))
    monkeypatch.setattr(mnist, "_MIRRORS", (good,))
    assert_loaded(mnist.load_data(), arrays())
    assert sorted(os.listdir(cache_dir() / "mnist")) == sorted(f"{name}.gz" for name in NAMES)
    (cache_dir() / "mnist" / f"{TEST_X}.gz").unlink()  # as an interrupted download leaves it
    assert_loaded(mnist.load_data(), arrays())
    monkeypatch.setattr(mnist, "_MIRRORS", ())
    assert_loaded(mnist.load_data(), arrays())


def test_second_mirror_helps_out(small, serve, monkeypatch):
    pytest.importorskip("pooch")
    empty = serve(small)
    bad = serve(fill(small / "bad", damaged(), gzip.compress, ".gz"))
    good = serve(fill(small / "good", arrays(), gzip.compress, ".gz"))
    monkeypatch.setattr(mnist, "_MIRRORS", (empty, bad))
    with pytest.raises(DataError) as caught:
        mnist.load_data()
    assert f"{empty}: does not have" in str(caught.value)
    assert f"{bad}: " in str(caught.value) and "expected content with SHA-256" in str(caught.value)
    assert not os.listdir(cache_dir() / "mnist")  # neither a bad file nor a temporary one stays
    monkeypatch.setattr(mnist, "_MIRRORS", (empty, bad, good))
    assert_loaded(mnist.load_data(), arrays())


def test_no_network_is_noticed_in_time(small, monkeypatch):
    """One mirror refuses, one accepts and says nothing: within 5 seconds one error names all that was tried."""
    pytest.importorskip("pooch")
    assert mnist._PATIENCE < 5
    monkeypatch.setattr(mnist, "_PATIENCE", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as mute, socket.create_server(("127.0.0.1", 0)) as closed:
        silent, refusing = (f"http://127.0.0.1:{s.getsockname()[1]}/" for s in (mute, closed))
        closed.close()
        monkeypatch.setattr(mnist, "_MIRRORS", (silent, refusing))
        monkeypatch.setenv("DLCORE_DATA_HOME", str(small / "home"))
        began = time.monotonic()
        with pytest.raises(DataError) as caught:
            mnist.load_data()
        assert time.monotonic() - began < 3
    for place in (silent, refusing, "home", "xdg", "keras", "digits28", "DLCORE_DATA_HOME"):
        assert place in str(caught.value)


def test_without_pooch(small, monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(DataError, match=r"pip install 'dlcore-engine\[data\]'"):
        mnist.load_data()


def test_cache_dir(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_dir() == tmp_path / "dlcore"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert cache_dir() == tmp_path / ".cache" / "dlcore"


def test_the_real_mnist():
    if not os.path.isdir(os.path.join(os.environ.get("DLCORE_DATA_HOME", ""), "mnist")):
        pytest.skip("DLCORE_DATA_HOME names no folder with mnist/ in it")
    (x_train, y_train), (x_test, y_test) = mnist.load_data()
    assert x_train.shape == (60000, 28, 28) and x_test.shape == (10000, 28, 28)
    assert y_train.shape == (60000,) and y_test.shape == (10000,)
    assert {x_train.dtype, y_train.dtype, x_test.dtype, y_test.dtype} == {np.dtype(np.uint8)}
    assert list(y_train[:5]) == [5, 0, 4, 1, 9] and list(y_test[:5]) == [7, 2, 1, 0, 4]
