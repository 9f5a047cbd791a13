import math

from hypothesis import given
from hypothesis import strategies as st

from sweep.arms.unbeaten import unbeaten

_VALUES = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.sampled_from([0.0, 1.0, math.nan])), max_size=12)


def _by_definition(points: list[tuple[float, ...]], maximise: list[bool]) -> list[bool]:
    def beats(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
        signed = [(x, y) if more else (y, x) for x, y, more in zip(a, b, maximise, strict=True)]
        return all(x >= y for x, y in signed) and any(x > y for x, y in signed)

    whole = [point for point in points if not any(map(math.isnan, point))]
    return [point in whole and not any(beats(other, point) for other in whole) for point in points]


@given(_VALUES, st.lists(st.booleans(), min_size=3, max_size=3))
def test_as_by_definition(points: list[tuple[float, ...]], maximise: list[bool]) -> None:
    assert unbeaten(points, maximise=maximise) == _by_definition(points, maximise)


def test_one_objective_has_its_best_and_those_that_equal_it() -> None:
    assert unbeaten([[1.0], [3.0], [3.0], [math.nan]], maximise=[True]) == [False, True, True, False]
    assert unbeaten([], maximise=[True, False]) == []
