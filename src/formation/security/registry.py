"""All checks there are."""

from typing import Final

from formation.security.checks import (
    accounts,
    apt,
    configuration,
    history,
    layers,
    leftovers,
    modes,
    packages,
    privileges,
    provenance,
    secrets,
    support,
)
from formation.security.findings import Check

_FAMILIES = (
    *(configuration, secrets, layers, provenance, history, modes, accounts, privileges),
    *(packages, support, apt, leftovers),
)

CHECKS: Final[tuple[Check, ...]] = tuple(
    sorted((check for family in _FAMILIES for check in family.CHECKS), key=lambda check: check.number)
)
"""By number."""
