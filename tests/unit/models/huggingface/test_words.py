"""Codes in integers, against one long number in Python."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from compaudit.models.huggingface.words import by_rows, split_nibbles, unpack_words, words_of


@given(
    bits=st.integers(1, 8),
    width=st.sampled_from([8, 16, 32, 64]),
    values=st.integers(1, 150),
    data=st.data(),
)
def test_codes_that_cross_integers(bits, width, values, data):
    codes = data.draw(st.lists(st.integers(0, 2**bits - 1), min_size=values, max_size=values))
    number = sum(code << place * bits for place, code in enumerate(codes))
    count = words_of(values, bits, width)
    assert count == -(-values * bits // width)
    words = [(number >> width * word) & (2**width - 1) for word in range(count)]
    stored = np.array([words, words], f"u{width // 8}").view(f"i{width // 8}")
    found = unpack_words(stored, bits)
    assert found.dtype == np.uint8
    assert found[:, :values].tolist() == [codes, codes]


@given(bits=st.integers(1, 8), values=st.integers(1, 100), data=st.data())
def test_codes_that_do_not_cross(bits, values, data):
    codes = data.draw(st.lists(st.integers(0, 2**bits - 1), min_size=values, max_size=values))
    each = 32 // bits
    words = [
        sum(code << place * bits for place, code in enumerate(codes[first : first + each]))
        for first in range(0, values, each)
    ]
    assert words_of(values, bits, 32, crossing=False) == len(words)
    found = unpack_words(np.array([words], np.uint32), bits, crossing=False)
    assert found[0, :values].tolist() == codes


def test_nibbles():
    data = np.array([[0x21, 0x43]], np.uint8)
    assert split_nibbles(data).tolist() == [[1, 2, 3, 4]]
    assert split_nibbles(data, high_first=True).tolist() == [[2, 1, 4, 3]]


def test_rows_come_in_order_and_together(monkeypatch):
    monkeypatch.setattr("compaudit.models.huggingface.words.CHUNK", 10)
    matrix = np.arange(7 * 3).reshape(7, 3)
    asked = []

    def codes(first, last):
        asked.append((first, last))
        return matrix[first:last]

    found = np.concatenate([*by_rows(7, 3, codes, together=2)()])
    assert found.tolist() == list(range(21))
    assert asked == [(0, 2), (2, 4), (4, 6), (6, 7)]
    assert [*by_rows(7, 0, codes)()] == []
