"""The file of reported numbers, which an audit takes in: its arms and benchmarks, and the claims that are checked.

What a table leaves out is left out; the checks that need it say so. `studies/paper/reported.yaml` is an example of all
keys. What was printed as a rounded number is quoted text, with its unit: ``"59.60%"``. Its digits say how exact it is,
and without quotes YAML would drop the last zero. Each claim names the table and row it comes from.
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, InstanceOf

from reports.audit.printed import Printed, parse
from sweep.input.fields import InitialVariance, Kappa, List, MeasurementNoise, ProcessNoise

Name = Annotated[str, Field(min_length=1, max_length=80)]
Source = Annotated[str, Field(min_length=1, max_length=200)]
Count = Annotated[int, Field(ge=1)]
# Tokens of one response.
Tokens = Annotated[int, Field(ge=1, le=1_000_000)]


def _printed(value: Any) -> Any:
    if isinstance(value, Printed):
        return value
    if not isinstance(value, str):
        raise ValueError("must be quoted as printed, such as '59.60%' or '~1.4': its digits say how exact it is")
    return parse(value)


def _share(claim: Printed) -> Printed:
    if not 0 <= claim.value <= 1:
        raise ValueError("must be from 0 to 1, or per cent with its sign, such as '59.60%'")
    return claim


def _positive(claim: Printed) -> Printed:
    if claim.value <= 0:
        raise ValueError("must be > 0")
    return claim


def _not_negative(claim: Printed) -> Printed:
    if claim.value < 0:
        raise ValueError("must be >= 0")
    return claim


AnyNumber = Annotated[InstanceOf[Printed], BeforeValidator(_printed)]
Share = Annotated[AnyNumber, AfterValidator(_share)]
Positive = Annotated[AnyNumber, AfterValidator(_positive)]
NotNegative = Annotated[AnyNumber, AfterValidator(_not_negative)]


class Strict(BaseModel):
    """A mapping with known keys alone, and no guessing of types."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Accuracy(Strict):
    """avg@k and pass@k of an arm on a benchmark."""

    arm: Name
    benchmark: Name
    average: Share | None = None
    pass_at_k: Share | None = None
    source: Source


class Difference(Strict):
    """A difference of two averages, arm - reference; ``↓4.65`` counts as negative."""

    arm: Name
    reference: Name
    benchmark: Name
    claim: AnyNumber
    source: Source


class Recovery(Strict):
    """Share of the gap between a weak and a strong arm that a treated arm closes."""

    treated: Name
    weak: Name
    strong: Name
    benchmark: Name
    claim: AnyNumber
    source: Source


class Test(Strict):
    """A two-proportion z-test of two averages; p is two-sided where ``sided`` is left out.

    ``direction`` is a claim without a number: that the arm scores higher or lower than the reference.
    """

    __test__ = False  # no test case, whatever pytest thinks of the name

    arm: Name
    reference: Name
    benchmark: Name
    z: AnyNumber | None = None
    p: Share | None = None
    sided: Literal["two", "one"] | None = None
    direction: Literal["higher", "lower"] | None = None
    source: Source


class Gain(Strict):
    """A Kalman gain: of the steady state, the mean over responses, of one token, or unsaid."""

    arm: Name
    claim: Share
    of: Literal["steady_state", "mean"] | None = None
    token: Tokens | None = None
    source: Source


class Sigma(Strict):
    """Predicted standard deviation of an innovation; of the steady state unless a token is named."""

    arm: Name
    claim: Positive
    token: Tokens | None = None
    source: Source


class Threshold(Strict):
    """Clipping threshold: of the steady state, kappa sqrt(V) (``measurement_noise``), or of one token."""

    arm: Name
    claim: Positive
    of: Literal["steady_state", "measurement_noise"] | None = None
    token: Tokens | None = None
    source: Source


class Clipping(Strict):
    """A training step as it was seen: largest |innovation|, their kurtosis, clipped share and number of tokens."""

    arm: Name
    step: Annotated[int, Field(ge=0)] | None = None
    largest_innovation: NotNegative | None = None
    kurtosis: Positive | None = None
    clip_fraction: Share | None = None
    tokens: Count | None = None
    source: Source


class LargestInnovation(Strict):
    """The largest |innovation| of a whole run."""

    arm: Name
    claim: NotNegative
    source: Source


class KurtosisRange(Strict):
    """Smallest and largest kurtosis of a step's innovations in a whole run."""

    arm: Name
    lowest: Positive
    highest: Positive
    source: Source


class ThresholdRatio(Strict):
    """How many times the largest |innovation| a threshold is, with both numbers as printed beside it."""

    arm: Name
    threshold: Positive
    largest_innovation: Positive
    claim: Positive
    source: Source


class Incompatible(Strict):
    """A statement that no setting has a gain as low as this with a threshold as low as this.

    Attributes:
        statement: Its words.
        gain: Steady-state gain, 0 < gain < 1. Not a printed number but what the audit tries, like the next two.
        threshold: Clipping threshold, in log-ratio units.
        kappa: Standard deviations at which the threshold shall lie.
        source: Table and row, or section.
    """

    statement: Annotated[str, Field(min_length=1, max_length=400)]
    gain: Annotated[float, Field(gt=0, lt=1)]
    threshold: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    kappa: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    source: Source


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
        seeds: Training seeds of an arm; left out where the source does not say.
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
        kurtoses: Claims about the tails of the innovations in whole runs.
        threshold_ratios: Claims that a threshold is so many times the largest innovation.
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
    kurtoses: Annotated[tuple[KurtosisRange, ...], List] = ()
    threshold_ratios: Annotated[tuple[ThresholdRatio, ...], List] = ()
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
