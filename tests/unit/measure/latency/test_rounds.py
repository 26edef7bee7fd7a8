"""The order of turns: mirrored rounds, and Latin squares over them."""

from collections import Counter
from itertools import pairwise
from random import Random

import pytest

from compaudit.measure.latency.rounds import Rounds, williams_square

SIZES = range(3, 16)


def rounds_of(models: int, count: int, seed: int = 0) -> list[tuple[int, ...]]:
    rounds = Rounds(Random(seed))
    return [rounds.order(models) for _ in range(count)]


class TestWilliamsSquare:
    def test_of_four_it_is_the_published_one(self) -> None:
        """Williams 1949 (there from 1): 1 2 4 3, 2 3 1 4, 3 4 2 1, 4 1 3 2."""
        assert williams_square(4) == [(0, 1, 3, 2), (1, 2, 0, 3), (2, 3, 1, 0), (3, 0, 2, 1)]

    @pytest.mark.parametrize("models", SIZES)
    def test_every_model_has_every_place_once(self, models: int) -> None:
        square = williams_square(models)
        for lines in (square, [*zip(*square, strict=True)]):
            assert all(sorted(line) == list(range(models)) for line in lines)


class TestRounds:
    def test_one_model_has_two_blocks(self) -> None:
        assert rounds_of(1, 3) == [(0, 0)] * 3

    @pytest.mark.parametrize("seed", range(5))
    def test_two_are_the_quads_that_the_same_seed_always_drew(self, seed: int) -> None:
        random = Random(seed)
        drawn = [random.choice(((0, 1, 1, 0), (1, 0, 0, 1))) for _ in range(100)]
        assert rounds_of(2, 100, seed) == drawn

    @pytest.mark.parametrize("models", SIZES)
    def test_a_round_reads_the_same_backwards_and_has_each_model_twice(self, models: int) -> None:
        for order in rounds_of(models, 2 * models + 1):
            assert order == order[::-1]
            assert Counter(order) == dict.fromkeys(range(models), 2)

    @pytest.mark.parametrize("models", SIZES)
    def test_over_as_many_rounds_as_models_places_are_balanced(self, models: int) -> None:
        rounds = rounds_of(models, 3 * models)
        for start in range(0, len(rounds), models):
            square = rounds[start : start + models]
            for place in zip(*square, strict=True):
                assert sorted(place) == list(range(models))

    @pytest.mark.parametrize("models", SIZES)
    def test_and_each_follows_each_other_twice(self, models: int) -> None:
        followed: Counter[tuple[int, int]] = Counter()
        for order in rounds_of(models, models):
            followed.update(pair for pair in pairwise(order) if pair[0] != pair[1])
        pairs = [(a, b) for a in range(models) for b in range(models) if a != b]
        assert followed == dict.fromkeys(pairs, 2)

    def test_squares_are_drawn_anew(self) -> None:
        rounds = rounds_of(5, 500)
        assert len(set(rounds)) > 60  # of 120 orders; one square has 5
        assert rounds != rounds_of(5, 500, seed=1)
        assert rounds == rounds_of(5, 500)

    def test_when_a_model_leaves_a_new_square_begins(self) -> None:
        rounds = Rounds(Random(0))
        for _ in range(2):
            rounds.order(5)
        four = [rounds.order(4) for _ in range(4)]
        for place in zip(*four, strict=True):
            assert sorted(place) == [0, 1, 2, 3]
