"""The examples in the docstrings; which paths are refused is in tests/sweep/profiles/test_preflight.py."""

import doctest

import pytest

from sweep.input import addresses
from sweep.input.addresses import without_credentials
from sweep.study import study_fields


@pytest.mark.parametrize("module", [addresses, study_fields])
def test_the_examples(module) -> None:
    results = doctest.testmod(module)
    assert results.attempted
    assert not results.failed


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://host:5000", "http://host:5000"),
        ("https://me@host/a@b", "https://host/a@b"),
        ("http://me:p@ss:w@host", "http://host"),
        ("no answer from http://a:b@c/d, nor from http://e:f@g", "no answer from http://c/d, nor from http://g"),
        ("mail me@host", "mail me@host"),
    ],
)
def test_names_and_passwords_are_left_out_of_addresses(text, shown) -> None:
    assert without_credentials(text) == shown
