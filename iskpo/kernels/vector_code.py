"""How kernels of the CPU write vector instructions: as LLVM's, for numba to compile for whatever processor it finds.

numba's cache of compiled kernels does not notice changes of this file, nor of others that write instructions: after
one, delete `iskpo/__pycache__`.
"""

# llvmlite declares no types.
# mypy: disable-error-code="no-untyped-call"

from collections.abc import Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils

LANES = 8
I8, I32, I64, F64 = ir.IntType(8), ir.IntType(32), ir.IntType(64), ir.DoubleType()
ALIGNED = 32
"""Bytes to which addresses of streaming stores must be aligned."""
_COLUMN_OF = (0, 2, 1, 3, 4, 6, 5, 7)
"""Where the three stages of a transposition leave its columns."""


class VectorCode:
    """Writes instructions on vectors of one type of numbers, float32 or float64."""

    def __init__(self, builder: Any, dtype: types.Float, width: int = LANES) -> None:
        """Of `width` numbers."""
        self.builder = builder
        self.size = dtype.bitwidth // 8
        self.element = ir.FloatType() if self.size == 4 else F64
        self.width = width
        self.vector = ir.VectorType(self.element, width)
        self.zeros = ir.Constant(self.vector, [0.0] * width)

    def at(self, base: Any, index: Any | None, more: int = 0, size: int | None = None) -> Any:
        """Address of element `index` + `more` of what begins at `base`."""
        size = size or self.size
        if index is not None:
            base = self.builder.add(base, self.builder.mul(index, I64(size)))
        return self.builder.add(base, I64(more * size))

    def load(self, address: Any, kind: Any = None, align: int | None = None) -> Any:
        """A vector, or something of another kind, from memory."""
        value = self.builder.load(self.builder.inttoptr(address, (kind or self.vector).as_pointer()))
        value.align = align or self.size
        return value

    def store(self, value: Any, address: Any, align: int | None = None, *, streaming: bool = False) -> None:
        """Put a value into memory; when streaming, past the caches and to an aligned address."""
        stored = self.builder.store(value, self.builder.inttoptr(address, value.type.as_pointer()))
        stored.align = ALIGNED if streaming else align or self.size
        if streaming:
            stored.set_metadata("nontemporal", self.builder.module.add_metadata([I32(1)]))

    def broadcast(self, address: Any, element: Any = None) -> Any:
        """Eight times the number at an address."""
        element = element or self.element
        vector = ir.VectorType(element, LANES)
        value = self.load(address, element, 8 if element == F64 else 4)
        single = self.builder.insert_element(ir.Constant(vector, ir.Undefined), value, I32(0))
        return self.shuffled(single, single, [0] * LANES)

    def shuffled(self, first: Any, second: Any, order: Sequence[int]) -> Any:
        """Elements of two vectors, numbered through, in an order."""
        return self.builder.shuffle_vector(first, second, ir.Constant(ir.VectorType(I32, len(order)), list(order)))

    def transposed(self, rows: Sequence[Any]) -> list[Any]:
        """Eight vectors of eight as their columns, in the three stages that vector units have instructions for."""
        for distance, low, high in (
            (1, [0, 8, 1, 9, 4, 12, 5, 13], [2, 10, 3, 11, 6, 14, 7, 15]),
            (2, [0, 1, 8, 9, 4, 5, 12, 13], [2, 3, 10, 11, 6, 7, 14, 15]),
            (4, [0, 1, 2, 3, 8, 9, 10, 11], [4, 5, 6, 7, 12, 13, 14, 15]),
        ):
            mixed = list(rows)
            for first in (lane for lane in range(LANES) if not lane & distance):
                mixed[first] = self.shuffled(rows[first], rows[first + distance], low)
                mixed[first + distance] = self.shuffled(rows[first], rows[first + distance], high)
            rows = mixed
        return [rows[lane] for lane in _COLUMN_OF]

    def clamped(self, value: Any, bound: Any) -> Any:
        """The value, or the bound or its negative where it is beyond."""
        below = self.builder.fneg(bound)
        value = self.builder.select(self.builder.fcmp_ordered(">", value, below), value, below)
        return self.builder.select(self.builder.fcmp_ordered("<", value, bound), value, bound)

    def exceeds(self, value: Any, bound: Any) -> Any:
        """Whether |value| > bound, element by element."""
        return self.builder.fcmp_ordered(">", self.call("fabs", value), bound)

    def call(self, name: str, *values: Any) -> Any:
        """What LLVM's function of that name makes of the vectors."""
        function = cgutils.get_or_insert_function(
            self.builder.module,
            ir.FunctionType(self.vector, [self.vector] * len(values)),
            f"llvm.{name}.v{self.width}f{8 * self.size}",
        )
        return self.builder.call(function, values)

    def sum(self, value: Any) -> Any:
        """The sum of a vector's elements, added up in any order."""
        function = cgutils.get_or_insert_function(
            self.builder.module,
            ir.FunctionType(self.element, [self.element, self.vector]),
            f"llvm.vector.reduce.fadd.v{self.width}f{8 * self.size}",
        )
        return self.builder.call(function, [ir.Constant(self.element, 0.0), value], fastmath=["reassoc"])

    def widened(self, value: Any) -> Any:
        """As float64."""
        return value if self.element == F64 else self.builder.fpext(value, ir.VectorType(F64, self.width))

    def narrowed(self, value: Any) -> Any:
        """From float64."""
        return value if self.element == F64 else self.builder.fptrunc(value, self.vector)
