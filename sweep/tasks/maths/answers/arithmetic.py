"""Arithmetic on values: fractions as long as they stay small enough, mpmath's numbers for the rest.

What is nothing but rounding becomes 0, and what cannot be told from rounding is refused.
"""

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import mpmath
from mpmath import mp

Value = Any
"""A `Fraction`, or mpmath's real or complex number."""

_EXACT_BITS = 200_000
_LARGEST_FACTORIAL = 10_000


class UndefinedError(Exception):
    """There is no value here: a division by zero, a logarithm of zero."""


class TooLargeError(Exception):
    """The value is too large, or too close to another, to be worked out."""


class NoNumberError(Exception):
    """The tree is not an expression."""


def as_real(value: Value) -> Value:
    """The value as one of mpmath's numbers."""
    return mpmath.mpf(value.numerator) / value.denominator if isinstance(value, Fraction) else value


def magnitude(value: Value) -> int:
    """The exponent of 2 that is next above a value that is not 0."""
    if isinstance(value, Fraction):
        return value.numerator.bit_length() - value.denominator.bit_length() + 1
    return int(mpmath.mag(value))


def is_zero(value: Value) -> bool:
    """Whether a value is 0."""
    return bool(value == 0)


def _bounded(value: Fraction) -> Value:
    bits = max(value.numerator.bit_length(), value.denominator.bit_length())
    return value if bits <= 4 * _EXACT_BITS else as_real(value)


def add(left: Value, right: Value) -> Value:
    """The sum; refused where one term is lost beside the other."""
    if isinstance(left, Fraction) and isinstance(right, Fraction):
        return _bounded(left + right)
    if is_zero(left) or is_zero(right):
        return right if is_zero(left) else left
    if abs(magnitude(left) - magnitude(right)) > mp.prec - 32:
        raise TooLargeError("a term is lost beside another")
    total = as_real(left) + as_real(right)
    if is_zero(total) or magnitude(total) < max(magnitude(left), magnitude(right)) - mp.prec + 40:
        return Fraction(0)
    if isinstance(total, mpmath.mpc):
        return _tidy(total)
    return total


def _tidy(value: Value) -> Value:
    """A complex number whose imaginary part is nothing but rounding, as a real one."""
    if isinstance(value, mpmath.mpc):
        if value.imag == 0 or (value.real != 0 and mpmath.mag(value.imag) < mpmath.mag(value.real) - mp.prec + 40):
            return value.real
        if value.real != 0 and mpmath.mag(value.real) < mpmath.mag(value.imag) - mp.prec + 40:
            return mpmath.mpc(0, value.imag)
    return value


def multiply(left: Value, right: Value) -> Value:
    """The product."""
    if isinstance(left, Fraction) and isinstance(right, Fraction):
        return _bounded(left * right)
    if is_zero(left) or is_zero(right):
        return Fraction(0)
    return _tidy(as_real(left) * as_real(right))


def divide(left: Value, right: Value) -> Value:
    """The quotient."""
    if is_zero(right):
        raise UndefinedError("a division by zero")
    if isinstance(left, Fraction) and isinstance(right, Fraction):
        return _bounded(left / right)
    if is_zero(left):
        return Fraction(0)
    return _tidy(as_real(left) / as_real(right))


def power(base: Value, exponent: Value) -> Value:
    """The power; of a negative base the principal one."""
    if is_zero(exponent):
        if is_zero(base):
            raise UndefinedError("0^0")
        return Fraction(1)
    if is_zero(base):
        if not isinstance(exponent, mpmath.mpc) and exponent > 0:
            return Fraction(0)
        raise UndefinedError("a power of zero")
    if isinstance(base, Fraction) and isinstance(exponent, Fraction):
        if base == 1:
            return base
        size = max(base.numerator.bit_length(), base.denominator.bit_length())
        if exponent.denominator == 1 and abs(exponent) * size <= _EXACT_BITS:
            return base ** int(exponent)
        if exponent.denominator > 1 and base > 0 and abs(exponent.numerator) * size <= _EXACT_BITS:
            root = _exact_root(base, exponent.denominator)
            if root is not None:
                return root ** int(exponent.numerator)
    if (magnitude(exponent) + max(1, abs(magnitude(base))).bit_length()) > 80:
        raise TooLargeError("a power")
    if isinstance(exponent, Fraction) and exponent.denominator == 1:
        return _tidy(mpmath.power(as_real(base), int(exponent)))
    return _tidy(mpmath.power(as_real(base), as_real(exponent)))


