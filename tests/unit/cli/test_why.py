"""`formation why` on a lock."""

import json

from workshop import DEV, Workshop


def locked(directory, monkeypatch=None):
    """A definition and a lock of a signed archive that is on disk only while they are made."""
    from archives import served

    (directory / "served").mkdir()
    with served(directory / "served") as url:
        workshop = Workshop(directory, url)
        workshop.publish()
        definition = workshop.define("curl", DEV)
        from formation.lock.lockfile import file_text

        (workshop.base / "formation.lock").write_text(file_text(workshop.lock(definition)))
    return workshop


def test_the_way_to_the_request_is_shown(formation, tmp_path):
    base = locked(tmp_path).base
    assert formation("why", "libnghttp2-14", "base").stdout == (
        "libnghttp2-14 1.0 in runtime:\n"
        f"  libnghttp2-14 ← libcurl4 Depends ← curl Depends ← requested in {base}/formation.yaml:7\n"
    )


def test_json_has_each_step(formation, tmp_path):
    base = locked(tmp_path).base
    (reason,) = json.loads(formation("why", "libllvm", "base", "--json").stdout)["reasons"]
    assert reason == {
        "version": "1.0",
        "source": "libllvm",
        "variants": ["dev"],
        "architectures": ["amd64"],
        "chain": [{"name": "libllvm", "because": "Depends"}, {"name": "clang", "because": "requested"}],
        "request": f"{base}/formation.yaml:11",
    }


def test_a_package_that_is_not_locked_is_answered_with_no(formation, tmp_path):
    locked(tmp_path)
    result = formation("why", "crul", "base")
    assert (result.code, result.stdout) == (1, "")
    assert "hint: did you mean curl" in result.stderr
    result = formation("why", "crul", "base", "--json")
    assert (result.code, json.loads(result.stdout)) == (1, {"package": "crul", "reasons": []})


def test_without_a_lock_the_hint_is_to_write_one(formation, tmp_path):
    workshop = locked(tmp_path)
    (workshop.base / "formation.lock").unlink()
    result = formation("why", "curl", "base")
    assert result.code == 2
    assert f"hint: formation lock {workshop.base}\n" in result.stderr
