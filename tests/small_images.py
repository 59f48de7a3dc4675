"""Small images of the real archive for the tests of building: locked once, with their packages in one store."""

import shutil
from pathlib import Path

import pytest

from builds import SMALL, TINY, Formation, define, ordinary_user, portable_copy, python_for_all
from conftest import missing


@pytest.fixture(scope="session")
def open_directory(run_directory: Path, worker_id: str) -> Path:
    """A directory of this worker into which other users can look."""
    directory = run_directory / f"open-{worker_id}"
    directory.mkdir()
    run_directory.chmod(0o711)
    directory.chmod(0o755)
    return directory


@pytest.fixture(scope="session")
def tiny(open_directory: Path, shared_store: Path) -> Path:
    """The directory of the definition TINY, locked."""
    return define(open_directory / "tiny", TINY, Formation(), shared_store)


@pytest.fixture(scope="session")
def small(open_directory: Path, shared_store: Path) -> Path:
    """The directory of the definition SMALL, locked."""
    return define(open_directory / "small", SMALL, Formation(), shared_store)


@pytest.fixture(scope="session")
def portable(open_directory: Path) -> Formation:
    """Formation as every user can start it, with an empty environment."""
    python = python_for_all()
    if python is None:
        missing("no Python of this version that every user may run")
    environment = {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/nonexistent",
        "PYTHONPATH": str(portable_copy(open_directory / "python")),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    return Formation(python=(python,), environment=environment, directory=Path("/"))


@pytest.fixture(scope="session")
def as_user(portable: Formation, open_directory: Path) -> Formation:
    """Formation as an ordinary user with subordinate ids starts it."""
    if shutil.which("newuidmap") is None:
        missing("newuidmap is not installed")
    return portable.after(*ordinary_user(open_directory / "accounts"))
