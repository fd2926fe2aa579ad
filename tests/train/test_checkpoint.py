"""Checkpoints: everything comes back exactly, and what is wrong with a file is told."""

import re

import numpy as np
import pytest

import microrecur as mr
from microrecur.interop.weights import save_weights
from microrecur.train.checkpoint import load_checkpoint, save_checkpoint


def model(seed=0):
    return mr.Sequential(mr.Linear(2, 3, seed=seed), mr.Dropout(0.5, seed=seed), mr.Linear(3, 1))


STATE = {
    "numbers": [1, 0.1, float("inf"), None, True, "text"],
    "array": np.arange(3.0),
    "nested": {"of one": {"a": np.float32(0.1)}, "none": np.array(4)},
}


def test_everything_comes_back(tmp_path):
    saved, other = model(0), model(1)
    saved(np.ones((2, 2)))  # one mask is drawn
    path = save_checkpoint(tmp_path / "c.safetensors", saved, STATE)
    found = load_checkpoint(path)
    assert found.state["numbers"] == STATE["numbers"]
    np.testing.assert_array_equal(found.state["array"], STATE["array"])
    assert found.state["nested"]["of one"]["a"] == np.float32(0.1)
    assert found.state["nested"]["none"] == 4
    found.restore(other)
    for name, array in saved.state_dict().items():
        np.testing.assert_array_equal(other.state_dict()[name], array)
    x = np.ones((5, 2))
    np.testing.assert_array_equal(other(x).data, saved(x).data)  # the same next mask


def test_any_reader_of_safetensors_finds_the_weights(tmp_path):
    path = save_checkpoint(tmp_path / "c.safetensors", mr.LSTM(2, 3, seed=0), STATE)
    weights = mr.load_weights(path)
    assert weights["weight_hh_l0"].shape == (12, 3)
    layer = mr.load_torch(path)
    np.testing.assert_array_equal(layer.weight_hh_l0.data, weights["weight_hh_l0"])


def test_another_model_is_left_as_it_was(tmp_path):
    path = save_checkpoint(tmp_path / "c.safetensors", model(), {})
    found = load_checkpoint(path)
    with pytest.raises(KeyError, match=re.escape("dropouts at ['1'], the model at no place")):
        found.restore(mr.Linear(2, 3))
    wrong = mr.Sequential(mr.Linear(2, 4, seed=0), mr.Dropout(0.5), mr.Linear(4, 1))
    before = wrong.state_dict()
    with pytest.raises(ValueError, match=r"0\.weight is"):
        found.restore(wrong)
    np.testing.assert_array_equal(wrong.state_dict()["0.weight"], before["0.weight"])


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda p: None, FileNotFoundError, "load_checkpoint: no file at "),
        (lambda p: save_weights(p, model()), ValueError, "is no checkpoint: it holds weights"),
        (lambda p: p.write_bytes(b"!" * 40), ValueError, "is no sound safetensors file"),
        (
            lambda p: damage(p, b'"format": 1', b'"format": 7'),
            ValueError,
            "its format is 7, and this microrecur reads 1",
        ),
        (lambda p: damage(p, b'"state"', b'"stale"'), ValueError, "a damaged checkpoint: 'state'"),
    ],
)
def test_what_is_no_checkpoint_is_told(tmp_path, make, error, message):
    path = tmp_path / "c.safetensors"
    make(path)
    with pytest.raises(error, match=re.escape(message)):
        load_checkpoint(path)


def damage(path, old, new):
    save_checkpoint(path, model(), {})
    old, new = (text.replace(b'"', b'\\"') for text in (old, new))  # json within json
    contents = path.read_bytes()
    assert old in contents
    path.write_bytes(contents.replace(old, new))


def test_a_name_of_another_kind_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"ends in \.safetensors, not 'c\.pt'"):
        save_checkpoint(tmp_path / "c.pt", model(), {})
