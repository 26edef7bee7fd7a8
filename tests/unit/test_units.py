import pytest
from hypothesis import given
from hypothesis import strategies as st

from compaudit import units


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.00 kB"),
        (755_417, "755 kB"),
        (999_960, "1.00 MB"),
        (25_300_000_000, "25.3 GB"),
    ],
)
def test_bytes_are_decimal(value: float | None, text: str) -> None:
    assert units.format_bytes(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0.00431, "4.31 ms"),
        (0.0000005, "500 ns"),
        (2.5e-6, "2.50 µs"),
        (1.0, "1.00 s"),
        (0.99996, "1.00 s"),
        (123.4, "123 s"),
    ],
)
def test_seconds_are_scaled(value: float | None, text: str) -> None:
    assert units.format_seconds(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0.0, "0.00×"),
        (0.000_273, "0.00027×"),
        (0.0994, "0.099×"),
        (0.0996, "0.10×"),
        (3.7912, "3.79×"),
        (12.34, "12.3×"),
        (345.6, "346×"),
        (12345.6, "12,346×"),
    ],
)
def test_rates(value: float | None, text: str) -> None:
    assert units.format_rate(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0.0, "0.0 %"),
        (1e-9, "<0.1 %"),
        (0.0011, "0.1 %"),
        (0.126, "12.6 %"),
        (0.9989, "99.9 %"),
        (0.99999, ">99.9 %"),
        (1.0, "100 %"),
    ],
)
def test_parts_are_nothing_or_all_only_when_they_are(value: float | None, text: str) -> None:
    assert units.format_part(value) == text


def test_shapes() -> None:
    assert units.format_shape([64, 32, 3, 3]) == "64×32×3×3"
    assert units.format_shape([7]) == "7"
    assert units.format_shape([]) == "scalar"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00"), (7.9, "0:07"), (59.99, "0:59"), (754, "12:34"), (3723, "1:02:03"), (-1, "0:00")],
)
def test_a_clock_counts_whole_seconds(seconds: float, text: str) -> None:
    assert units.format_clock(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(-0.0022, "−0.22 pp"), (0.0, "0.00 pp"), (-0.00001, "0.00 pp"), (0.01, "+1.00 pp")],
)
def test_points_have_a_sign_unless_they_are_zero(value: float, text: str) -> None:
    assert units.format_points(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.0957, "0.0957"),
        (6.17e-05, "6.17e-05"),
        (123.456, "123"),
        (1e6, "1.00e+06"),
        (0.000123, "0.000123"),
        (9.996, "10.0"),
    ],
)
def test_plain_numbers_have_three_digits(value: float, text: str) -> None:
    assert units.format_number(value) == text


def test_intervals_name_their_unit_once() -> None:
    assert units.format_interval("−0.66 pp", "+0.38 pp") == "[−0.66, +0.38] pp"
    assert units.format_interval("1.92×", "2.08×") == "[1.92, 2.08]"
    assert units.format_interval("900 ns", "1.10 µs") == "[900 ns, 1.10 µs]"
    assert units.format_interval(None, "1") == ""


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("25 MB", 25e6),
        ("25MiB", 25 * 2**20),
        ("1.5kB", 1500),
        ("12 ms", 0.012),
        ("2 %", 0.02),
        ("-0.5 pp", -0.005),
        ("95%", 0.95),
        ("3.5x", 3.5),
        ("1e-3", 0.001),
        (".5", 0.5),
    ],
)
def test_quantities_are_read_with_their_unit(text: str, value: float) -> None:
    assert units.parse_quantity(text) == pytest.approx(value, rel=1e-15)


@pytest.mark.parametrize("text", ["", "MB", "1 XB", "1 2", "nan", "inf", "1e999", "1,5", "0x10"])
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"unit|number"):
        units.parse_quantity(text)


def test_shares_are_exact() -> None:
    assert units.parse_share("95%") == 0.95
    assert units.parse_share("3 %") == 0.03


@pytest.mark.parametrize("text", ["0s", "-1s", "1 kB", "soon"])
def test_durations_are_positive_times(text: str) -> None:
    with pytest.raises(ValueError, match=r"unit|number|positive"):
        units.parse_duration(text)
    assert units.parse_duration("2min") == 120
    assert units.parse_duration("1.5") == 1.5


@given(st.floats(-1e15, 1e15))
def test_no_number_is_written_wrongly_by_more_than_its_last_digit(value: float) -> None:
    text = units.format_number(value)
    assert float(text) == pytest.approx(value, rel=0.006)


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (1.0, "1.000×"), (1.01374, "1.014×"), (0.9996, "1.000×"), (12.3456, "12.346×")],
)
def test_ratios_near_one_have_three_decimals(value: float | None, text: str) -> None:
    assert units.format_ratio(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (1.0, "1"),
        (1.0000000002, "1"),  # rounding of a cosine of equal vectors
        (0.99912, "0.9991"),
        (0.99996, "0.99996"),
        (0.9999996, "0.9999996"),
        (0.99999999, ">0.9999999"),
        (0.0, "0.0000"),
        (-0.25, "−0.2500"),
    ],
)
def test_a_cosine_below_one_is_never_shown_as_one(value: float | None, text: str) -> None:
    assert units.format_cosine(value) == text


@given(st.floats(-1, 1))
def test_only_equal_directions_have_a_cosine_of_one(value: float) -> None:
    assert (units.format_cosine(value) == "1") == (value == 1)


def test_numbers_with_more_digits() -> None:
    assert units.format_number(12.4149, 4) == "12.41"
    assert units.format_number(0.0000123456, 4) == "1.235e-05"


@pytest.mark.parametrize(
    ("count", "text"),
    [(9187, "9,200"), (9200, "9,200"), (9201, "9,300"), (7, "7"), (99, "99"), (101, "110")],
)
def test_rough_numbers_are_rounded_up_to_two_digits(count: int, text: str) -> None:
    assert units.format_about(count) == text
