"""Layers without a memory, modules that hold others, and initialisers."""

import copy
import pickle

import numpy as np
import pytest

import microrecur as mr
from microrecur.engine.tensor import ancestry
from microrecur.nn.simple import keep_mask

from .messages import message, says


def torch_beside(torch, ours, theirs, x, tolerance=1e-12):
    """Values and all gradients, of a module with torch's parameter names."""
    ours.load_state_dict(theirs.state_dict())
    leaf, their_leaf = mr.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    got, expected = ours(leaf), theirs(their_leaf)
    np.testing.assert_allclose(got.data, expected.detach().numpy(), rtol=tolerance, atol=tolerance)
    weights = np.random.default_rng(1).normal(size=got.shape)
    (got * weights).sum().backward()
    (expected * torch.tensor(weights)).sum().backward()
    pairs = [(leaf, their_leaf), *zip(ours.parameters(), theirs.parameters(), strict=True)]
    for p, q in pairs:
        np.testing.assert_allclose(p.grad, q.grad.numpy(), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("shape", [(3,), (5, 3), (2, 5, 3)])
@pytest.mark.parametrize("bias", [True, False])
def test_linear_beside_torch(torch, shape, bias):
    x = np.random.default_rng(0).normal(size=shape)
    torch_beside(torch, mr.Linear(3, 4, bias), torch.nn.Linear(3, 4, bias).double(), x)


@pytest.mark.parametrize("shape", [4, (3, 4)])
def test_layer_norm_beside_torch(torch, shape):
    x = np.random.default_rng(0).normal(size=(2, 3, 4))
    torch_beside(torch, mr.LayerNorm(shape), torch.nn.LayerNorm(shape).double(), x)


@pytest.mark.parametrize("indices", [3, [1, 1, 0], [[2, 2], [2, 5]]])
def test_embedding_gathers_the_gradient_of_repeated_indices(torch, indices):
    ours, theirs = mr.Embedding(6, 4, seed=0), torch.nn.Embedding(6, 4).double()
    theirs.load_state_dict({"weight": torch.tensor(ours.weight.numpy())})
    got, expected = ours(indices), theirs(torch.tensor(indices))
    np.testing.assert_array_equal(got.data, expected.detach().numpy())
    weights = np.random.default_rng(1).normal(size=got.shape)
    (got * weights).sum().backward()
    (expected * torch.tensor(weights)).sum().backward()
    np.testing.assert_allclose(ours.weight.grad, theirs.weight.grad.numpy(), rtol=1e-14)


def test_dropout_keeps_the_mean_and_records_mask_and_seed():
    drop, x = mr.Dropout(0.25, seed=3), mr.tensor(np.ones(20_000), requires_grad=True)
    y = drop(x)
    assert y.data.mean() == pytest.approx(1.0, abs=0.01)
    assert (y.data == 0).mean() == pytest.approx(0.25, abs=0.01)
    (mask,) = (n for n in ancestry([y]) if n.name == "mask")
    np.testing.assert_array_equal(mask.data, keep_mask(3, 0, x.shape, 0.25) / 0.75)
    assert y.scope == ("dropout p=0.25 seed=3 call=0",)
    y.sum().backward()
    np.testing.assert_array_equal(x.grad, mask.data)
    np.testing.assert_array_equal(drop(x).data, keep_mask(3, 1, x.shape, 0.25) / 0.75)


def test_dropout_of_nothing_and_of_everything():
    x = mr.tensor(np.ones(5))
    assert mr.Dropout(0.0)(x) is x
    assert mr.Dropout(0.5).eval()(x) is x
    assert not mr.Dropout(1.0)(x).data.any()


def test_a_head_used_at_every_step_is_one_weight_outside_the_steps():
    head, cell = mr.Linear(3, 1, seed=0), mr.RNNCell(2, 3, seed=0)
    hs = mr.unroll(cell, np.ones((4, 2)))
    ys = []
    for t, h in enumerate(hs, 1):
        with mr.scope(f"t={t}"):
            ys.append(head(h))
    views = [n for n in ancestry(ys) if n.name == "W" and head.weight in n.inputs]
    assert len(views) == 1
    assert views[0].scope == ()


# -- modules that hold others --------------------------------------------------------------------


def squash(x):
    return mr.tanh(x)


class Model(mr.Module):
    def __init__(self):
        self.embedding = mr.Embedding(5, 3, seed=0)
        self.layers = [mr.GRU(3, 4, seed=1), mr.LSTM(4, 2, 2, dropout=0.5, seed=2)]
        self.head = mr.Sequential(mr.LayerNorm(2), squash, mr.Linear(2, 1, seed=3))
        self.scale = mr.tensor(2.0, requires_grad=True, name="scale")
        self._cache = mr.tensor(1.0, requires_grad=True)

    def forward(self, indices):
        x = self.embedding(indices)
        for layer in self.layers:
            x, *_ = layer(x)
        return self.head(x) * self.scale


def test_names_own_parameters_first_then_children_and_lists_by_number():
    names = list(Model().state_dict())
    assert names[:6] == [
        "scale",
        "embedding.weight",
        "layers.0.weight_ih_l0",
        "layers.0.weight_hh_l0",
        "layers.0.bias_ih_l0",
        "layers.0.bias_hh_l0",
    ]
    assert names[-4:] == ["head.0.weight", "head.0.bias", "head.2.weight", "head.2.bias"]
    assert not any("_cache" in name for name in names)
    assert dict(Model().named_modules()).keys() >= {"", "layers.1", "layers.1.dropout", "head.2"}


def test_train_and_eval_reach_everything():
    model = Model()
    assert all(module.training for _, module in model.named_modules())
    assert model.eval() is model
    assert not any(module.training for _, module in model.named_modules())
    np.testing.assert_array_equal(model([[1, 2]]).data, model([[1, 2]]).data)
    assert model.train().layers[1].dropout.training


def test_a_model_saved_loaded_copied_and_turned():
    model, other = Model().eval(), Model().eval()
    for p in model.parameters():
        p.assign(p.numpy() + 0.5)
    expected = model([[1, 2, 3]]).data
    assert not np.allclose(other([[1, 2, 3]]).data, expected)
    other.load_state_dict(model.state_dict())
    for twin in (other, copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(twin([[1, 2, 3]]).data, expected)
    single = other.to(np.float32)([[1, 2, 3]])
    assert single.dtype == np.float32
    np.testing.assert_allclose(single.data, expected, rtol=1e-4)


def test_a_parameter_held_twice_is_one():
    class Tied(mr.Module):
        def __init__(self):
            self.a, self.b = mr.Linear(2, 2, seed=0), mr.Linear(2, 2, seed=1)
            self.b.weight = self.a.weight

    tied = Tied()
    assert [name for name, _ in tied.named_parameters()] == ["a.weight", "a.bias", "b.bias"]
    assert list(tied.state_dict()) == ["a.weight", "a.bias", "b.weight", "b.bias"]
    tied.to(np.float32)
    assert tied.a.weight is tied.b.weight


def test_the_repr_is_a_tree_with_shapes_and_counts():
    assert repr(Model()).splitlines() == [
        "Model(scale (); 243 parameters)",
        "  embedding: Embedding(5, 3; weight (5, 3); 15 parameters)",
        "  layers.0: GRU(3, 4; weight_ih_l0 (12, 3), weight_hh_l0 (12, 4), bias_ih_l0 (12,), "
        "bias_hh_l0 (12,); 108 parameters)",
        "  layers.1: LSTM(4, 2, num_layers=2; weight_ih_l0 (8, 4), weight_hh_l0 (8, 2), "
        "bias_ih_l0 (8,), bias_hh_l0 (8,), weight_ih_l1 (8, 2), weight_hh_l1 (8, 2), "
        "bias_ih_l1 (8,), bias_hh_l1 (8,); 112 parameters)",
        "    dropout: Dropout(p=0.5; 0 parameters)",
        "  head: Sequential(7 parameters)",
        "    0: LayerNorm(2; weight (2,), bias (2,); 4 parameters)",
        "    2: Linear(2, 1; weight (1, 2), bias (1,); 3 parameters)",
    ]


def test_a_sequential_files_its_modules_by_number():
    model = mr.Sequential(mr.Linear(2, 3, seed=0), mr.tanh, mr.Linear(3, 1, seed=0))
    y = model(np.ones(2))
    g = mr.graph(y)
    assert {"0.W", "1.tanh1", "2.W"} <= {n.id for n in g.nodes}
    assert len(model) == 3 and model[2].in_features == 3


# -- initialisers --------------------------------------------------------------------------------

MATRIX = {"xavier_uniform_": 0.2, "xavier_normal_": 0.2, "orthogonal_": 0.1}


@pytest.mark.parametrize("name", ["uniform_", *MATRIX])
def test_initialisers_draw_from_seed_or_generator_and_fill_rows(name):
    fill = getattr(mr, name)
    cell = mr.LSTMCell(4, 4, seed=0)
    before = cell.weight_hh.numpy()
    assert fill(cell.weight_hh, rows=slice(4, 8), seed=1) is cell.weight_hh
    alone = fill(mr.tensor(np.zeros((4, 4))), rng=np.random.default_rng(1))
    np.testing.assert_array_equal(cell.weight_hh.data[4:8], alone.data)
    for rows in (slice(0, 4), slice(8, 16)):
        np.testing.assert_array_equal(cell.weight_hh.data[rows], before[rows])


def test_uniform_and_xavier_have_their_spread():
    p = mr.tensor(np.zeros((300, 500)), dtype=np.float32)
    x = mr.uniform_(p, -0.5, 0.25, seed=0).data
    assert (x.min(), x.max()) == pytest.approx((-0.5, 0.25), abs=1e-3)
    limit = 2 * np.sqrt(6 / 800)
    x = mr.xavier_uniform_(p, gain=2.0, seed=0).data
    assert (x.min(), x.max()) == pytest.approx((-limit, limit), rel=1e-3)
    x = mr.xavier_normal_(p, gain=2.0, seed=0).data
    assert x.std() == pytest.approx(2 * np.sqrt(2 / 800), rel=0.01)
    assert p.dtype == np.float32


@pytest.mark.parametrize("shape", [(4, 4), (6, 3), (3, 6)])
def test_orthogonal_is_so_along_its_shorter_side(shape):
    q = mr.orthogonal_(mr.tensor(np.zeros(shape)), gain=2.0, seed=0).data
    product = q @ q.T if shape[0] <= shape[1] else q.T @ q
    np.testing.assert_allclose(product, 4 * np.eye(min(shape)), atol=1e-12)


def test_orthogonal_favours_no_sign():
    """QR alone would leave the diagonal's signs to LAPACK."""
    drawn = [mr.orthogonal_(mr.tensor(np.zeros((2, 2))), seed=k).data for k in range(400)]
    assert abs(np.mean(np.sign(drawn), axis=0)).max() < 0.2


def test_an_irnn_keeps_its_state_from_the_start():
    cell = mr.RNNCell(1, 3, nonlinearity="relu", seed=0)
    mr.identity_(cell.weight_hh)
    for p in (cell.weight_ih, cell.bias_ih, cell.bias_hh):
        mr.uniform_(p, 0.0, 0.0)
    h = mr.unroll(cell, np.ones((50, 1)), np.array([1.0, 2.0, 3.0]))[-1]
    np.testing.assert_array_equal(h.data, [1.0, 2.0, 3.0])


# -- bad input -----------------------------------------------------------------------------------


def test_what_bad_input_is_told():
    text = message(mr.ShapeError, lambda: mr.Linear(3, 2)(np.ones((4, 5))))
    says(text, "Linear", "(4, 5)", "in_features=3")
    text = message(mr.ShapeError, lambda: mr.LayerNorm((3, 4))(np.ones((4, 3))))
    says(text, "LayerNorm", "(4, 3)", "(3, 4)")
    text = message(IndexError, lambda: mr.Embedding(5, 2)([0, 7, -1]))
    says(text, "-1 to 7", "rows 0 to 4", "num_embeddings=5")
    says(message(TypeError, lambda: mr.Embedding(5, 2)([0.5])), "whole numbers", "float64")
    says(message(ValueError, lambda: mr.Linear(0, 2)), "Linear: in_features", "≥ 1", "0")
    says(message(ValueError, lambda: mr.Dropout(-0.1)), "from 0 to 1", "-0.1")
    says(message(TypeError, lambda: mr.Sequential(mr.Linear(1, 1), 3)), "argument 2, 3")
    says(message(NotImplementedError, mr.Module()), "Module has no forward()")
    cell = mr.LSTMCell(2, 3)
    text = message(mr.ShapeError, lambda: mr.identity_(cell.weight_hh))
    says(text, "weight_hh", "(12, 3)", "square", "rows=slice")
    text = message(mr.ShapeError, lambda: mr.orthogonal_(cell.bias_hh))
    says(text, "orthogonal_ fills a matrix", "bias_hh", "(12,)")
