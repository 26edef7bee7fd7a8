"""Where the time goes, as a person reads it."""

import canned
import msgspec
import pytest
from rich.cells import cell_len

from compaudit.report import View, render
from compaudit.report.rows.profile import profile_sections
from compaudit.results import (
    Cause,
    Comparison,
    ModelProfile,
    Profile,
    ProfiledLayer,
    ProfiledOperator,
)
from compaudit.units import NOT_MEASURED


def operator(op: str, nodes: int, milliseconds: float, share: float) -> ProfiledOperator:
    return ProfiledOperator(
        op=op,
        provider="CPUExecutionProvider",
        nodes=nodes,
        seconds=milliseconds * 1e-3,
        share=share,
    )


def model(milliseconds: float, unattributed: float, *rows: ProfiledOperator) -> ModelProfile:
    return ModelProfile(
        runs=25,
        total_s=milliseconds * 1e-3,
        overhead_share=1 - sum(row.share for row in rows),
        unattributed_share=unattributed,
        operators=list(rows),
    )


def report(layers: int = 2, unattributed: float = 0.0) -> Comparison:
    """3 ms against 4: float convolutions became integer ones with casts around them."""
    profile = Profile(
        original=model(3, 0, operator("Conv", 6, 2.7, 0.9)),
        compressed=model(
            4, unattributed, operator("ConvInteger", 6, 3.0, 0.75), operator("Cast", 6, 0.4, 0.1)
        ),
        layers=[
            ProfiledLayer(
                name=f"layer.{place}",
                original_s=1e-3,
                compressed_s=1e-3 + place * 1e-4,
                delta_s=place * 1e-4,
            )
            for place in range(layers)
        ],
        causes=[
            Cause(
                kind="cast_nodes",
                detail="6 Cast change the element type; none in the original",
                seconds=4e-4,
                extra_s=4e-4,
                nodes=6,
            ),
            Cause(
                kind="no_int8_instructions",
                detail="this processor has avx2 but no int8 products",
                seconds=3e-3,
                extra_s=None,
                nodes=6,
            ),
        ],
    )
    return msgspec.structs.replace(canned.comparison(), profile=profile)


def test_without_a_profile_there_is_nothing() -> None:
    assert profile_sections(canned.comparison(), View()) == ()
    assert "Where the time goes" not in render(canned.comparison(), "table", 100).decode()


def test_operators_beside_one_another() -> None:
    operators, _, causes = profile_sections(report(), View())
    assert operators.rows == (
        ("ConvInteger", "", "", "", "3.00 ms", "75.0 %", "6"),
        ("Conv", "2.70 ms", "90.0 %", "6", "", "", ""),
        ("Cast", "", "", "", "400 µs", "10.0 %", "6"),
        ("between operators", "300 µs", "10.0 %", "", "600 µs", "15.0 %", ""),
    )
    assert operators.footer[0] == "one inference, profiled"
    assert [row[:3] for row in causes.rows] == [
        ("casts", "400 µs", "+400 µs"),
        ("no int8 instructions", "3.00 ms", NOT_MEASURED),
    ]


def test_what_is_not_attributed_is_said() -> None:
    assert "Not attributed" not in profile_sections(report(), View())[0].note
    note = profile_sections(report(unattributed=0.125), View())[0].note
    assert "Not attributed to the model: 12.5 % of the compressed." in note


def test_few_layers_are_shown_in_order_and_many_by_their_change() -> None:
    layers = profile_sections(report(3), View())[1]
    assert [row[0] for row in layers.rows] == ["layer.0", "layer.1", "layer.2"]
    assert layers.rows[2][1:] == ("1.00 ms", "1.20 ms", "+200 µs")
    many = profile_sections(report(30), View())[1]
    assert [row[0] for row in many.rows] == [f"layer.{place}" for place in range(29, 19, -1)]
    assert many.note == "10 of 30 rows; --layers shows all."
    assert len(profile_sections(report(30), View(layers=True))[1].rows) == 30


@pytest.mark.parametrize("width", [60, 80, 120])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    text = render(report(30), "table", width).decode()
    assert "What costs the compressed model time" in text
    assert all(cell_len(line) <= width for line in text.splitlines())
