"""In which order packages are configured."""

from pathlib import Path

from formation.debian.database import PackageName
from formation.install.stages import StagePackage, early_names, plan_renewal, plan_stages


def package(name: str, *, scripted: bool = True, **fields: str) -> StagePackage:
    relations = "".join(f"{key.replace('_', '-')}: {value}\n" for key, value in fields.items())
    control = {"control": f"Package: {name}\nVersion: 1\nArchitecture: all\n{relations}".encode()}
    if scripted:
        control["postinst"] = b"#!/bin/sh\n"
    return StagePackage(PackageName(name, "all", False), "1", f"key of {name}", Path("/"), control, ("/.",), 10)


def stages(packages: list[StagePackage]) -> list[list[str]]:
    """The names in each stage after that of `base`, the only essential package."""
    planned = plan_stages([package("base"), *packages], frozenset({"base"}), before=None, epoch=100)
    first, *rest = [[package.name.name for package in stage.packages] for stage in planned]
    assert first == ["base"]
    return rest


def test_essential_packages_come_first_and_those_without_scripts_last():
    assert stages([package("data", scripted=False), package("daemon")]) == [["daemon"], ["data"]]


def test_only_what_a_pre_dependency_needs_is_configured_early():
    packages = [
        package("cron", Pre_Depends="cron-common"),
        package("cron-common", Depends="systemd | sysusers"),
        package("systemd"),
        package("at"),
        package("needed", scripted=False),
        package("user", Depends="needed"),
    ]
    assert stages(packages) == [["cron-common", "systemd"], ["at", "cron", "needed", "user"]]


def test_a_chain_of_pre_dependencies_takes_a_stage_for_each_link():
    packages = [package("a", Pre_Depends="b"), package("b", Pre_Depends="c"), package("c"), package("d")]
    assert stages(packages) == [["c"], ["b"], ["a", "d"]]


def test_packages_that_depend_on_each_other_are_configured_together():
    assert stages([package("a", Depends="b"), package("b", Depends="a")]) == [["a", "b"]]


def test_a_changed_package_changes_the_keys_of_its_stage_and_of_those_after():
    packages = [package("base"), package("daemon"), package("data", scripted=False)]
    changed = [packages[0], package("daemon", Section="net"), packages[2]]
    changed[1] = StagePackage(**{f: getattr(changed[1], f) for f in StagePackage.__slots__} | {"key": "another"})
    before = plan_stages(packages, frozenset({"base"}), before=None, epoch=100)
    after = plan_stages(changed, frozenset({"base"}), before=None, epoch=100)
    assert [a.key == b.key for a, b in zip(before, after, strict=True)] == [True, False, False]


def test_what_apt_or_an_essential_package_may_depend_on_is_early():
    installed = [package("apt", Depends="base-passwd | adduser"), package("bash", Essential="yes", Pre_Depends="libc6")]
    coming = [package("adduser", Depends="passwd"), package("passwd"), package("cron", Depends="adduser")]
    assert early_names([*installed, *coming]) == {"apt", "base-passwd", "adduser", "passwd", "bash", "libc6"}


def test_early_packages_are_configured_before_the_others_with_what_they_need():
    packages = [package("base"), package("adduser", Depends="passwd"), package("passwd"), package("a")]
    planned = plan_stages(packages, frozenset({"base"}), before=None, epoch=100, early=frozenset({"adduser"}))
    assert [[p.name.name for p in stage.packages] for stage in planned] == [["base"], ["adduser", "passwd"], ["a"]]


def test_a_renewal_has_what_the_image_has_and_what_that_needs_and_a_key_of_its_own():
    packages = [package("app", Depends="lib (>= 2)"), package("lib"), package("tool", Recommends="app")]
    (before,) = plan_stages([package("base")], frozenset({"base"}), before=None, epoch=100)
    renewal = plan_renewal(packages, {"app", "base"}, before, 100)
    assert [each.name.name for each in renewal.packages] == ["app", "lib"]
    (stage,) = plan_stages(packages[:2], frozenset(), before=before, epoch=100)
    assert stage.packages == renewal.packages and stage.key != renewal.key
