"""Settings of the whole test suite: hypothesis profiles and the `shared_path` fixture."""

import os

# Two workers with two BLAS threads each would slow small matrix products down twentyfold.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from collections.abc import Callable
from pathlib import Path

import pytest
import support
from hypothesis import settings

# The default repeats the same examples in every run, so that a failure is caused by a change.
settings.register_profile("default", deadline=None, derandomize=True, max_examples=50)
settings.register_profile(
    "thorough", deadline=None, derandomize=False, max_examples=2000, print_blob=True
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


@pytest.fixture
def shared_path() -> Callable[..., Path]:
    """`support.shared_path`, for tests that would rather ask for it than import it."""
    return support.shared_path
