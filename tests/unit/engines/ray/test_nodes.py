import importlib.metadata
import platform

import pytest

from compaudit.engines.ray.nodes import Node, choose, spread
from compaudit.engines.ray.probe import Facts, look_around
from compaudit.errors import RequestError

ALPHA = Node("a", "alpha (10.0.0.1)", "", 2)
BETA = Node("b", "beta (10.0.0.2)", "", 1)
FULL = Node("f", "full (10.0.0.3)", "", 0)


def facts(compaudit: str = "1.0", missing: str = "") -> Facts:
    return {"compaudit": compaudit, "missing": missing}


def test_a_node_says_what_it_has_and_lacks() -> None:
    told = look_around(["numpy", "no_such_package", "nor_this"])
    assert told["missing"] == "no_such_package, nor_this"
    assert told["python"] == platform.python_version()
    assert told["compaudit"] == importlib.metadata.version("compaudit")


@pytest.mark.parametrize(
    ("lacking", "said"),
    [
        (facts(missing="onnxruntime"), "has no onnxruntime"),
        (facts(compaudit=""), "has no compaudit"),
        (facts(compaudit="0.9"), "has compaudit 0.9, and this machine 1.0"),
    ],
)
def test_other_nodes_do_what_one_cannot(lacking: Facts, said: str) -> None:
    nodes, notes = choose([(ALPHA, facts()), (BETA, lacking)], 1, "1.0")
    assert nodes == [ALPHA]
    assert notes == [f"the node beta (10.0.0.2) {said}: it evaluates nothing"]


def test_without_any_node_that_can_every_reason_is_told() -> None:
    with pytest.raises(RequestError) as caught:
        choose([(ALPHA, facts(missing="torch")), (BETA, facts(compaudit=""))], 1, "1.0")
    assert caught.value.message == (
        "no node of the Ray cluster can run the models: the node alpha (10.0.0.1) has no torch; "
        "the node beta (10.0.0.2) has no compaudit"
    )
    assert caught.value.exit_code == 2
    assert "compaudit==1.0" in caught.value.hint


def test_of_many_nodes_few_are_named() -> None:
    many = [(Node(str(n), f"n{n}", "", 1), facts(missing="torch")) for n in range(9)]
    _, notes = choose([(ALPHA, facts()), *many], 1, "1.0")
    assert len(notes) == 4
    assert notes[-1] == "6 more nodes lack something: they evaluate nothing"


def test_a_node_without_processors_is_no_fault() -> None:
    # The user's own machine, which joined with --num-cpus=0.
    assert choose([(FULL, facts()), (ALPHA, facts())], 1, "1.0") == ([ALPHA], [])
    with pytest.raises(RequestError, match="takes 4 processors"):
        choose([(FULL, facts())], 4, "1.0")


def test_workers_go_to_all_nodes_before_a_second_goes_to_one() -> None:
    assert spread([ALPHA, BETA], 2) == [ALPHA, BETA]
    assert spread([ALPHA, BETA], 99) == [ALPHA, BETA, ALPHA]
