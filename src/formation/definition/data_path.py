"""Where a value is in a document."""

DataPath = tuple[str | int, ...]
"""Keys and indexes from the top of a document: ("users", 0, "name")."""
