"""What a learner may type where a word is predicted, and that the words are the lesson's own."""

import json
import re

import pytest

from microrecur.course import predict, reveal
from microrecur.course.exercise import folder

BOOKS = sorted(folder().glob("*.ipynb"))


@pytest.fixture(autouse=True)
def nowhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # no workspace: predictions are held in memory


@pytest.mark.parametrize("typed", ["sigma", "SIGMA", " Sigma ", "σ", "sigmoid", ["sigma"]])
def test_a_word_is_taken_however_it_is_written(typed):
    said = predict("l99.steeper", typed, among=("sigma", "tanh"))
    assert repr(said) == "steeper: you expect sigma"
    assert repr(reveal("l99.steeper", "sigma")) == "steeper: you expected sigma, and it is sigma"


def test_a_word_that_is_no_answer_is_not_kept():
    predict("l99.kept", "tanh", among=("sigma", "tanh"))
    said = predict("l99.kept", "cosine", among=("sigma", "tanh"))
    assert repr(said) == 'kept: "sigma" or "tanh" is asked for, not \'cosine\''
    assert repr(reveal("l99.kept", "tanh")) == "kept: you expected tanh, and it is tanh"
    assert "asked for, not '3'" in repr(predict("l99.kept", 3, among=("sigma", "tanh")))


def test_a_list_of_one_is_that_one():
    predict("l99.shape", 5)
    assert repr(reveal("l99.shape", [5])) == "shape: you expected 5, and it is [5]"
    predict("l99.shape", [4])
    assert "; it is [5]" in repr(reveal("l99.shape", [5]))


@pytest.mark.parametrize("book", BOOKS, ids=[book.stem for book in BOOKS])
def test_the_words_to_choose_from_are_in_the_text(book):
    cells = json.loads(book.read_text(encoding="utf-8"))["cells"]
    texts = ["".join(cell["source"]) for cell in cells]
    for k, text in enumerate(texts):
        for among in re.findall(r"among=\((.*?)\)\n?\)", text):
            before = "\n".join(texts[max(0, k - 2) : k]) + text.partition("predict(")[0]
            for word in re.findall(r'"(.*?)"', among):
                assert word in before, f"{word} is not named before it is asked for"
