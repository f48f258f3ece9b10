"""Keras' names and arguments against dlcore's, and the page that says so."""

from pathlib import Path

import keras_table
import pytest
from keras_table import KERAS, REMARKS, SECTIONS, compared, page, present

PAGE = Path(__file__).parents[1] / "docs/keras.md"


@pytest.mark.skipif(not PAGE.exists(), reason="an installed package has no documents")
def test_the_page_is_up_to_date():
    assert PAGE.read_text() == page(), "run: python tests/keras_table.py > docs/keras.md"


MOVED = {("Model", "summary"), ("callbacks", "CallbackList"), ("metrics", "SparseCategoricalCrossentropy")}


@pytest.mark.parametrize("section", SECTIONS)
def test_arguments_have_the_order_of_keras(section):
    for name, thing in present(section).items():
        signature = KERAS[section][name]
        if signature is not None and callable(thing) and (section, name) not in MOVED:
            assert compared(signature, thing)[2] == [], name


def test_remarks_are_on_what_is_there():
    for section, remarks in REMARKS.items():
        assert set(remarks) <= set(present(section))
    assert set(SECTIONS) == set(KERAS)


def test_comparing_sees_what_differs():
    def own(a, c=2, b=1):
        pass

    assert compared(["a", "b=1", "c=3", "d=None"], own) == (["d"], {"c": 2}, ["c", "b"])
    assert compared(["a", "c=(2, 2)", "b=1"], own) == ([], {}, [])
    assert keras_table.same("'Zeros'", "zeros") and not keras_table.same("None", 0)
