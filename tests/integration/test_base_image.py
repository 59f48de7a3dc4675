"""The runtime image runs in real Docker and Podman, and is a Debian that works: for apt, for a service, for TLS."""

import fnmatch
import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from engines import Docker, Podman, Skopeo
from formation.oci.layout import open_layout
from integration_conftest_types import Built
