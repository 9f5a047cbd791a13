"""Observed values of a row side by side, and results back to where they belong: what masks with holes need.

Eight positions at a time. Which of the eight are observed is a number from 0 to 255, and a table has for each the order
that brings the observed ones to the front, or back. Processors with AVX2 permute a vector of float32 by such an order
in one instruction, and eight bytes by the mask itself in one of BMI2; elsewhere, and for float64, it goes value by
value.
"""

# Types are llvmlite's and numba's, which declare none.
# mypy: disable-error-code="no-untyped-call, no-untyped-def, untyped-decorator"

from typing import Any

import llvmlite.binding
import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from iskpo.kernels.vector_code import ALIGNED, I8, I32, I64, LANES, VectorCode

_HAS = llvmlite.binding.get_host_cpu_features()
_PERMUTES = bool(_HAS.get("avx2") and _HAS.get("bmi2"))
_BITS = (np.arange(256)[:, None] >> np.arange(LANES)) & 1
_TO_FRONT = np.argsort(1 - _BITS, axis=1, kind="stable").astype(np.int32)
_TO_PLACE = (np.maximum(_BITS.cumsum(1), 1) - 1).astype(np.int32)


@njit(cache=True, error_model="numpy")
def pack(values, observed, packed):
    """Put the observed values of a row side by side; `packed` needs room for eight more."""
    taken, begun = 0, 0
    if _PERMUTES and values.itemsize != 8:
        begun = len(values) // LANES * LANES
        for position in range(0, begun, LANES):
            taken += _pack_eight(
                packed,
                values.ctypes.data + position * values.itemsize,
                observed.ctypes.data + position,
                packed.ctypes.data + taken * values.itemsize,
                _TO_FRONT.ctypes.data,
            )
    for position in range(begun, len(values)):
        # Always written, and written over by the next one unless it counts: cheaper than to jump.
        packed[taken] = values[position]
        taken += observed[position]


@njit(cache=True, error_model="numpy")
def unpack(packed, observed, values, streaming):
    """Put packed values back to the observed positions of a row, and zeros between them; `packed` ends eight later."""
    taken, begun = 0, 0
    if _PERMUTES and values.itemsize != 8:
        begun = len(values) // LANES * LANES
        streaming = streaming and values.itemsize == 4 and values.ctypes.data % ALIGNED == 0
        for position in range(0, begun, LANES):
            source = packed.ctypes.data + taken * values.itemsize
            target = values.ctypes.data + position * values.itemsize
            seen = observed.ctypes.data + position
            if streaming:
                taken += _unpack_eight_streaming(packed, source, seen, target, _TO_PLACE.ctypes.data)
            else:
                taken += _unpack_eight(packed, source, seen, target, _TO_PLACE.ctypes.data)
    for position in range(begun, len(values)):
        seen = observed[position]
        values[position] = packed[taken] if seen else 0
        taken += seen


@njit(cache=True)
def count_observed(observed):
    """Number of true bytes of a row."""
    # A byte holds the sums of up to 255.
    longest = 255 * 32
    total = 0
    for start in range(0, len(observed) - 31, longest):
        total += _sum_of_bytes(observed.ctypes.data + start, min(len(observed) - start, longest) // 32)
    for position in range(len(observed) // 32 * 32, len(observed)):
        total += observed[position]
    return total


@intrinsic
def _sum_of_bytes(_context, address, blocks):
    """Sum of 32 bytes times `blocks`, each byte 0 or 1 and at most 255 blocks."""

    def generate(context, builder, signature, arguments):
        address, blocks = arguments
        code = VectorCode(builder, types.float32)
        narrow, wide = ir.VectorType(I8, 32), ir.VectorType(ir.IntType(16), 32)
        sums = cgutils.alloca_once_value(builder, ir.Constant(narrow, [0] * 32))
        with cgutils.for_range(builder, blocks) as loop:
            more = code.load(code.at(address, loop.index, 0, 32), narrow, 1)
            builder.store(builder.add(builder.load(sums), more), sums)
        reduce = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(ir.IntType(16), [wide]), "llvm.vector.reduce.add.v32i16"
        )
        return builder.zext(builder.call(reduce, [builder.zext(builder.load(sums), wide)]), I64)

    return types.int64(types.int64, types.int64), generate


class _EightPositions:
    """Instructions for eight positions of a row, of float32 or of bytes."""

    def __init__(self, builder: Any, observed_at: Any) -> None:
        self.builder, self.observed_at = builder, observed_at
        self.code = VectorCode(builder, types.float32)
        self.seen = self.code.load(observed_at, I64, 1)

    def count(self) -> Any:
        return self._call("llvm.ctpop.i64", I64, self.seen)

    def permuted(self, vector: Any, orders: Any) -> Any:
        """A vector of float32 in the order that a table has for the mask."""
        # The observed positions are the bits of the topmost byte of this multiple of their bytes, which are 0 or 1.
        number = self.builder.lshr(self.builder.mul(self.seen, I64(0x0102040810204080)), I64(56))
        order = self.code.load(self.code.at(orders, number, 0, 4 * LANES), ir.VectorType(I32, LANES), 4)
        return self._call("llvm.x86.avx2.permps", vector.type, vector, order)

    def where_seen(self, vector: Any) -> Any:
        bytes_ = self.code.load(self.observed_at, ir.VectorType(I8, LANES), 1)
        keep = self.builder.icmp_unsigned("!=", bytes_, ir.Constant(bytes_.type, [0] * LANES))
        return self.builder.select(keep, vector, self.code.zeros)

    def moved_bytes(self, name: str, value: Any) -> Any:
        """Eight bytes moved by `pext` to the front or by `pdep` to their places."""
        return self._call(f"llvm.x86.bmi.{name}.64", I64, value, self.builder.mul(self.seen, I64(255)))

    def _call(self, name: str, kind: Any, *values: Any) -> Any:
        function = cgutils.get_or_insert_function(
            self.builder.module, ir.FunctionType(kind, [value.type for value in values]), name
        )
        return self.builder.call(function, values)


@intrinsic
def _pack_eight(_context, like, source, observed, target, orders):
    """Pack eight positions of `like`'s type; how many are observed. Arguments are addresses."""

    def generate(context, builder, signature, arguments):
        _, source, observed, target, orders = arguments
        eight = _EightPositions(builder, observed)
        if signature.args[0].dtype == types.float32:
            eight.code.store(eight.permuted(eight.code.load(source), orders), target)
        else:
            eight.code.store(eight.moved_bytes("pext", eight.code.load(source, I64, 1)), target, 1)
        return eight.count()

    return types.int64(like, *[types.int64] * 4), generate


def _unpacking(*, streaming: bool) -> Any:
    @intrinsic
    def unpack_eight(_context, like, source, observed, target, orders):
        """Unpack into eight positions of `like`'s type; how many are observed. Arguments are addresses."""

        def generate(context, builder, signature, arguments):
            _, source, observed, target, orders = arguments
            eight = _EightPositions(builder, observed)
            if signature.args[0].dtype == types.float32:
                placed = eight.where_seen(eight.permuted(eight.code.load(source), orders))
                eight.code.store(placed, target, streaming=streaming)
            else:
                eight.code.store(eight.moved_bytes("pdep", eight.code.load(source, I64, 1)), target, 1)
            return eight.count()

        return types.int64(like, *[types.int64] * 4), generate

    return unpack_eight


_unpack_eight, _unpack_eight_streaming = _unpacking(streaming=False), _unpacking(streaming=True)
