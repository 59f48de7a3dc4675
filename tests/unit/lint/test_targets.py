"""Finding the files to look at."""

from pathlib import Path

import pytest

from formation.errors import UsageError
from formation.lint.targets import base_name, find_targets
from trees import deep_below, make_deep

MANIFEST = "apiVersion: apps/v1\nkind: Deployment\n"


def made(directory: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text)
    return directory


def test_a_directory_is_searched_by_name_and_content(tmp_path):
    made(tmp_path, {
        "a/Dockerfile": "", "a/Dockerfile.dev": "", "a/web.dockerfile": "", "a/Containerfile": "",
        "b/compose.yaml": "", "b/docker-compose.prod.yml": "",
        "k/deploy.yaml": MANIFEST, "k/list.yml": "kind: List\napiVersion: v1\n",
        "k/quoted.yaml": '"apiVersion": v1\n"kind": "Pod"\n',
        "no/Dockerfile.md": "", "no/a.dockerignore": "", "no/service.yaml": "apiVersion: v1\nkind: Service\n",
        "no/services.yaml": "services: {}\n",
        "no/Dockerfile.dockerignore": "", ".hidden/Dockerfile": "", "x/node_modules/y/Dockerfile": "",
        "no/dockerfile.py": "",
    })  # fmt: skip
    (tmp_path / "no/link").symlink_to(tmp_path / "a/Dockerfile")
    found = find_targets(["."], tmp_path)
    assert [(target.shown, target.kind) for target in found.targets] == [
        ("a/Containerfile", "Dockerfile"), ("a/Dockerfile", "Dockerfile"), ("a/Dockerfile.dev", "Dockerfile"),
        ("a/web.dockerfile", "Dockerfile"),
        ("b/compose.yaml", "compose"), ("b/docker-compose.prod.yml", "compose"),
        ("k/deploy.yaml", "Kubernetes"), ("k/list.yml", "Kubernetes"), ("k/quoted.yaml", "Kubernetes"),
    ]  # fmt: skip
    assert found.notes == ()


def test_a_file_that_is_named_is_what_it_holds(tmp_path):
    made(tmp_path, {"image": "# x\nfrom debian\n", "stack.yml": "services:\n", "pod.yml": MANIFEST, "notes": "hello\n"})
    names = ("image", "stack.yml", "pod.yml")
    assert [target.kind for target in find_targets(names, tmp_path).targets] == ["Dockerfile", "compose", "Kubernetes"]
    with pytest.raises(UsageError, match="notes is no Dockerfile"):
        find_targets(["notes"], tmp_path)
    with pytest.raises(UsageError, match="there is no missing"):
        find_targets(["missing"], tmp_path)


def test_a_template_is_passed_over_with_a_note(tmp_path):
    made(tmp_path, {"chart/templates/web.yaml": MANIFEST + "image: {{ .Values.image }}\n"})
    made(tmp_path, {"Dockerfile": ""})
    found = find_targets([str(tmp_path)], tmp_path)
    assert [target.path.name for target in found.targets] == ["Dockerfile"]
    assert "is a template: lint what it renders to" in found.notes[0]


def test_base_definitions_are_told_from_services(tmp_path):
    made(tmp_path, {
        "base/formation.yaml": "# x\nname: acme/base # ours\nkind: base\n", "base/Dockerfile": "",
        "service/formation.yaml": "kind: service\nname: acme/x\n", "service/Dockerfile": "",
    })  # fmt: skip
    assert find_targets(["."], tmp_path).bases == ("acme/base",)
    assert find_targets(["base/Dockerfile", "service/Dockerfile"], tmp_path).bases == ("acme/base",)
    assert [base_name(tmp_path / name) for name in ("base", "service", "none")] == ["acme/base", None, None]


def test_a_file_that_is_named_twice_is_looked_at_once(tmp_path):
    made(tmp_path, {"a/Dockerfile": ""})
    assert len(find_targets(["a", "a/Dockerfile", "."], tmp_path).targets) == 1


def test_a_directory_with_nothing_to_look_at_is_an_error(tmp_path):
    made(
        tmp_path,
        {"full/Dockerfile": "", "empty/notes": "", "chart/web.yaml": MANIFEST + "image: {{ .Values.image }}\n"},
    )
    with pytest.raises(UsageError, match="empty has no Dockerfile, compose file or Kubernetes manifest"):
        find_targets(["full", "empty"], tmp_path)
    with pytest.raises(UsageError, match="chart has no Dockerfile") as caught:
        find_targets(["chart"], tmp_path)
    assert caught.value.hint.startswith("chart/web.yaml is a template")
    assert len(find_targets(["full", "full"], tmp_path).targets) == 1


def test_a_deep_directory_is_searched(tmp_path):
    with deep_below(tmp_path):
        (make_deep(tmp_path) / "Dockerfile").write_text("")
        assert len(find_targets(["."], tmp_path).targets) == 1
