"""Weights in files: the same numbers back, damaged files told, nothing ever unpickled or lost."""

import os
import pickle
import re
import resource
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from microrecur.interop.weights import load_weights, save_weights
from microrecur.nn.layers import LSTM

STATE = {"w": np.arange(6.0).reshape(2, 3), "b": np.array([1.5, -2.0], np.float32)}


def same(found, expected):
    assert set(found) == set(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == np.asarray(array).dtype
        assert found[name].shape == np.shape(array)


@pytest.mark.parametrize("ending", ["safetensors", "npz"])
@given(
    array=arrays.arrays(
        st.sampled_from([np.float64, np.float32, np.float16, np.int64, np.uint8, np.bool_]),
        arrays.array_shapes(min_dims=0, max_dims=3, min_side=0),
    )
)
def test_every_array_comes_back(tmp_path_factory, ending, array):
    path = tmp_path_factory.mktemp("weights") / f"model.{ending}"
    save_weights(path, {"a.b": array, "turned": array.T})
    same(load_weights(path), {"a.b": array, "turned": array.T})


@pytest.mark.parametrize("ending", ["safetensors", "npz"])
def test_a_module_goes_through_a_file(tmp_path, ending):
    layer, other = (LSTM(3, 4, num_layers=2, bidirectional=True, seed=s) for s in (0, 1))
    path = save_weights(tmp_path / f"model.{ending}", layer)
    other.load_state_dict(load_weights(path))
    x = np.random.default_rng(0).normal(size=(5, 2, 3))
    np.testing.assert_array_equal(other(x)[0].data, layer(x)[0].data)


def test_memory_that_lies_otherwise_is_laid_out(tmp_path):
    turned = np.arange(6.0).reshape(2, 3).T
    foreign = np.arange(3).astype(">f8")
    save_weights(tmp_path / "m.safetensors", {"turned": turned, "foreign": foreign})
    found = load_weights(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(found["turned"], turned)
    np.testing.assert_array_equal(found["foreign"], [0, 1, 2])


def test_safetensors_of_torch_with_bfloat16(tmp_path):
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file

    state = {"w": torch.randn(3, 2), "half": torch.randn(4).bfloat16()}
    save_file(state, tmp_path / "m.safetensors")
    found = load_weights(tmp_path / "m.safetensors")
    for name, tensor in state.items():
        np.testing.assert_array_equal(found[name], tensor.float().numpy())


# --- torch's own files ---------------------------------------------------------------------------


@pytest.mark.parametrize("wrap", [None, "state_dict", "model_state_dict"])
def test_torchs_own_files(tmp_path, wrap):
    torch = pytest.importorskip("torch")
    state = {"w": torch.arange(4.0), "half": torch.ones(2).bfloat16()}
    torch.save({wrap: state, "epoch": 3} if wrap else state, tmp_path / "m.pt")
    found = load_weights(tmp_path / "m.pt")
    np.testing.assert_array_equal(found["w"], [0, 1, 2, 3])
    assert found["half"].dtype == np.float32


class Evil:
    def __reduce__(self):
        return os.system, ("touch it_ran",)


def test_a_pickle_is_never_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez("m.npz", w=np.array([Evil()], object))
    (tmp_path / "n.npz").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(ValueError, match="it holds Python objects, which are not read"):
        load_weights("m.npz")
    with pytest.raises(ValueError, match="is no sound npz file"):
        load_weights("n.npz")
    if torch := pytest.importorskip("torch"):
        torch.save({"w": Evil()}, "m.pt")
        (tmp_path / "n.pth").write_bytes(pickle.dumps(Evil()))
        for name in ("m.pt", "n.pth"):
            with pytest.raises(ValueError, match="holds more than weights, which is not opened"):
                load_weights(name)
    assert not (tmp_path / "it_ran").exists()


def test_a_torch_file_without_a_state_dict(tmp_path):
    torch = pytest.importorskip("torch")
    torch.save({"epoch": 3, "lr": 0.1}, tmp_path / "m.pt")
    with pytest.raises(ValueError, match=r"holds no state dict; it holds \['epoch', 'lr'\]"):
        load_weights(tmp_path / "m.pt")


def test_a_torch_file_without_torch_says_what_to_do(tmp_path, monkeypatch):
    (tmp_path / "m.pt").write_bytes(b"anything")
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ModuleNotFoundError, match="torch is not installed; save it there with"):
        load_weights(tmp_path / "m.pt")


# --- what is wrong -------------------------------------------------------------------------------


def header(text, data=b""):
    return len(text).to_bytes(8, "little") + text + data


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        (b"", "is no sound safetensors file"),
        (b"PK\3\4" * 9, "is no sound safetensors file"),
        (header(b"{}")[:-1], "is no sound safetensors file"),
        (header(b"[1]"), "is no sound safetensors file"),
        (
            header(b'{"w":{"dtype":"F64","shape":[2],"data_offsets":[0,16]}}', b"\0" * 8),
            "is no sound safetensors file",
        ),
        (
            header(b'{"w":{"dtype":"F8_E4M3","shape":[2],"data_offsets":[0,2]}}', b"\0" * 2),
            "w holds F8_E4M3, which numpy has not; turn it into float32 where it was made",
        ),
    ],
)
def test_a_damaged_safetensors_file_is_told(tmp_path, contents, message):
    (tmp_path / "m.safetensors").write_bytes(contents)
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        load_weights(tmp_path / "m.safetensors")
    assert "m.safetensors" in str(caught.value)


