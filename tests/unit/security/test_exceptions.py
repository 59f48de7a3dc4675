"""Exceptions: what they cover, until when, and that nobody overlooks them."""

from datetime import date

from audited_image import audited, found, image
from formation.definition.audit_exceptions import CHECK_IDS, AuditException
from formation.security.registry import CHECKS
from layer_tars import file

SETUID = image([file("app/one", b"1", mode=0o4755), file("app/two", b"2", mode=0o4755)])


def exception(check="setuid-file", path=None, until=date(2026, 2, 1), place="formation.yaml:7") -> AuditException:
    return AuditException(check, path, "mount needs it", until, place)


def test_an_exception_covers_all_that_its_check_finds_until_its_last_day_is_over():
    report = audited(SETUID, [exception()])
    assert report.findings == () and not report.fails("low")
    assert [each.finding.path for each in report.excepted] == ["/app/one", "/app/two"]
    report = audited(SETUID, [exception(until=date(2026, 1, 31))])
    assert found(report) == {"setuid-file"} and report.excepted == ()
    assert report.expired == (exception(until=date(2026, 1, 31)),) and report.unused == ()


def test_an_exception_with_a_path_covers_what_matches_it_and_nothing_without_a_path():
    report = audited(SETUID, [exception(path="/a*/one")])
    assert [finding.path for finding in report.findings] == ["/app/two"]
    report = audited(image(user="root"), [exception("user-root", path="*")])
    assert found(report) == {"user-root"} and report.unused == (exception("user-root", path="*"),)


def test_an_exception_that_is_still_valid_wins_over_an_expired_one():
    old, new = exception(until=date(2025, 1, 1)), exception(path="/app/*")
    report = audited(SETUID, [old, new])
    assert report.findings == () and report.expired == ()
    assert {each.exception for each in report.excepted} == {new}


def test_an_exception_that_covers_nothing_is_named():
    assert audited(image(), [exception()]).unused == (exception(),)


def test_definitions_know_the_checks_that_there_are():
    assert tuple(check.id for check in CHECKS) == CHECK_IDS
