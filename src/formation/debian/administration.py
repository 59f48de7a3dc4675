"""Where dpkg keeps its database in a file system: paths relative to the root (dpkg(1), FILES)."""

ADMINISTRATION = "var/lib/dpkg"
INFO = f"{ADMINISTRATION}/info"
STATUS = f"{ADMINISTRATION}/status"

INSTALLED = "install ok installed"
"""What the status file says of a package when all is well."""

KEEP_CHANGED = ("confdef", "confold")
"""How `dpkg --force-…` is told to leave a configuration file as it is that somebody has changed, and not to ask."""
