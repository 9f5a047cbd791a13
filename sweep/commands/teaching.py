"""What a command's ``--help`` ends with: examples to copy, exit codes, and the environment variables that it heeds."""

from sweep.input.errors import EXIT_INTERRUPTED, EXIT_OK, EXIT_TRIAL_FAILED, EXIT_WRONG_INPUT

EXIT_CODES = {
    EXIT_OK: "everything that was asked for is done",
    EXIT_TRIAL_FAILED: "the study ran and a trial failed; `iskpo-sweep logs` shows why",
    EXIT_WRONG_INPUT: "wrong input or unusable machine; the message says what to do",
    EXIT_INTERRUPTED: "interrupted or stopped; `resume` goes on",
}
ENVIRONMENT = {
    "ISKPO_CACHE": "taught model and fetched data [~/.cache/iskpo-sweep]",
    "RAY_ADDRESS": "a Ray cluster that runs already; as --ray-address",
    "TMPDIR": "temporary files and Ray's sockets; a short path",
    "CUDA_VISIBLE_DEVICES": "which GPUs may be used; empty for none",
    "HF_HUB_OFFLINE": "1 keeps to models and data on this machine",
    "NO_COLOR": "set, it switches colours off",
}


def teaching(
    *examples: str,
    codes: tuple[int, ...] = (EXIT_OK, EXIT_WRONG_INPUT),
    environment: tuple[str, ...] = (),
    success: str = EXIT_CODES[EXIT_OK],
) -> str:
    r"""The text for a command's ``epilog``.

    Args:
        examples: Command lines, without ``iskpo-sweep``; what follows two spaces and a # is a remark.
        codes: Exit codes that the command can end with.
        environment: Names of the variables that it heeds.
        success: What exit code 0 means, where that is not plain.

    >>> print(teaching("plan studies/smoke.yaml", codes=(0,)))
    Examples:
      iskpo-sweep plan studies/smoke.yaml
    <BLANKLINE>
    Exit codes:
      0    everything that was asked for is done
    """
    meanings = EXIT_CODES | {EXIT_OK: success}
    blocks = [["Examples:", *(f"  iskpo-sweep {example}" for example in examples)]]
    blocks.append(["Exit codes:", *(f"  {code:<5}{meanings[code]}" for code in codes)])
    if environment:
        width = max(map(len, environment)) + 2
        blocks.append(["Environment:", *(f"  {name:<{width}}{ENVIRONMENT[name]}" for name in environment)])
    return "\n\n".join("\n".join(block) for block in blocks)
