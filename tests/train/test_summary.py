"""The table of a model's modules."""

import numpy as np
import pytest

import microrecur as mr


class Tagger(mr.Module):
    def __init__(self):
        self.lstm = mr.LSTM(3, 4, 2, dropout=0.5, bidirectional=True, seed=0)
        self.head = mr.Linear(8, 5, seed=1)
        self.spare = mr.Linear(1, 1, seed=2)

    def forward(self, x):
        output, _ = self.lstm(x)
        return {"logits": self.head(output)}


def test_rows_shapes_and_counts():
    table = mr.summary(Tagger(), np.ones((7, 2, 3)))
    found = [(row.module, row.type, row.output, row.parameters) for row in table]
    lstm = 2 * (16 * (3 + 4) + 32) + 2 * (16 * (8 + 4) + 32)
    assert found == [
        ("", "Tagger", "—", lstm + 45 + 2),
        ("lstm", "LSTM", "((7, 2, 8), ((4, 2, 4), (4, 2, 4)))", lstm),
        ("lstm.dropout", "Dropout", "(2, 8)", 0),
        ("head", "Linear", "(7, 2, 5)", 45),
        ("spare", "Linear", "", 2),
    ]


def test_the_table_prints_aligned():
    text = str(mr.summary(mr.Sequential(mr.Linear(3, 4), mr.Linear(4, 2)), np.ones((5, 3))))
    assert text.splitlines()[1:] == [
        "        Sequential  (5, 2)          26",
        "0       Linear      (5, 4)          16",
        "1       Linear      (5, 2)          10",
    ]


def test_looking_changes_nothing():
    model = Tagger()
    model.head.eval()
    mr.summary(model, np.ones((2, 1, 3)))
    assert model.training and model.lstm.dropout.training and not model.head.training
    assert model.lstm.dropout.calls == 0
    assert all(p.grad is None for p in model.parameters())


def test_a_model_that_fails_is_left_as_it_was():
    model = Tagger()
    with pytest.raises(mr.ShapeError, match="7 features"):
        mr.summary(model, np.ones((2, 1, 7)))
    assert model.training


def test_what_is_no_module_is_refused():
    with pytest.raises(TypeError, match="a model is a Module, not a function"):
        mr.summary(lambda x: x, 1.0)
