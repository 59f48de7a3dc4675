from collections.abc import Iterator
from pathlib import Path

import pytest

from archives import served
from workshop import Workshop


@pytest.fixture
def workshop(tmp_path: Path) -> Iterator[Workshop]:
    (tmp_path / "served").mkdir()
    with served(tmp_path / "served") as url:
        yield Workshop(tmp_path, url)


@pytest.fixture
def published(workshop: Workshop) -> Workshop:
    """With PACKAGES in the suite `stable`."""
    workshop.publish()
    return workshop
