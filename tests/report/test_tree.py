"""Layers as a tree: sums at each level, repeats as one, and no more lines than asked for."""

import canned_ledgers
from hypothesis import given
from hypothesis import strategies as st

from compaudit.report.rows.tree import Line, open_tree, tree_of
from compaudit.results import LayerSide


def layers(**sizes: int) -> list[LayerSide]:
    return [
        canned_ledgers.layer(name.replace("__", "."), "Conv", size, size, 4 * size, size, [])
        for name, size in sizes.items()
    ]


def lines(sides: list[LayerSide], most: int = 20) -> list[tuple[int, str, int, int]]:
    return [
        (line.depth, line.name, line.layers, line.size) for line in open_tree(tree_of(sides), most)
    ]


def test_modules_are_sums_and_the_largest_come_first() -> None:
    found = lines(layers(a__x=1, a__y=2, b__x=10, b__y=20, b__z=70))
    assert found == [
        (0, "b", 3, 400),
        (1, "z", 1, 280),
        (1, "y", 1, 80),
        (1, "x", 1, 40),
        (0, "a", 2, 12),
    ]


def test_a_module_with_one_part_is_one_line() -> None:
    found = lines(layers(net__body__a=50, net__body__b=30, head=20))
    assert [name for _, name, _, _ in found] == ["net.body", "a", "b", "head"]


def test_blocks_that_repeat_are_one_branch() -> None:
    sides = layers(**{f"h__{i}__{part}": 10 for i in range(12) for part in ("q", "k")}, top=5)
    assert lines(sides) == [
        (0, "h.0 … 11", 24, 960),
        (1, "q", 12, 480),
        (1, "k", 12, 480),
        (0, "top", 1, 20),
    ]


def test_blocks_of_other_sizes_or_parts_are_no_repeats() -> None:
    grown = layers(**{f"s__{i}__q": 10 * 2**i for i in range(4)}, top=5)
    assert [name for _, name, _, _ in lines(grown)] == ["s", "3.q", "2.q", "1.q", "0.q", "top"]
    gap = layers(**{f"s{i}__q": 10 for i in (1, 2, 4, 9)}, top=5)
    assert "s1" in lines(gap)[0][1]
    assert len(lines(gap)) == 5


def test_a_layer_that_holds_others_keeps_its_own() -> None:
    assert lines(layers(a=5, a__b=7, c=1)) == [
        (0, "a", 2, 48),
        (1, "b", 1, 28),
        (1, "(itself)", 1, 20),
        (0, "c", 1, 4),
    ]


def test_many_siblings_are_cut_short_and_the_rest_is_summed_up() -> None:
    sides = layers(**{f"{'abcdefghijklmnop'[i]}__w": 16 - i for i in range(16)})
    found = lines(sides)
    assert found[-1] == (0, "8 more", 8, 4 * sum(range(1, 9)))
    assert len(found) == 9


names = st.lists(
    st.lists(st.sampled_from(["a", "b", "0", "1", "2", "3", ""]), min_size=1, max_size=5),
    min_size=1,
    max_size=40,
)


@given(names, st.integers(9, 30), st.data())
def test_lines_of_the_first_level_add_up(
    paths: list[list[str]], most: int, data: st.DataObject
) -> None:
    sizes = data.draw(st.lists(st.integers(0, 99), min_size=len(paths), max_size=len(paths)))
    sides = [
        canned_ledgers.layer(".".join(path), "Conv", size, size, 4 * size, size, [])
        for path, size in zip(paths, sizes, strict=True)
    ]
    found: list[Line] = open_tree(tree_of(sides), most)
    top = [line for line in found if line.depth == 0]
    assert sum(line.size for line in top) == 4 * sum(sizes)
    assert sum(line.layers for line in top) == len(sides)
    assert len(found) <= most


def test_a_name_of_thousands_of_steps_is_no_trap() -> None:
    (line,) = lines(layers(**{"__".join("ab" * 5_000): 3}))
    assert line[2:] == (1, 12)
