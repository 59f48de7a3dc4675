"""`formation audit` on real images: what ours have today, and a bad service that Docker built."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.network

BAD_SERVICE = """\
FROM formation/base:1.0.0
ARG DEPLOY_TOKEN=f3b1c2d4e5a6
COPY key.pem /app/key.pem
RUN rm /app/key.pem
RUN cp /usr/bin/cat /usr/local/bin/become && chmod 6755 /usr/local/bin/become && chmod 666 /etc/passwd
RUN useradd --password '$1$salt$qJH7.N4xYta3aEG/dfqo/0' me
RUN echo 'deb [trusted=yes] http://packages.example.com/debian sid main' > /etc/apt/sources.list
ENV DB_PASSWORD=hunter22
EXPOSE 22
CMD /usr/local/bin/become
"""
KEY = "-----BEGIN PRIVATE KEY-----\n" + "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSj" * 4 + "\n-----END PRIVATE KEY-----\n"


def told(command, *words, environment=None):
    """What `formation audit WORDS --json` told, with its exit code as `code`."""
    ended = command("audit", *words, "--json", environment=environment)
    assert ended.stdout, ended.stderr
    return {"code": ended.returncode, **json.loads(ended.stdout)}


def ids(report):
    return {finding["check"] for finding in report["findings"] if finding["severity"] != "info"}


def test_our_base_passes_the_strict_profile(base_image):
    report = told(base_image.command, base_image.reference, "--profile", "strict", "--definition", base_image.project)
    assert report["kind"] == "base"
    assert [each["check"] for each in report["not_checked"]] == ["attestation"]
    assert ids(report) == set()


def test_compilers_of_the_dev_variant_are_no_finding(dev_image):
    report = told(dev_image.command, dev_image.reference)
    # binutils is for trusted input only, says Debian's security support; compilers cannot do without.
    assert ids(report) <= {"unsupported"}
    assert "development-tool" in {each["check"] for each in report["not_checked"]}


@pytest.mark.parametrize("name", ["form-dns", "form-api"])
def test_our_services_pass_the_strict_profile(name, services, base_project, formation, tmp_path):
    directory = Path(shutil.copytree(services / name, tmp_path / name))
    # The revision is that of a checkout in which nothing is edited.
    for words in (("init", "-q"), ("add", "-A"), ("-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "one")):
        subprocess.run(["git", "-C", directory, *words], check=True)
    formation.succeed("build", directory)
    words = ("--profile", "strict", "--definition", directory, "--definition", base_project)
    report = told(formation, f"formation/{name}:1.0.0", *words)
    assert report["kind"] == "service"
    assert ids(report) == set()
    excepted = {finding["check"] for finding in report["excepted"]}
    assert excepted == ({"privileged-port"} if name == "form-dns" else set())


@pytest.mark.root
def test_a_bad_service_is_told_everything_with_the_layer_that_has_it(docker, base_image, tmp_path):
    base_image.load(docker)
    (tmp_path / "Dockerfile").write_text(BAD_SERVICE)
    (tmp_path / "key.pem").write_text(KEY)
    docker.run("build", "--network", "none", "-t", "formation/audited:1", tmp_path)
    report = told(base_image.command, "docker-daemon:formation/audited:1", environment=docker.environment)
    assert report["code"] == 1
    assert ids(report) >= {
        *("user-root", "secret-variable", "secret-history", "privileged-port", "shell-command", "setuid-file"),
        *("account-file-mode", "password-hash", "secret-file", "apt-source", "base-unknown"),
    }
    (key,) = [finding for finding in report["findings"] if finding["check"] == "secret-file"]
    assert key["path"] == "/app/key.pem" and "a later layer removes it" in key["message"]
    assert key["layer"] == len(base_image.image.manifest.layers)
