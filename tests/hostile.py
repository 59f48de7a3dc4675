"""How often a property of the readers of hostile input is tried: 20 of them, 1,000 cases each, in `make test`."""

import os

from hypothesis import settings

hostile = settings(max_examples=1000 if os.environ.get("HYPOTHESIS_PROFILE") == "full" else 25)
"""For tests of layers, accounts, dpkg's database, ELF files, Dockerfiles and manifests from strangers."""
