"""The file of reported numbers: what an audit takes in.

What a table leaves out is left out; the checks that need it say so. `studies/paper/reported.yaml` is an example of all
keys, `reports.audit.claims` describes the claims.
"""

from typing import Annotated

from pydantic import Field

from reports.audit.claims import (
    Accuracy,
    Clipping,
    Count,
    Difference,
    Gain,
    Incompatible,
    LargestInnovation,
    Name,
    Recovery,
    Sigma,
    Strict,
    Test,
    Threshold,
    Tokens,
)
from reports.audit.printed import Printed
from sweep.input.fields import InitialVariance, Kappa, List, MeasurementNoise, ProcessNoise


class Benchmark(Strict):
    """What accuracies were measured on.

    Attributes:
        name: As the claims call it.
        problems: Number of problems.
        samples: Generations for each problem, the k of avg@k.
    """

    name: Name
    problems: Count | None = None
    samples: Count | None = None


class ReportedArm(Strict):
    """One configuration.

    Attributes:
        name: As the claims call it.
        q: Process noise variance.
        v: Measurement noise variance.
        kappa: Clipping threshold in standard deviations; inf where nothing is clipped.
        p0: Variance of the state before the first token. Checks take 0, as KPO's public code does, where it is left
            out, and say so.
        response_length: Tokens of a response; mean gains are recomputed as if all responses had as many.
    """

    name: Name
    q: ProcessNoise | None = None
    v: MeasurementNoise | None = None
    kappa: Kappa | None = None
    p0: InitialVariance | None = None
    response_length: Tokens | None = None


class Reported(Strict):
    """Reported numbers of one paper, blog post or table. Every list may be left out.

    Attributes:
        title: Where the numbers come from.
        citation: How to find it.
        seeds: Training seeds of an arm.
        benchmarks: What accuracies were measured on.
        arms: The configurations.
        accuracies: Averages and pass@k, from which differences, recoveries and tests are recomputed.
        differences: Claims about differences.
        recoveries: Claims about recovered gaps.
        tests: Claims about significance.
        gains: Claims about Kalman gains.
        sigmas: Claims about the innovations' predicted deviation.
        thresholds: Claims about clipping thresholds.
        clipping: What was seen at training steps. One without ``clip_fraction`` is no claim, but checks use it.
        largest_innovations: Claims about whole runs.
        incompatible: Claims that low gain and low threshold exclude each other.
    """

    title: Annotated[str, Field(min_length=1, max_length=200)]
    citation: str | None = None
    seeds: Count | None = None
    benchmarks: Annotated[tuple[Benchmark, ...], List] = ()
    arms: Annotated[tuple[ReportedArm, ...], List] = ()
    accuracies: Annotated[tuple[Accuracy, ...], List] = ()
    differences: Annotated[tuple[Difference, ...], List] = ()
    recoveries: Annotated[tuple[Recovery, ...], List] = ()
    tests: Annotated[tuple[Test, ...], List] = ()
    gains: Annotated[tuple[Gain, ...], List] = ()
    sigmas: Annotated[tuple[Sigma, ...], List] = ()
    thresholds: Annotated[tuple[Threshold, ...], List] = ()
    clipping: Annotated[tuple[Clipping, ...], List] = ()
    largest_innovations: Annotated[tuple[LargestInnovation, ...], List] = ()
    incompatible: Annotated[tuple[Incompatible, ...], List] = ()

    def arm(self, name: str) -> ReportedArm:
        """The arm of that name."""
        return next(arm for arm in self.arms if arm.name == name)

    def benchmark(self, name: str) -> Benchmark:
        """The benchmark of that name."""
        return next(benchmark for benchmark in self.benchmarks if benchmark.name == name)

    def average(self, *, arm: str, benchmark: str) -> Printed | None:
        """The average of an arm on a benchmark, or None where none was reported."""
        found = (row.average for row in self.accuracies if (row.arm, row.benchmark) == (arm, benchmark))
        return next((average for average in found if average is not None), None)
