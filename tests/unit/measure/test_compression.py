import msgspec
import pytest

from compaudit.measure.compression import BASES, compare_sizes
from compaudit.results import Macs, ModelResult


def model(**counts: int | None) -> ModelResult:
    fields = dict.fromkeys((f.name for f in msgspec.structs.fields(ModelResult)), None) | counts
    total = fields["macs"]
    if total is not None:
        fields["macs"] = Macs(total=total, nonzero=None, coverage=1.0, uncounted_ops=[])
    return ModelResult(**fields)  # type: ignore[arg-type]


def test_every_basis_has_its_own_rate() -> None:
    original = {basis: 100 * (place + 1) for place, basis in enumerate(BASES)}
    compressed = {basis: 25 * (place + 1) ** 2 for place, basis in enumerate(BASES)}
    alpha, beta, saving, skipped = compare_sizes(
        model(**original), model(**compressed), macs_complete=True
    )
    for place, basis in enumerate(BASES):
        # 100·n against 25·n²: α = 4/n, β = 4/n − 1, saving 1 − n/4
        n = place + 1
        assert getattr(alpha, basis) == pytest.approx(4 / n)
        assert getattr(beta, basis) == pytest.approx(4 / n - 1)
        assert getattr(saving, basis) == pytest.approx(1 - n / 4)
    # weight_bytes(M) is the third, entropy_bytes(M*) the fifth: 300 / 625
    assert alpha.coding_limit == pytest.approx(300 / 625)
    assert skipped == []


def test_zero_sizes_are_undefined_and_say_so() -> None:
    sizes = dict.fromkeys(BASES, 1)
    alpha, beta, saving, skipped = compare_sizes(
        model(**sizes | {"parameters": 10, "macs": 0, "file_bytes": 0}),
        model(**sizes | {"parameters": 0, "macs": 0, "file_bytes": 7}),
        macs_complete=True,
    )
    assert (alpha.parameters, beta.parameters, saving.parameters) == (None, None, 1.0)
    assert (alpha.macs, beta.macs, saving.macs) == (None, None, None)
    assert (alpha.file_bytes, beta.file_bytes, saving.file_bytes) == (0.0, -1.0, None)
    assert {entry.metric: entry.reason for entry in skipped} == {
        "alpha.parameters": "undefined: 10 against 0",
        "beta.parameters": "undefined: 10 against 0",
        "alpha.macs": "undefined: 0 against 0",
        "beta.macs": "undefined: 0 against 0",
        "space_saving.macs": "undefined: 0 against 0",
        "space_saving.file_bytes": "undefined: 0 against 7",
    }


def test_what_was_not_counted_has_no_rate_and_a_reason() -> None:
    sizes = dict.fromkeys(BASES, 8)
    alpha, beta, saving, skipped = compare_sizes(
        model(**sizes | {"parameters": None, "entropy_bytes": None}),
        model(**sizes | {"macs": None}),
        macs_complete=True,
    )
    assert (alpha.parameters, beta.parameters, saving.parameters) == (None, None, None)
    assert alpha.macs is None
    assert alpha.nonzero_parameters == 1
    reasons = {entry.metric: entry.reason for entry in skipped}
    for rate in ("alpha", "beta", "space_saving"):
        assert reasons[f"{rate}.parameters"] == "it was not counted for both models"
        assert reasons[f"{rate}.entropy_bytes"] == "it was not counted for both models"


def test_macs_with_a_contraction_left_out_give_no_rate() -> None:
    sizes = dict.fromkeys(BASES, 8)
    both = model(**sizes), model(**sizes)
    assert compare_sizes(*both, macs_complete=True)[0].macs == 1
    for rates in compare_sizes(*both, macs_complete=False)[:3]:
        assert rates.macs is None
        assert rates.weight_bytes is not None
