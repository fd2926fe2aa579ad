"""Series: reading, windows, and scaling that sees the training part alone."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from microrecur.data.series import Series, Standardiser, read_series, sunspots, windows


@pytest.fixture
def csv_file(tmp_path):
    def write(text, name="tides.csv"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


# --- the data set that ships -----------------------------------------------------------------


def test_sunspots_are_the_published_numbers():
    years, values = sunspots()
    np.testing.assert_array_equal(years, np.arange(1700, 2009))
    assert values.dtype == np.float64
    # First, the great maximum of 1957, last: as printed in the source's yearly table.
    assert [values[0], values[1957 - 1700], values[-1]] == [5.0, 190.2, 2.9]
    assert round(values.mean(), 4) == 49.7521


# --- reading ---------------------------------------------------------------------------------


def test_one_column_without_names_counts_its_own_times(csv_file):
    times, values = read_series(csv_file("1.5\n2\n-3e1\n"))
    np.testing.assert_array_equal(times, [0, 1, 2])
    np.testing.assert_array_equal(values, [1.5, 2, -30])


def test_the_column_is_chosen_by_name_or_by_position(csv_file):
    path = csv_file("date,open,close\n2024-01-02,10,11\n2024-01-03,12,13\n")
    np.testing.assert_array_equal(read_series(path, "close").values, [11, 13])
    np.testing.assert_array_equal(read_series(path, 1).values, [10, 12])
    assert read_series(path, "open").times.tolist() == ["2024-01-02", "2024-01-03"]


@pytest.mark.parametrize(
    "text",
    [
        "hour;height\n0;1.5\n6;4\n",
        "hour\theight\n0\t1.5\n6\t4\n",
        '"hour","height"\r\n 0 , 1.5\r\n\r\n6,4\r\n',
        b"\xef\xbb\xbfhour,height\n0,1.5\n6,4",
    ],
    ids=["semicolons", "tabs", "quotes, spaces, blank lines, CRLF", "byte order mark"],
)
def test_what_other_programs_write_is_read(csv_file, text):
    series = read_series(csv_file(text), "height")
    np.testing.assert_array_equal(series.times, [0, 6])
    np.testing.assert_array_equal(series.values, [1.5, 4])


def test_times_that_are_not_integers_stay_as_written(csv_file):
    assert read_series(csv_file("t,y\n0.5,1\n1,2\n")).times.tolist() == [0.5, 1.0]
    assert read_series(csv_file("t,y\nJan,1\n1,2\n")).times.tolist() == ["Jan", "1"]


def test_a_missing_file_is_named_with_its_full_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError) as failure:
        read_series("tides.csv")
    assert str(failure.value) == f"read_series: no file at {tmp_path / 'tides.csv'}"


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("", None, "{path} is empty: a row of numbers is needed"),
        (" \n\n", None, "{path} is empty: a row of numbers is needed"),
        ("hour,height\n", None, "{path} holds names (hour, height) and no numbers"),
        (
            "hour,height\n0,1\n6,n/a\n",
            None,
            "{path}, line 3, column 'height': 'n/a' is not a finite number",
        ),
        (
            "hour,height\n0,\n",
            None,
            "{path}, line 2, column 'height': '' is not a finite number",
        ),
        ("1\nnan\n", None, "{path}, line 2, column '0': 'nan' is not a finite number"),
        (
            "hour,height\n0,1\n\n6\n",
            None,
            "{path}, line 4: a row is hour, height; this one has 1 of 2 cells",
        ),
        (
            "hour,height\n0,1\n",
            "depth",
            "{path}: there is no column 'depth'; it has 'hour', 'height'",
        ),
        ("hour,height\n0,1\n", 2, "{path}: there is no column 2; it has 'hour', 'height'"),
        ("t,a,b\n0,1,2\n", None, "{path}: column= says which to read; it has 't', 'a', 'b'"),
        (b"\xff\xfe1\x00", None, "{path} is not a text file in UTF-8"),
    ],
)
def test_a_bad_file_is_told_by_line_and_column(csv_file, text, column, message):
    path = csv_file(text)
    with pytest.raises(ValueError, match=re.escape(message.format(path=path)) + "$"):
        read_series(path, column)


# --- windows ---------------------------------------------------------------------------------


def test_a_thousand_points_hold_990_windows_of_ten_with_a_next_value():
    X, y = windows(np.arange(1, 1001), length=10)
    assert (X.shape, y.shape) == ((990, 10), (990,))
    assert X[0].tolist() == list(range(1, 11))
    assert y[0] == 11
    assert X[-1].tolist() == list(range(990, 1000))
    assert y[-1] == 1000


@given(
    length=st.integers(1, 6), horizon=st.integers(1, 5), spare=st.integers(0, 9), start=st.floats()
)
def test_windows_are_the_slices_a_loop_would_take(length, horizon, spare, start):
    values = np.append(
        start, np.random.default_rng(spare).normal(size=length + horizon - 1 + spare)
    )
    X, y = windows(values, length, horizon)
    assert len(X) == len(y) == spare + 1
    for n in range(spare + 1):
        np.testing.assert_array_equal(X[n], values[n : n + length])
        np.testing.assert_array_equal(y[n], values[n + length + horizon - 1])


def test_windows_of_a_series_are_windows_of_its_values():
    series = Series(np.arange(1700, 1705), np.array([1.0, 2, 4, 8, 16]))
    X, y = windows(series, 3)
    assert X.tolist() == [[1, 2, 4], [2, 4, 8]]
    assert y.tolist() == [8, 16]


def test_writing_into_windows_leaves_the_series_alone():
    values = np.arange(6.0)
    X, y = windows(values, 2)
    X[:] = y[:] = -1
    np.testing.assert_array_equal(values, np.arange(6.0))


@pytest.mark.parametrize(
    ("values", "length", "horizon", "message"),
    [
        (
            np.zeros(10),
            10,
            1,
            "windows: length=10 and horizon=1 need at least 11 points, the series has 10",
        ),
        (
            np.zeros(10),
            0,
            1,
            "windows: length=0 and horizon=1 must both be at least 1; "
            "horizon=1 predicts the very next value",
        ),
        (
            np.zeros(10),
            3,
            0,
            "windows: length=3 and horizon=0 must both be at least 1; "
            "horizon=1 predicts the very next value",
        ),
        (np.zeros((4, 2)), 1, 1, "a series has one dimension, this array has shape (4, 2)"),
    ],
)
def test_windows_that_cannot_be_say_why(values, length, horizon, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        windows(values, length, horizon)


# --- scaling ---------------------------------------------------------------------------------


def test_the_test_part_does_not_move_the_scale():
    train = np.array([1.0, 2.0, 3.0, 6.0])
    scaling = Standardiser.fit(train)
    assert scaling.mean == 3.0
    assert scaling.std == np.sqrt((4 + 1 + 0 + 9) / 4)
    whole = np.append(train, 1e6)
    np.testing.assert_array_equal(scaling.apply(whole)[:4], scaling.apply(train))
    assert scaling.apply(train).mean() == pytest.approx(0, abs=1e-15)
    assert scaling.apply(train).std() == pytest.approx(1)


def test_a_series_and_a_list_are_scaled_alike():
    series = Series(np.arange(3), np.array([1.0, 2.0, 4.0]))
    assert Standardiser.fit(series) == Standardiser.fit([1, 2, 4])


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=20), st.floats(-1e6, 1e6))
def test_invert_undoes_apply_on_any_shape(train, value):
    train = [*train, max(train) + 1]  # never constant
    scaling = Standardiser.fit(train)
    for values in (value, np.full((2, 3), value)):
        np.testing.assert_allclose(scaling.invert(scaling.apply(values)), values, atol=1e-6)


@pytest.mark.parametrize(
    ("train", "message"),
    [
        ([], "Standardiser.fit: the training part is empty"),
        (
            [0.1] * 7,
            "Standardiser.fit: the training part is constant (all 0.1), so there is no spread "
            "to scale by; take a longer part",
        ),
        (
            [1.0, np.nan, 2.0],
            "Standardiser.fit: value 1 of the training part is nan; "
            "fill or drop missing values first",
        ),
        (
            [1.0, 2.0, -np.inf],
            "Standardiser.fit: value 2 of the training part is -inf; "
            "fill or drop missing values first",
        ),
    ],
)
def test_a_part_that_cannot_be_scaled_by_says_why(train, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Standardiser.fit(train)
