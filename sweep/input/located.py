"""Problems found by our own checks, in the form in which pydantic reports its own: each with its place."""

from typing import Any

from pydantic_core import InitErrorDetails, PydanticCustomError, ValidationError

Place = tuple[str | int, ...]


def located_errors(value: Any, found: list[tuple[Place, str]]) -> ValidationError:
    """Several problems, each with its place below the value, as one error that pydantic merges into its own."""
    return ValidationError.from_exception_data(
        "study",
        [
            InitErrorDetails(
                type=PydanticCustomError("study", "{message}", {"message": message}), loc=where, input=value
            )
            for where, message in found
        ],
    )
