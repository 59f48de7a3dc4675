"""An image of Debian 12, whose packages do not bring the symlinks of a merged /usr themselves."""

import pytest

from builds import Formation, define

pytestmark = [pytest.mark.network, pytest.mark.root]

BOOKWORM = """\
kind: base
name: test/bookworm
version: 1.0.0
distribution: debian/bookworm
architectures: [amd64]
packages: [openssl]
"""


def test_debian_12_is_built_with_a_merged_usr_and_keeps_its_promises(tmp_path, shared_store):
    formation = Formation()
    directory = define(tmp_path, BOOKWORM, formation, shared_store)
    built = formation.run("--store", str(shared_store), "build", str(directory), "--json").data
    # Without /bin/sh no script would have run, and what packages ship in /bin is in /usr/bin.
    contract = str(directory / "formation.yaml")
    verified = formation.run("--store", str(shared_store), "verify", built["reference"], "--contract", contract)
    assert verified.status == 0, verified.stdout
    assert "0 errors, 0 warnings" in verified.stdout
