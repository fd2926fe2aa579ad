"""Files are written whole or not at all."""

import pytest

from microrecur.files import write_whole


def test_text_and_bytes_arrive_as_they_are(tmp_path):
    assert write_whole(tmp_path / "a" / "b.txt", "σ\r\n").read_bytes() == "σ\r\n".encode()
    assert write_whole(tmp_path / "c.bin", b"\x00").read_bytes() == b"\x00"


def test_a_failed_write_leaves_the_old_file_and_nothing_beside_it(tmp_path, monkeypatch):
    target = write_whole(tmp_path / "a.svg", "old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match=r"\(No space left.*the file that was there is untouched"):
        write_whole(target, "new")
    assert target.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["a.svg"]


def test_what_stands_in_the_way_is_named(tmp_path):
    blocker = write_whole(tmp_path / "passwd", "")
    with pytest.raises(OSError, match=r"cannot write 'x.svg' in .*passwd' is a file, not a folder"):
        write_whole(blocker / "deeper" / "x.svg", "")
    (tmp_path / "x.svg").mkdir()
    with pytest.raises(OSError, match=r"cannot write 'x.svg'.*there is a folder of that name"):
        write_whole(tmp_path / "x.svg", "")
