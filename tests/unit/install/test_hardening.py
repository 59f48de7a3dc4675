"""The measures of `hardening:`, one by one."""

from pathlib import Path

import pytest

from formation.debian.statoverrides import StatOverride
from formation.definition.hardening import AS_PACKAGED, Hardening
from formation.definition.values import Directory
from formation.entry import Entry
from formation.install.accounts import Accounts
from formation.install.additions import Additions, realise
from formation.install.hardening import (
    Privileged,
    is_backup,
    overriding,
    privileged,
    without_privileges,
    without_promises,
    without_shells,
)
from formation.install.placement import SegmentSpec
from formation.install.view import TreesView

SPEC = SegmentSpec(0)
ENTRIES = (
    Entry("usr/bin/cat", "file", 0o755),
    Entry("usr/bin/chage", "file", 0o2755, 0, 42),
    Entry("usr/bin/su", "file", 0o4755),
    Entry("usr/bin/su-again", "hardlink", 0o4755, target="usr/bin/su"),
    Entry("var/local", "directory", 0o2775, 0, 50),
)
SU = Privileged("usr/bin/su", 0, 0, 0o755)
CHAGE = Privileged("usr/bin/chage", 0, 42, 0o755)
ACCOUNTS = Accounts(
    passwd="root:x:0:0:root:/root:/bin/bash\nsync:x:4:65534:sync:/bin:/bin/sync\nnobody:x:65534:65534::/:/usr/sbin/nologin\n"
    "postgres:x:100:100::/var/lib/postgresql:/bin/bash\n",
    group="root:x:0:\nshadow:x:42:\n",
)


def test_every_name_of_a_privileged_program_is_found_and_no_directory() -> None:
    assert [each.path for each in privileged(ENTRIES, Hardening())] == [
        "usr/bin/chage",
        "usr/bin/su",
        "usr/bin/su-again",
    ]


@pytest.mark.parametrize(
    ("hardening", "found"),
    [(AS_PACKAGED, []), (Hardening(setuid=("/bin/su", "/usr/bin/su-again")), ["usr/bin/chage"])],
)
def test_programs_that_are_allowed_keep_their_bits(hardening: Hardening, found: list[str]) -> None:
    assert [each.path for each in privileged(ENTRIES, hardening)] == found


def test_a_package_is_unpacked_with_plain_modes() -> None:
    assert without_privileges(SPEC, [SU, CHAGE]).modes == (("usr/bin/chage", 0o755), ("usr/bin/su", 0o755))
    assert without_privileges(SPEC, []) == SPEC
    again = SegmentSpec(0, modes=(("usr/bin/su", 0o4755),))
    assert without_privileges(again, [SU]).modes == (("usr/bin/su", 0o755),)


def test_overrides_name_paths_as_packages_ship_them_and_owners_by_name() -> None:
    strange = Privileged("opt/tool", 7, 8, 0o700)
    found = overriding([SU, CHAGE, strange], ["/.", "/bin/su", "/usr/bin/chage"], [], ACCOUNTS)
    assert found == (
        StatOverride("/bin/su", "root", "root", 0o755),
        StatOverride("/usr/bin/chage", "root", "shadow", 0o755),
        StatOverride("/opt/tool", "#7", "#8", 0o700),
    )


def test_an_override_of_a_script_stays_unless_it_gives_the_bits() -> None:
    other = StatOverride("/srv/spool", "root", "mail", 0o2775)
    again = StatOverride("/usr/bin/su", "root", "wheel", 0o4750)
    assert overriding([SU], ["/usr/bin/su"], [other, again], ACCOUNTS) == (
        other,
        StatOverride("/usr/bin/su", "root", "root", 0o755),
    )


def test_an_override_that_names_a_program_by_way_of_a_link_goes_too() -> None:
    before = [StatOverride("/bin/su", "root", "root", 0o4755)]
    assert overriding([SU], ["/usr/bin/su"], before, ACCOUNTS) == (StatOverride("/usr/bin/su", "root", "root", 0o755),)


def test_an_override_that_nothing_has_applied_gives_a_file_that_is_there_all_but_the_bits(tmp_path: Path) -> None:
    for path in ("usr/bin/plain", "usr/bin/kept", "usr/bin/modest"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
        (tmp_path / path).chmod(0o750)
    (tmp_path / "srv").mkdir()
    overrides = [
        *(StatOverride(path, "root", "mail", 0o4755) for path in ("/bin/plain", "/usr/bin/kept", "/usr/bin/gone")),
        StatOverride("/usr/bin/modest", "root", "mail", 0o755),
        StatOverride("/srv", "root", "mail", 0o2775),
    ]
    found = without_promises(overrides, TreesView([tmp_path]), Hardening(setuid=("/usr/bin/kept",)))
    assert found == (StatOverride("/bin/plain", "root", "mail", 0o755), *overrides[1:])
    assert without_promises(overrides, TreesView([tmp_path]), AS_PACKAGED) == tuple(overrides)


def test_of_debians_accounts_only_root_has_a_shell_and_others_keep_theirs() -> None:
    shells = [line.split(":")[6] for line in without_shells(ACCOUNTS).passwd.splitlines()]
    assert shells == ["/bin/bash", "/usr/sbin/nologin", "/usr/sbin/nologin", "/bin/bash"]


def test_a_comment_that_other_programs_take_for_two_lines_stays_one() -> None:
    passwd = "daemon:x:1:1:a\x0cb\u2028c:/:/bin/sh\n"
    assert without_shells(Accounts(passwd)).passwd == "daemon:x:1:1:a\x0cb\u2028c:/:/usr/sbin/nologin\n"


def test_directories_are_tightened_where_they_are_and_nobody_declared_them(tmp_path: Path) -> None:
    for path in ("var/mail", "root", "etc/cron.d"):
        (tmp_path / path).mkdir(parents=True)
        (tmp_path / path).chmod(0o2775)
    additions = Additions(directories=(Directory("/var/mail", "0", "0", 0o1777),), hardening=Hardening())
    found = {item.entry.path: item.entry.mode for item in realise(additions, TreesView([tmp_path]), 0)}
    assert found == {"etc/cron.d": 0o700, "root": 0o700, "var/mail": 0o1777}
    kept = Additions(hardening=AS_PACKAGED)
    assert realise(kept, TreesView([tmp_path]), 0) == []


def test_backups_of_account_files_are_told_from_others() -> None:
    assert is_backup("etc/shadow-") and not is_backup("etc/shadow") and not is_backup("srv/etc/shadow-")
