"""The four ways in which losses used to be extrapolated by hand, by name, for comparison and old habits.

They are there to be beaten, no advice: on many real curves they lose to "it stays where it is".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from workbench.errors import DataError, suggestion

Array = np.ndarray


def cubic(values: Array, count: int) -> Array:
    """Continue the least-squares polynomial of degree 3 through all values."""
    t = np.arange(len(values))
    # `Polynomial.fit` scales t to -1..1 first: with raw powers of 200 epochs the solution loses its digits.
    return np.polynomial.Polynomial.fit(t, values, 3)(len(values) + np.arange(count))


def ratio(values: Array, count: int, e: float | None = None) -> Array:
    """Let each difference be 1 - e times the one before, going on from the last two values.

    Without `e` it is one minus the median ratio of successive differences, held to 0.001 .. 0.999.
    """
    shrink = 1 - (_shrinkage(values) if e is None else e)
    steps = (values[-1] - values[-2]) * shrink ** np.arange(1, count + 1)
    return values[-1] + np.cumsum(steps)


def closed(values: Array, count: int, e: float | None = None) -> Array:
    """a exp(-b x) + c with b = -ln(1 - e) through the last two values: the closed form of `ratio`."""
    e = _shrinkage(values) if e is None else e
    b = -np.log(1 - e)
    before, last = values[-2], values[-1]
    a = (before - last) / e  # before - c, with x = 0 at the value before the last
    return (before - a) + a * np.exp(-b * np.arange(2, count + 2))


def exponential(values: Array, count: int) -> Array:
    """Continue the least-squares fit of a exp(-b x) + c, x = 0 at the first value.

    Raises `DataError` where the fit does not converge.
    """
    a, b, c = exponential_parameters(values)
    return a * np.exp(-b * (len(values) + np.arange(count))) + c


def exponential_parameters(values: Array) -> tuple[float, float, float]:
    """Return a, b and c of the least-squares fit of a exp(-b x) + c, x = 0 at the first value."""
    from scipy.optimize import OptimizeWarning, curve_fit

    x = np.arange(len(values), dtype=float)
    # From a curve of about the right height and length: from SciPy's ones the fit of a hundred epochs
    # overflows.
    start = (values[0] - values[-1], 2.0 / max(len(values), 2), values[-1])
    import warnings

    try:
        with warnings.catch_warnings(), np.errstate(over="ignore", invalid="ignore"):
            # SciPy only warns where a parameter cannot be told from the data; here that is a failure.
            warnings.simplefilter("error", OptimizeWarning)
            found, _ = curve_fit(lambda x, a, b, c: a * np.exp(-b * x) + c, x, values, p0=start)
    except (RuntimeError, OptimizeWarning, ValueError) as error:
        raise DataError(
            "a exp(-b x) + c cannot be fitted to these values", do="try another method"
        ) from error
    a, b, c = (float(value) for value in found)
    return a, b, c


METHODS: dict[str, Callable[..., Array]] = {
    "cubic": cubic,
    "ratio": ratio,
    "closed": closed,
    "exponential": exponential,
}
NEEDED = {"cubic": 4, "ratio": 2, "closed": 2, "exponential": 3}


def extrapolate(
    values: Sequence[float] | Array, count: int = 1, method: str = "exponential", e: float | None = None
) -> Array:
    """Return the next `count` values by one of the four classic methods.

    For a forecast that knows how good it is, see `analysis.forecast`.

    Args:
        values: One an epoch, all finite: 4 or more for "cubic", 3 for "exponential" and without `e`, else 2.
        count: Epochs to go on.
        method: "cubic", "ratio" (successive differences times 1 - e), "closed" (the same as a exp(-b x) + c with
            b = -ln(1 - e)) or "exponential" (least squares).
        e: Of "ratio" and "closed", between 0 and 1; None: taken from the values.

    Raises:
        DataError: An unknown method, values that are too few or not finite, a wrong `e`, a fit that fails.
    """
    if method not in METHODS:
        raise DataError(f"no method {method!r}", do=suggestion(method, METHODS))
    array = np.asarray(values, dtype=float)
    least = NEEDED[method] + (e is None and method in ("ratio", "closed"))
    if array.ndim != 1 or len(array) < least:
        raise DataError(f"{array.size} values", expected=f"at least {least} for {method!r}")
    if not np.isfinite(array).all():
        raise DataError("values that are not finite", do="leave them out")
    if e is None:
        return METHODS[method](array, count)
    if method not in ("ratio", "closed"):
        raise DataError(f"method {method!r} has no e", do="leave it out")
    if not 0 < e < 1:
        raise DataError(f"e = {e:g}", expected="a share between 0 and 1, such as 0.105")
    return METHODS[method](array, count, e)


def _shrinkage(values: Array) -> float:
    steps = np.diff(values)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = steps[1:] / steps[:-1]
    # A plateau of equal values divides by zero; it says nothing about the shrinkage.
    found = found[np.isfinite(found)]
    return float(np.clip(1 - (np.median(found) if len(found) else 0.5), 0.001, 0.999))