def _exact_root(value: Fraction, degree: int) -> Fraction | None:
    parts = []
    for part in (value.numerator, value.denominator):
        root = _whole_root(part, degree)
        if root is None:
            return None
        parts.append(root)
    return Fraction(parts[0], parts[1])


def _whole_root(value: int, degree: int) -> int | None:
    if degree == 2:
        root = math.isqrt(value)
    elif degree > value.bit_length():
        root = 1
    else:
        low, high = 0, 1 << (value.bit_length() // degree + 1)
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if middle**degree <= value else (low, middle - 1)
        root = low
    return root if root**degree == value else None


def _root(value: Value, degree: Value) -> Value:
    """A root as the sign means it: real where it can be."""
    negative = not isinstance(value, mpmath.mpc) and value < 0
    if negative and isinstance(degree, Fraction) and degree.denominator == 1 and degree % 2 == 1:
        return -power(-value, 1 / degree)
    return power(value, divide(Fraction(1), degree))


def logarithm(value: Value, base: Value | None) -> Value:
    """The logarithm, to base e where there is no base."""
    if is_zero(value):
        raise UndefinedError("a logarithm of zero")
    if value == 1:
        return Fraction(0)
    top = mpmath.log(as_real(value))
    if base is None:
        return _tidy(top)
    if is_zero(base) or base == 1:
        raise UndefinedError("a logarithm's base")
    if isinstance(value, Fraction) and isinstance(base, Fraction) and value > 0 and base > 0:
        guess = int(mpmath.nint(top / mpmath.log(as_real(base))))
        if abs(guess) < 10_000 and power(base, Fraction(guess)) == value:
            return Fraction(guess)
    return _tidy(top / mpmath.log(as_real(base)))


def of_many(name: str, arguments: list[Value]) -> Value:
    """The largest, smallest, greatest common divisor or least common multiple."""
    if any(isinstance(argument, mpmath.mpc) for argument in arguments):
        raise UndefinedError("an order of complex numbers")
    if name in ("max", "min"):
        return (max if name == "max" else min)(arguments, key=as_real)
    if not all(isinstance(argument, Fraction) and argument.denominator == 1 for argument in arguments):
        raise UndefinedError("no whole numbers")
    return Fraction((math.gcd if name == "gcd" else math.lcm)(*(int(argument) for argument in arguments)))


def _factorial(value: Value) -> Value:
    if isinstance(value, Fraction) and value.denominator == 1:
        if value < 0:
            raise UndefinedError("a factorial below zero")
        if value <= _LARGEST_FACTORIAL:
            return Fraction(math.factorial(int(value)))
    if magnitude(value) > 40:
        raise TooLargeError("a factorial")
    return _tidy(mpmath.gamma(as_real(value) + 1))


def _binomial(top: Value, bottom: Value) -> Value:
    whole = all(isinstance(value, Fraction) and value.denominator == 1 for value in (top, bottom))
    if whole and 0 <= top <= _LARGEST_FACTORIAL:
        return Fraction(math.comb(int(top), int(bottom)) if bottom >= 0 else 0)
    if any(not is_zero(value) and magnitude(value) > 40 for value in (top, bottom)):
        raise TooLargeError("a binomial")
    return _tidy(mpmath.binomial(as_real(top), as_real(bottom)))


def _modulo(left: Value, right: Value) -> Value:
    if not isinstance(left, Fraction) or not isinstance(right, Fraction):
        raise UndefinedError("a remainder of something that is not rational")
    if right == 0:
        raise UndefinedError("a remainder by zero")
    return left - right * math.floor(left / right)


def _rounded(down: bool) -> Callable[[Value], Value]:
    def of(value: Value) -> Value:
        if isinstance(value, mpmath.mpc):
            raise UndefinedError("a rounded complex number")
        if isinstance(value, Fraction):
            return Fraction(math.floor(value) if down else math.ceil(value))
        if mpmath.mag(value) > mp.prec - 60:
            raise TooLargeError("a rounded number")
        nearest = mpmath.nint(value)
        if value != nearest and mpmath.mag(value - nearest) < -mp.prec // 2:
            raise TooLargeError("rounding")
        return Fraction(int(mpmath.floor(value) if down else mpmath.ceil(value)))

    return of


def _absolute(value: Value) -> Value:
    return abs(value)


def _periodic(function: Callable[[Value], Value], *, inverse: bool = False) -> Callable[[Value], Value]:
    """A trigonometric function, with what is nothing but rounding made 0."""

    def of(value: Value) -> Value:
        if not is_zero(value) and magnitude(value) > 100:
            raise TooLargeError("an angle")
        result = function(as_real(value))
        large = not is_zero(result) and mpmath.mag(result) > mp.prec - 60
        if large:
            raise UndefinedError("a pole")
        if not is_zero(value) and not is_zero(result) and mpmath.mag(result) < min(0, magnitude(value)) - mp.prec + 40:
            return Fraction(0)
        if is_zero(value) and is_zero(result):
            return Fraction(0)
        if inverse and is_zero(result):
            raise UndefinedError("a pole")
        return _tidy(1 / result if inverse else result)

    return of


def _exponential(value: Value) -> Value:
    if not is_zero(value) and magnitude(value) > 64:
        raise TooLargeError("an exponential")
    return _tidy(mpmath.exp(as_real(value)))


def _plain(function: Callable[[Value], Value]) -> Callable[[Value], Value]:
    def of(value: Value) -> Value:
        if not is_zero(value) and magnitude(value) > 64:
            raise TooLargeError("a function's argument")
        return _tidy(function(as_real(value)))

    return of


FUNCTIONS: dict[str, Callable[..., Value]] = {
    "sqrt": lambda value: power(value, Fraction(1, 2)) if not is_zero(value) else Fraction(0),
    "root": lambda value, degree: _root(value, degree),
    "abs": _absolute,
    "floor": _rounded(True),
    "ceil": _rounded(False),
    "factorial": _factorial,
    "binom": _binomial,
    "mod": _modulo,
    "exp": _exponential,
    "sin": _periodic(mpmath.sin),
    "cos": _periodic(mpmath.cos),
    "tan": _periodic(mpmath.tan),
    "cot": _periodic(mpmath.tan, inverse=True),
    "sec": _periodic(mpmath.cos, inverse=True),
    "csc": _periodic(mpmath.sin, inverse=True),
    "arcsin": _plain(mpmath.asin),
    "arccos": _plain(mpmath.acos),
    "arctan": _plain(mpmath.atan),
    "arccot": _plain(mpmath.acot),
    "arcsec": _plain(mpmath.asec),
    "arccsc": _plain(mpmath.acsc),
    "sinh": _plain(mpmath.sinh),
    "cosh": _plain(mpmath.cosh),
    "tanh": _plain(mpmath.tanh),
    "coth": _plain(mpmath.coth),
    "arsinh": _plain(mpmath.asinh),
    "arcosh": _plain(mpmath.acosh),
    "artanh": _plain(mpmath.atanh),
    "sgn": lambda value: Fraction((value > 0) - (value < 0)),
    "Re": lambda value: value.real if isinstance(value, mpmath.mpc) else value,
    "Im": lambda value: value.imag if isinstance(value, mpmath.mpc) else Fraction(0),
}
