"""Readers of public files: right numbers from sound files, a clear word about damaged ones."""

import gzip
import re
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from microrecur.data.digits import consumer_prices, digits
from microrecur.data.files import read_ag_news, read_idx, read_mnist

PICTURES = np.arange(2 * 28 * 28, dtype=np.uint8).reshape(2, 28, 28)


def idx(array, code=8):
    header = bytes([0, 0, code, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.tobytes()


@pytest.fixture
def mnist(tmp_path):
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx(PICTURES))
    labels = idx(np.array([7, 3], np.uint8))
    (tmp_path / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(labels))
    return tmp_path


def refused(error, message, reader, *arguments):
    with pytest.raises(error, match=re.escape(message)) as caught:
        reader(*arguments)
    return str(caught.value)


# --- what comes along ------------------------------------------------------------------------


def test_digits_are_the_published_ones():
    images, labels = digits()
    assert images.min() == 0 and images.max() == 1
    np.testing.assert_array_equal(images[0, 0] * 16, [0, 0, 5, 13, 9, 1, 0, 0])
    # Counts of the ten digits in the UCI test set, as its documentation lists them.
    assert np.bincount(labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert (images * 16).sum() == 561_718


def test_consumer_prices_are_the_published_ones():
    quarters, prices = consumer_prices()
    assert (quarters[0], quarters[-1], len(prices)) == ("1959Q1", "2009Q3", 203)
    assert prices[[0, 1, -2, -1]].tolist() == [28.98, 29.15, 214.469, 216.385]


# --- IDX ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "dtype"),
    [(0x08, "u1"), (0x09, "i1"), (0x0B, ">i2"), (0x0C, ">i4"), (0x0D, ">f4"), (0x0E, ">f8")],
)
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_idx_of_every_type(tmp_path, code, dtype, pack):
    numbers = np.array([[1, -2, 3], [4, 5, 100]]).astype(dtype)
    (tmp_path / "file").write_bytes(pack(idx(numbers, code)))
    read = read_idx(tmp_path / "file")
    np.testing.assert_array_equal(read, numbers)
    assert read.dtype.isnative


def test_mnist_packed_and_not(mnist):
    images, labels = read_mnist(mnist)
    np.testing.assert_array_equal(images, PICTURES / 255)
    np.testing.assert_array_equal(labels, [7, 3])


def test_a_missing_mnist_file_says_where_to_get_it(mnist):
    message = "neither t10k-images-idx3-ubyte nor t10k-images-idx3-ubyte.gz is in"
    assert "https://ossci-datasets" in refused(
        FileNotFoundError, message, read_mnist, mnist, "test"
    )
    refused(FileNotFoundError, "it can be had from https://ossci", read_idx, mnist / "nothing")
    refused(ValueError, "part is 'train' or 'test', not 'dev'", read_mnist, mnist, "dev")


def test_mnist_labels_that_belong_to_other_pictures(mnist):
    (mnist / "train-labels-idx1-ubyte").write_bytes(idx(np.zeros(3, np.uint8)))
    refused(ValueError, "train-labels-idx1-ubyte (3,): they must be", read_mnist, mnist)


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        (b"", "is no IDX file: it begins with nothing"),
        (b"<html>", "is no IDX file: it begins with 3c 68 74 6d"),
        (b"\0\0\x07\x01\0\0\0\1\0", "is no IDX file: it begins with 00 00 07 01"),
        (b"\0\0\x08\x03\0\0", "is cut off: it ends within its header of 16 bytes"),
        (idx(PICTURES)[:-1], "is cut off: its header says (2, 28, 28), 1,568 bytes, and 1,567"),
        (idx(PICTURES) + b"!", "is too long: its header says (2, 28, 28), 1,568 bytes, and 1,569"),
        (b"\0\0\x08\x03" + b"\xff" * 12, "is cut off: its header says (4294967295, 4294967295, "),
        (gzip.compress(idx(PICTURES))[:-9], "is damaged: gzip says"),
        (gzip.compress(idx(PICTURES))[:-8] + b"\0" * 8, "is damaged: gzip says 'CRC check failed"),
        (b"\x1f\x8b" + b"!" * 30, "is damaged: gzip says"),
    ],
)
def test_a_damaged_idx_file_is_told(tmp_path, contents, message):
    (tmp_path / "file").write_bytes(contents)
    refused(ValueError, message, read_idx, tmp_path / "file")


@given(st.data())
def test_one_wrong_byte_gives_numbers_or_a_message_never_another_error(tmp_path_factory, data):
    sound = gzip.compress(idx(PICTURES[:, :3, :3]), mtime=0)
    at = data.draw(st.integers(0, len(sound) - 1))
    wrong = bytearray(sound)
    wrong[at] ^= data.draw(st.integers(1, 255))
    path = tmp_path_factory.mktemp("idx") / "file"
    path.write_bytes(wrong)
    try:
        read_idx(path)
    except (ValueError, FileNotFoundError) as error:
        assert str(path) in str(error)


# --- AG NEWS -----------------------------------------------------------------------------------


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_ag_news_rows(tmp_path, pack):
    text = '"3","Oil, up","He said ""no""."\r\n"1","Élection","Two\nlines"\n\n'
    (tmp_path / "train.csv").write_bytes(pack(text.encode()))
    labels, titles, texts = read_ag_news(tmp_path / "train.csv")
    np.testing.assert_array_equal(labels, [2, 0])
    assert titles == ["Oil, up", "Élection"]
    assert texts == ['He said "no".', "Two\nlines"]


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        (b"", "is empty: rows of class, title, description are needed"),
        (b"\xff\xfe1", "is not a text file in UTF-8"),
        (b'"1","a","b"\n"2","a"\n', "line 2: a row is class, title, description; this one has 2"),
        (b'"5","a","b"\n', "line 1: the class is 1, 2, 3 or 4, not '5'"),
        (b'Class,"a","b"\n', "line 1: the class is 1, 2, 3 or 4, not 'Class'"),
        (b'"1","a","b', "line 1: unexpected end of data"),
    ],
)
def test_damaged_ag_news_is_told(tmp_path, contents, message):
    (tmp_path / "test.csv").write_bytes(contents)
    assert "test.csv" in refused(ValueError, message, read_ag_news, tmp_path / "test.csv")


def test_missing_ag_news_says_where_to_get_it(tmp_path):
    refused(FileNotFoundError, "CharCnn_Keras", read_ag_news, tmp_path / "train.csv")
