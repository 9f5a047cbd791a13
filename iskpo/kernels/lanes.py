r"""The recurrences for eight rows at once, eight tokens at a time.

A tile holds `STEPS` observed tokens of eight rows, row after row, as memory has them. Recurrences need them token after
token, so each block of eight tokens is transposed in registers, advanced, and transposed back. Compilers do not find
that by themselves: left to LLVM's vectoriser, reading and writing across rows took most of the time.

Arguments are addresses but for `like`, an array of the type to compute in, and `first`, a tile's token to begin with.
"""

# Types are llvmlite's and numba's, which declare none.
# mypy: disable-error-code="no-untyped-call, no-untyped-def, untyped-decorator"

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from iskpo.kernels.vector_code import ALIGNED, F64, I8, I64, LANES, VectorCode

STEPS = 64
"""Tokens of a tile: whole cache lines of flags, and a tile of everything fits into the innermost cache."""
MARGIN = 8
"""Elements before and after the tokens of a row in a tile. The one before them is the state that they began with."""
WIDTH = MARGIN + STEPS + MARGIN
"""Elements from one row of a tile to the next."""


@intrinsic
def advance(_context, like, measured, filtered, first, gain, limit, state):
    """Filter eight tokens of eight rows. In float32 the state carries what its rounding lost (Kahan's summation).

    The tokens of z and of rho in a tile; gain and threshold of the tile's tokens; eight states and what they lost.
    """

    def generate(context, builder, signature, arguments):
        code = VectorCode(builder, signature.args[0].dtype)
        _, z_at, rho_at, first, gain_at, limit_at, state_at = arguments
        columns = code.transposed([code.load(code.at(z_at, first, lane * WIDTH)) for lane in range(LANES)])
        rho, lost = code.load(state_at), code.load(code.at(state_at, None, LANES))
        found = []
        for step in range(LANES):
            weight = code.broadcast(code.at(gain_at, first, step))
            bound = code.broadcast(code.at(limit_at, first, step))
            kept = code.clamped(builder.fsub(columns[step], rho), bound)
            if code.element == F64:
                rho = code.call("fma", weight, kept, rho)
            else:
                change = code.call("fma", weight, kept, lost)
                after = builder.fadd(rho, change)
                lost = builder.fsub(change, builder.fsub(after, rho))
                rho = after
            found.append(rho)
        code.store(rho, state_at)
        code.store(lost, code.at(state_at, None, LANES))
        for lane, row in enumerate(code.transposed(found)):
            code.store(row, code.at(rho_at, first, lane * WIDTH))
        return context.get_dummy_value()

    return types.void(like, *[types.int64] * 6), generate


@intrinsic
def go_back(_context, like, gradient, flags, first, gain, message):
    """The adjoint of eight tokens of eight rows, last token first, in place.

    The tokens of the gradient by rho in a tile, and of what was clipped in a tile of bytes; gain of the tile's tokens,
    float64; eight float64, (1 - w) lambda of the token after these.
    """

    def generate(context, builder, signature, arguments):
        code = VectorCode(builder, signature.args[0].dtype)
        _, gradient_at, flag_at, first, gain_at, message_at = arguments
        wide, narrow = ir.VectorType(F64, LANES), ir.VectorType(I8, LANES)
        columns = code.transposed([code.load(code.at(gradient_at, first, lane * WIDTH)) for lane in range(LANES)])
        clipped = code.transposed(
            [code.load(code.at(flag_at, first, lane * WIDTH, 1), narrow, 1) for lane in range(LANES)]
        )
        message = code.load(message_at, wide, 8)
        found: list[Any] = [None] * LANES
        for step in reversed(range(LANES)):
            weight = code.broadcast(code.at(gain_at, first, step, 8), F64)
            free = builder.icmp_unsigned("==", clipped[step], ir.Constant(narrow, [0] * LANES))
            weight = builder.select(free, weight, ir.Constant(wide, [0.0] * LANES))
            adjoint = builder.fadd(code.widened(columns[step]), message)
            share = builder.fmul(weight, adjoint)
            message = builder.fsub(adjoint, share)
            found[step] = code.narrowed(share)
        code.store(message, message_at, 8)
        for lane, row in enumerate(code.transposed(found)):
            code.store(row, code.at(gradient_at, first, lane * WIDTH))
        return context.get_dummy_value()

    return types.void(like, *[types.int64] * 5), generate


def _delivery(*, streaming: bool) -> Any:
    @intrinsic
    def deliver(_context, like, measured, filtered, limit, rho, innovation, flags):
        """Write one row of a tile to its place: rho, the innovations, and whether they exceed the thresholds.

        Returns 0 if all innovations are finite and NaN otherwise.
        """

        def generate(context, builder, signature, arguments):
            wide = 32
            code = VectorCode(builder, signature.args[0].dtype, wide)
            _, z_at, filtered_at, limit_at, rho_at, innovation_at, flag_at = arguments
            spoilt = code.zeros
            for first in range(0, STEPS, wide):
                before, after = (code.load(code.at(filtered_at, None, first + shift)) for shift in (-1, 0))
                excess = builder.fsub(code.load(code.at(z_at, None, first)), before)
                exceeds = code.exceeds(excess, code.load(code.at(limit_at, None, first)))
                code.store(after, code.at(rho_at, None, first), streaming=streaming)
                code.store(excess, code.at(innovation_at, None, first), streaming=streaming)
                flag = builder.zext(exceeds, ir.VectorType(I8, wide))
                code.store(flag, code.at(flag_at, None, first, 1), 1, streaming=streaming)
                spoilt = builder.fadd(spoilt, builder.fmul(excess, code.zeros))
            return code.sum(spoilt)

        return like.dtype(like, *[types.int64] * 6), generate

    return deliver


def _copying(*, streaming: bool) -> Any:
    @intrinsic
    def copy(_context, source, target, size):
        """Copy bytes, a multiple of 64, from one address to another."""

        def generate(context, builder, signature, arguments):
            source, target, size = arguments
            code = VectorCode(builder, types.float64)
            with cgutils.for_range(builder, builder.udiv(size, I64(64))) as loop:
                offset = builder.mul(loop.index, I64(64))
                line = code.load(builder.add(source, offset), align=1)
                code.store(line, builder.add(target, offset), 1, streaming=streaming)
            return context.get_dummy_value()

        return types.void(types.int64, types.int64, types.int64), generate

    return copy


# Streaming stores go past the caches: half the traffic for results that would not fit there, and slower for others.
# Their addresses are multiples of ALIGNED.
deliver, deliver_streaming = _delivery(streaming=False), _delivery(streaming=True)
copy, copy_streaming = _copying(streaming=False), _copying(streaming=True)


@intrinsic
def finish_streaming(_context):
    """Make streamed results visible to other threads."""

    def generate(context, builder, _signature, _arguments):
        builder.fence("seq_cst")
        return context.get_dummy_value()

    return types.void(), generate


__all__ = ["ALIGNED", "MARGIN", "STEPS", "WIDTH", "advance", "copy", "copy_streaming", "deliver", "deliver_streaming"]
__all__ += ["finish_streaming", "go_back"]
