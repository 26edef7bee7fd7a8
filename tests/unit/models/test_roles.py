"""The published table: a spot check of each group, and the rules beside it."""

import onnx
import pytest

from compaudit.models.base import Role
from compaudit.models.roles import (
    ANY,
    CARRIERS,
    ELEMENT_WISE,
    LOOKUPS,
    SLOTS,
    STRENGTH,
    carried_slots,
    role_of_attribute,
    role_of_input,
)

MICROSOFT = "com.microsoft"


@pytest.mark.parametrize(
    ("domain", "op", "slot", "role"),
    [
        ("", "Conv", 1, Role.WEIGHT),
        ("", "Conv", 2, Role.BIAS),
        ("ai.onnx", "Conv", 1, Role.WEIGHT),
        ("", "Conv", 0, Role.UNCLASSIFIED),
        ("", "MatMul", 0, Role.WEIGHT),
        ("", "BatchNormalization", 1, Role.WEIGHT),
        ("", "BatchNormalization", 2, Role.BIAS),
        ("", "BatchNormalization", 3, Role.BUFFER),
        ("", "BatchNormalization", 4, Role.BUFFER),
        ("", "LSTM", 2, Role.WEIGHT),
        ("", "LSTM", 3, Role.BIAS),
        ("", "LSTM", 4, Role.CONSTANT),
        ("", "LSTM", 5, Role.BUFFER),
        ("", "LSTM", 7, Role.WEIGHT),
        ("", "QLinearConv", 3, Role.WEIGHT),
        ("", "QLinearConv", 4, Role.QUANTIZATION),
        ("", "QLinearConv", 8, Role.BIAS),
        ("", "QLinearMatMul", 5, Role.QUANTIZATION),
        (MICROSOFT, "MatMulNBits", 1, Role.WEIGHT),
        (MICROSOFT, "MatMulNBits", 2, Role.QUANTIZATION),
        (MICROSOFT, "MatMulNBits", 5, Role.BIAS),
        (MICROSOFT, "QGemm", 6, Role.BIAS),
        (MICROSOFT, "SkipLayerNormalization", 2, Role.WEIGHT),
        (MICROSOFT, "EmbedLayerNormalization", 6, Role.BIAS),
        ("", "Reshape", 1, Role.CONSTANT),
        ("", "Resize", 2, Role.CONSTANT),
        ("", "Where", 1, Role.CONSTANT),
        ("", "TopK", 1, Role.CONSTANT),
        ("my.domain", "Conv", 1, Role.UNCLASSIFIED),
        ("", "SomethingNew", 1, Role.UNCLASSIFIED),
    ],
)
def test_table(domain: str, op: str, slot: int, role: Role) -> None:
    assert role_of_input(domain, op, slot, real=True, many=True) is role


@pytest.mark.parametrize(
    ("op", "real", "many", "role"),
    [
        ("Add", True, True, Role.BIAS),
        ("Mul", True, True, Role.WEIGHT),
        ("Mul", True, False, Role.CONSTANT),
        ("Add", False, True, Role.CONSTANT),
        ("Gather", True, True, Role.WEIGHT),
        ("Gather", False, True, Role.CONSTANT),
    ],
)
def test_a_scalar_or_an_integer_operand_is_a_constant(
    op: str, real: bool, many: bool, role: Role
) -> None:
    assert role_of_input("", op, 0, real=real, many=many) is role


def test_strength_orders_every_role_that_a_use_can_give() -> None:
    assert set(STRENGTH) == set(Role) - {Role.UNUSED}
    assert STRENGTH[0] is Role.WEIGHT
    assert STRENGTH[-1] is Role.CONSTANT


def test_carried_slots() -> None:
    assert carried_slots("", "Cast", 1) == {0}
    assert carried_slots("", "Reshape", 2) == {0}
    assert carried_slots("", "Concat", 3) == {0, 1, 2}
    assert carried_slots("", "Conv", 3) == frozenset()


def test_attributes() -> None:
    assert role_of_attribute("ai.onnx.ml", "LinearClassifier", "coefficients") is Role.WEIGHT
    assert role_of_attribute("", "Whatever", "value") is Role.UNCLASSIFIED


def test_every_standard_operator_in_the_tables_exists() -> None:
    known = {schema.name for schema in onnx.defs.get_all_schemas() if schema.domain == ""}
    not_in_onnx = {"SimplifiedLayerNormalization"}  # ONNX Runtime's, in the standard domain
    named = {op for domain, op in (*SLOTS, *LOOKUPS, *CARRIERS) if domain == ""} | {*ELEMENT_WISE}
    assert named - known - not_in_onnx <= {"Scatter", "Upsample"}


def test_every_slot_exists_in_some_version_of_the_operator() -> None:
    most: dict[str, int] = {}
    for schema in onnx.defs.get_all_schemas_with_history():
        if schema.domain == "":
            most[schema.name] = max(most.get(schema.name, 0), schema.max_input)
    for (domain, op), slots in SLOTS.items():
        if domain == "" and op in most:
            assert all(slot == ANY or slot < most[op] for slot in slots), op