@pytest.mark.parametrize("ending", ["safetensors", "npz"])
@given(data=st.data())
def test_one_wrong_byte_gives_arrays_or_a_message(tmp_path_factory, ending, data):
    folder = tmp_path_factory.mktemp("weights")
    path = save_weights(folder / f"m.{ending}", STATE)
    contents = bytearray(path.read_bytes())
    contents[data.draw(st.integers(0, len(contents) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(contents)
    try:
        load_weights(path)
    except ValueError as error:
        assert str(path) in str(error)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda f: load_weights(f / "m.npz"), FileNotFoundError, "load_weights: no file at "),
        (lambda f: load_weights(f / "m.h5"), ValueError, "m.h5 must end in .safetensors, .npz"),
        (lambda f: save_weights(f / "m.pt", STATE), ValueError, "must end in .safetensors or .npz"),
        (
            lambda f: save_weights(f / "m.npz", {"w": np.array(["a"])}),
            ValueError,
            "w is no array of numbers: its dtype is <U1",
        ),
        (
            lambda f: save_weights(f / "m.h5" / "m.npz", STATE),
            OSError,
            "cannot write 'm.npz' in the folder",
        ),
    ],
)
def test_what_cannot_be_read_or_written_is_told(tmp_path, call, error, message):
    (tmp_path / "m.h5").write_bytes(b"x")
    with pytest.raises(error, match=re.escape(message)):
        call(tmp_path)


def test_a_full_disk_leaves_the_old_file(tmp_path):
    path = save_weights(tmp_path / "m.safetensors", STATE)
    program = f"""
import resource, signal, numpy as np
from microrecur.interop.weights import save_weights
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, {resource.RLIM_INFINITY}))  # a small disk
save_weights({str(path)!r}, {{"w": np.zeros(10_000)}})
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "cannot write 'm.safetensors'" in run.stderr
    assert "the file that was there is untouched" in run.stderr
    same(load_weights(path), STATE)
    assert os.listdir(tmp_path) == ["m.safetensors"]  # and nothing half-written beside it


def test_what_a_file_was_allowed_stays(tmp_path):
    path = save_weights(tmp_path / "m.npz", STATE)
    path.chmod(0o600)
    save_weights(path, STATE)
    assert path.stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["m.npz"]
