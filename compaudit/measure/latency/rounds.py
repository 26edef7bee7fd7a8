"""In which order models take their turns: rounds that read the same forwards and backwards.

A round runs every model once, and then once more in reverse. Each model's two blocks lie
symmetrically about the middle of the round, however long the others take, so that linear drift
cancels between any two of them: of two models this is ABBA or BAAB. Which order a round begins with
is drawn from a seed, so that no periodic disturbance keeps step with one model. From three models
on, the orders of as many rounds as there are models form a Latin square: each model has each place
once. It is Williams' square, in which each model also follows each other one equally often (here,
with the reversed halves, twice), so that what a model leaves behind in the caches is everybody's.

Williams 1949, "Experimental designs balanced for the estimation of residual effects of treatments",
Australian Journal of Scientific Research A 2:149.
"""

from __future__ import annotations

from random import Random

__all__ = ["Rounds", "williams_square"]

Order = tuple[int, ...]


class Rounds:
    """Draws the order of each round.

    Args:
        random: where the draws come from; the same seed gives the same orders.
    """

    def __init__(self, random: Random) -> None:
        self._random = random
        self._models = 0
        self._square: list[Order] = []

    def order(self, models: int) -> Order:
        """The places of so many models in the next round, each of them twice.

        A square that was begun goes on, over epochs too, until the number of models changes.
        """
        if models == 1:
            return (0, 0)
        if models == 2:
            return self._random.choice(((0, 1, 1, 0), (1, 0, 0, 1)))
        if models != self._models or not self._square:
            self._models, self._square = models, self._drawn_square(models)
        first = self._square.pop()
        return first + first[::-1]

    def _drawn_square(self, models: int) -> list[Order]:
        """Williams' square with its models renamed and its rows in another order, at random."""
        named = self._random.sample(range(models), models)
        rows = [tuple(named[place] for place in row) for row in williams_square(models)]
        return self._random.sample(rows, models)


def williams_square(models: int) -> list[Order]:
    """A Latin square of the numbers from 0, each row an order.

    The neighbours in a row differ by 1, −2, 3, −4 … modulo their number, and each row adds one to
    the row before. Together with the rows reversed, every difference occurs twice.
    """
    first = [0]
    for step in range(1, models):
        first.append((first[-1] + (step if step % 2 else -step)) % models)
    return [tuple((place + row) % models for place in first) for row in range(models)]
