"""Readers of public data sets from files that the user has: MNIST's IDX, AG NEWS's csv."""

from __future__ import annotations

import csv
import gzip
import io
import math
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from microrecur.data.digits import Images

# IDX: two zero bytes, a code for the type, the number of axes, each axis as a big-endian uint32.
IDX_TYPES: dict[int, np.dtype[Any]] = {
    0x08: np.dtype("u1"),
    0x09: np.dtype("i1"),
    0x0B: np.dtype(">i2"),
    0x0C: np.dtype(">i4"),
    0x0D: np.dtype(">f4"),
    0x0E: np.dtype(">f8"),
}
MNIST_FROM = "https://ossci-datasets.s3.amazonaws.com/mnist/"
AG_NEWS_FROM = "https://github.com/mhjabreel/CharCnn_Keras/tree/master/data/ag_news_csv"
AG_NEWS_CLASSES = ("World", "Sports", "Business", "Sci/Tech")


class News(NamedTuple):
    """Headlines and their sections; ``labels, titles, texts = read_ag_news(path)``.

    Attributes
    ----------
    labels : ndarray of int, of shape (N,)
        0 to 3: World, Sports, Business, Sci/Tech. (The file counts from 1.)
    titles, texts : list of str
        N headlines, and what follows them.
    """

    labels: np.ndarray
    titles: list[str]
    texts: list[str]


def read_idx(path: str | os.PathLike[str]) -> np.ndarray:
    """Read one IDX file, such as MNIST's, packed by gzip or not.

    Parameters
    ----------
    path : str or path
        The file. Whether it is packed is read off its first bytes, not its name.

    Returns
    -------
    ndarray
        Of the file's shape and type, in this machine's byte order.

    Raises
    ------
    FileNotFoundError
        No such file; the message says where MNIST can be had.
    ValueError
        The file is no IDX file, is damaged, or holds fewer or more numbers than it says.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder) / "labels"
    ...     _ = path.write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 2, 1]))
    ...     read_idx(path)
    array([7, 2, 1], dtype=uint8)
    """
    packed = _bytes_of(Path(path), "read_idx", MNIST_FROM)
    if len(packed) < 4 or packed[:2] != b"\0\0" or packed[2] not in IDX_TYPES:
        raise ValueError(
            f"{path} is no IDX file: it begins with {packed[:4].hex(' ') or 'nothing'}, where two "
            f"zero bytes, a type and a number of axes belong; MNIST's files are at {MNIST_FROM}"
        )
    dtype, axes = IDX_TYPES[packed[2]], packed[3]
    start = 4 + 4 * axes
    if len(packed) < start:
        raise ValueError(f"{path} is cut off: it ends within its header of {start} bytes")
    shape = struct.unpack(f">{axes}I", packed[4:start])
    promised, held = math.prod(shape) * dtype.itemsize, len(packed) - start
    if held != promised:
        what = "cut off" if held < promised else "too long"
        raise ValueError(
            f"{path} is {what}: its header says {shape}, {promised:,} bytes, and {held:,} follow; "
            f"fetch it again from {MNIST_FROM}"
        )
    numbers = np.frombuffer(packed, dtype, offset=start).reshape(shape)
    return numbers.astype(dtype.newbyteorder("="))


def read_mnist(folder: str | os.PathLike[str], part: str = "train") -> Images:
    """Read MNIST from its IDX files: 28 steps of 28 features, row by row.

    Parameters
    ----------
    folder : str or path
        Where ``train-images-idx3-ubyte``, ``train-labels-idx1-ubyte`` and the two ``t10k-…`` files
        lie, each with or without ``.gz``.
    part : {"train", "test"}
        60,000 or 10,000 pictures.

    Returns
    -------
    Images
        (N, 28, 28) from 0 to 1, and as many digits.

    Raises
    ------
    FileNotFoundError
        A file is missing; the message names it and says where it can be had.
    ValueError
        A file is damaged, or pictures and labels do not belong together.
    """
    if part not in ("train", "test"):
        raise ValueError(f"read_mnist: part is 'train' or 'test', not {part!r}")
    stem = "train" if part == "train" else "t10k"
    image_file = _packed_or_not(Path(folder), f"{stem}-images-idx3-ubyte")
    label_file = _packed_or_not(Path(folder), f"{stem}-labels-idx1-ubyte")
    images, labels = read_idx(image_file), read_idx(label_file)
    if images.ndim != 3 or labels.ndim != 1 or len(images) != len(labels):
        raise ValueError(
            f"{image_file.name} has shape {images.shape} and {label_file.name} {labels.shape}: "
            "they must be (N, rows, columns) and (N,)"
        )
    return Images(images / 255, labels.astype(int))


def read_ag_news(path: str | os.PathLike[str]) -> News:
    """Read AG NEWS: rows of class (1 to 4), title, description.

    Parameters
    ----------
    path : str or path
        ``train.csv`` or ``test.csv``, packed by gzip or not.

    Returns
    -------
    News

    Raises
    ------
    FileNotFoundError
        No such file; the message says where it can be had.
    ValueError
        The file is empty, damaged, no text, or a row is not class, title, description; the message
        names file and line.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder) / "test.csv"
    ...     _ = path.write_text('"3","Oil prices soar","Prices at the pump rose."')
    ...     labels, titles, _ = read_ag_news(path)
    >>> AG_NEWS_CLASSES[labels[0]], titles[0]
    ('Business', 'Oil prices soar')
    """
    try:
        text = _bytes_of(Path(path), "read_ag_news", AG_NEWS_FROM).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not a text file in UTF-8") from error
    rows = list(_news_rows(text, path))
    if not rows:
        raise ValueError(f"{path} is empty: rows of class, title, description are needed")
    labels, titles, texts = zip(*rows)
    return News(np.array(labels), list(titles), list(texts))


def _news_rows(text: str, path: str | os.PathLike[str]) -> Iterator[tuple[int, str, str]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for row in reader:
            if not row:
                continue
            if len(row) != 3:
                raise ValueError(
                    f"{path}, line {reader.line_num}: a row is class, title, description; "
                    f"this one has {len(row)} cells"
                )
            if row[0] not in ("1", "2", "3", "4"):
                raise ValueError(
                    f"{path}, line {reader.line_num}: the class is 1, 2, 3 or 4, not {row[0]!r}"
                )
            yield int(row[0]) - 1, row[1], row[2]
    except csv.Error as error:
        raise ValueError(f"{path}, line {reader.line_num}: {error}") from error


def _packed_or_not(folder: Path, name: str) -> Path:
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return path
    raise FileNotFoundError(
        f"read_mnist: neither {name} nor {name}.gz is in {folder.absolute()}; "
        f"both can be had from {MNIST_FROM}"
    )


def _bytes_of(path: Path, reader: str, source: str) -> bytes:
    """The contents of a file, unpacked if gzip packed them."""
    if not path.is_file():
        raise FileNotFoundError(
            f"{reader}: no file at {path.absolute()}; it can be had from {source}"
        )
    contents = path.read_bytes()
    if contents[:2] != b"\x1f\x8b":
        return contents
    try:
        return gzip.decompress(contents)
    except (OSError, EOFError, zlib.error) as error:  # a bad check sum, a file that ends early
        raise ValueError(
            f"{path} is damaged: gzip says {str(error)!r}; fetch it again from {source}"
        ) from error
