"""A lock as JSON."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from formation.lock.model import Lock


def lock_data(lock: "Lock") -> dict[str, Any]:
    """The lock as the file has it; times are in seconds since 1970."""
    from datetime import datetime

    from formation.lock.lockfile import base_values, entries, package_values, suite_values

    def plain(values: dict[str, Any]) -> dict[str, Any]:
        return {key: int(value.timestamp()) if isinstance(value, datetime) else value for key, value in values.items()}

    return {
        "definition": lock.definition,
        "architectures": list(lock.packages),
        "epoch": lock.epoch,
        **({"base": [base_values(base) for base in lock.base]} if lock.base else {}),
        "suites": [plain(suite_values(suite)) for suite in lock.suites],
        "packages": [plain(package_values(lock, package, each)) for package, each in entries(lock)],
    }
