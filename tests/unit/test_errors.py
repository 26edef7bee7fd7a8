import itertools

from compaudit.errors import ExitCode, InternalError, RequestError, most_serious

# DESIGN §4: "Where several hold: 70, then 130/143, 2, 1, 4, 3, 0."
ORDER = [70, 130, 143, 2, 1, 4, 3, 0]


def test_precedence_of_exit_codes() -> None:
    for first, second in itertools.combinations(ORDER, 2):
        assert most_serious([ExitCode(second), ExitCode(first)]) == first


def test_nothing_wrong_is_zero() -> None:
    assert most_serious([]) == 0


def test_every_code_is_documented_once() -> None:
    assert sorted(ORDER) == sorted(int(code) for code in ExitCode)


def test_long_names_are_left_out_in_the_middle() -> None:
    error = RequestError("tensor " + "n" * 100_000 + " is broken", hint="export again", code="x")
    assert len(error.message) < 2010
    assert error.message.startswith("tensor nnn")
    assert error.message.endswith("nnn is broken")
    assert error.hint == "export again"


def test_tracebacks_are_whole() -> None:
    assert InternalError("x" * 5000, code="internal-error").message == "x" * 5000
