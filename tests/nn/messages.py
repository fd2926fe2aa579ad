"""What an error says: the text of it, and the words it must hold."""

import pytest


def message(kind, call):
    with pytest.raises(kind) as error:
        call()
    return str(error.value)


def says(text, *words):
    missing = [word for word in words if word not in text]
    assert not missing, f"{missing} not in: {text}"
