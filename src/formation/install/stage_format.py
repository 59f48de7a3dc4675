"""What a stage does, as a number. By itself, for who only asks whether an image is of these stages."""

from typing import Final

STAGE_FORMAT: Final = 13
"""Part of every stage's key, and of every build's: a change of what a stage does must raise it."""
