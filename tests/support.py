"""What several tests share: where the project and its shared data lie."""

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
PACKAGE = REPOSITORY / "src" / "tensorcalculus"


def shared_folder() -> Path:
    """The folder of shared data: ``$TENSORCALCULUS_SHARED``, else ``../shared``."""
    named = os.environ.get("TENSORCALCULUS_SHARED")
    return Path(named) if named else REPOSITORY.parent / "shared"


def shared_path(*parts: str) -> Path:
    """A path in the shared folder; the calling test skips where the folder is missing.

    A file missing from a folder that exists is no reason to skip: the path is returned, and
    opening it fails.
    """
    folder = shared_folder()
    if not folder.is_dir():
        # A module may ask while it is being collected, to parametrise over files.
        pytest.skip(
            f"shared folder {folder} is missing (set TENSORCALCULUS_SHARED to where it is)",
            allow_module_level=True,
        )
    return folder.joinpath(*parts)
