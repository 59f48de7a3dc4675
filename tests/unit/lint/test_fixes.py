"""What `--fix` makes of a file: the repair, and every other character as it was."""

import bz2
import gzip
import io
import lzma
import os
import tarfile

import pytest
import zstandard

from linting import COMPOSE, POD, SERVICE, after_fix


@pytest.fixture
def context(tmp_path):
    """A directory with files to copy, and a tar under names that do not tell: as it is, and compressed."""
    (tmp_path / "directory").mkdir()
    os.mkfifo(tmp_path / "pipe")
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("etc/conf"))
    tar = buffer.getvalue()
    for name, content in (
        ("conf", b"on\n" * 1000),
        ("a", b""),
        ("tar", tar),
        ("gz", gzip.compress(tar)),
        ("bz2", bz2.compress(tar)),
        ("xz", lzma.compress(tar)),
        ("zst", zstandard.compress(tar)),
    ):
        (tmp_path / name).write_bytes(content)
    return tmp_path


@pytest.mark.parametrize(
    ("line", "fixed"),
    [
        ("ADD --chown=a:b conf /etc/", "COPY --chown=a:b conf /etc/"),
        ("  add conf /etc/", "  COPY conf /etc/"),
        ("ADD https://x/y /y", "ADD https://x/y /y"),
        ("ADD a.tar.gz /a", "ADD a.tar.gz /a"),
        ("ADD conf* /etc/", "ADD conf* /etc/"),
        ("ADD --checksum=sha256:x conf /etc/", "ADD --checksum=sha256:x conf /etc/"),
        ("ADD directory /conf /etc/", "COPY directory /conf /etc/"),
        ("ADD missing /etc/", "ADD missing /etc/"),
        ("ADD conf tar /etc/", "ADD conf tar /etc/"),
        *((f"ADD {kind} /etc/", f"ADD {kind} /etc/") for kind in ("tar", "gz", "bz2", "xz", "zst", "pipe")),
        ("RUN apt-get update", "RUN apt-get update && rm -rf /var/lib/apt/lists/*"),
        ("RUN apt-get update \\\n # why\n ;", "RUN apt-get update \\\n # why\n ;"),
        ('RUN ["apt-get", "update"]', 'RUN ["apt-get", "update"]'),
        ("RUN <<EOF\napt-get update\nEOF", "RUN <<EOF\napt-get update\nEOF"),
        ("RUN if x; then apt-get update; fi", "RUN if x; then apt-get update; fi"),
        (
            "RUN apt-get update && \\\n    # curl\n    apt-get -y install \\\n    curl \\\n    jq",
            "RUN apt-get update && \\\n    # curl\n    apt-get -y install --no-install-recommends \\\n"
            "    curl \\\n    jq && rm -rf /var/lib/apt/lists/*",
        ),
    ],
)
def test_an_instruction_is_repaired_where_that_is_safe(line, fixed, context):
    text = SERVICE.replace("\nUSER", f"\n{line}\nUSER")
    assert after_fix(text, directory=context) == SERVICE.replace("\nUSER", f"\n{fixed}\nUSER")


@pytest.mark.parametrize(
    ("start", "fixed"),
    [
        ("ENTRYPOINT service --verbose  1", 'ENTRYPOINT ["service", "--verbose", "1"]'),
        ("CMD service", 'CMD ["service"]'),
        ("CMD service $OPTIONS", "CMD service $OPTIONS"),
        ("CMD exec service", "CMD exec service"),
        ("CMD a && b", "CMD a && b"),
        ("CMD 'a b'", "CMD 'a b'"),
        ("ENTRYPOINT service\nCMD x", "ENTRYPOINT service\nCMD x"),
    ],
)
def test_a_start_gets_its_exec_form_where_it_means_the_same(start, fixed):
    text = SERVICE.replace('ENTRYPOINT ["/usr/local/bin/service"]', start)
    assert after_fix(text) == SERVICE.replace('ENTRYPOINT ["/usr/local/bin/service"]', fixed)


def test_lines_keep_their_ends(context):
    text = SERVICE.replace("\nUSER", "\nADD a /a\nRUN apt-get update\nUSER").replace("\n", "\r\n")
    fixed = after_fix(text, directory=context)
    assert "COPY a /a\r\nRUN apt-get update && rm -rf /var/lib/apt/lists/*\r\nUSER" in fixed
    assert fixed.count("\r\n") == fixed.count("\n") == text.count("\n")


def test_what_is_ignored_is_not_repaired():
    text = SERVICE.replace("\nUSER", "\n# formation-lint ignore=FL040 it is what we test\nADD a /a\nUSER")
    assert after_fix(text) == text


OPTION = '    security_opt: ["no-new-privileges:true"]\n'


@pytest.mark.parametrize(
    ("text", "fixed"),
    [
        (COMPOSE.replace(OPTION, ""), COMPOSE.replace(OPTION, "").replace("    image", OPTION + "    image")),
        (
            "\ufeff# kept\r\nservices:\r\n  a:\r\n    # kept\r\n    image: x:1\r\n",
            "\ufeff# kept\r\nservices:\r\n  a:\r\n    # kept\r\n"
            + OPTION.replace("\n", "\r\n")
            + "    image: x:1\r\n",
        ),
        ("services: {a: {image: x:1}}\n", "services: {a: {image: x:1}}\n"),
        ("services:\n  a: &a\n    image: x:1\n  b: *a\n", f"services:\n  a: &a\n{OPTION}    image: x:1\n  b: *a\n"),
        (COMPOSE.replace(OPTION, "    security_opt: []\n"), COMPOSE.replace(OPTION, "    security_opt: []\n")),
    ],
)  # fmt: skip
def test_a_compose_service_gets_no_new_privileges(text, fixed):
    assert after_fix(text, "compose") == fixed


ESCALATION = "        allowPrivilegeEscalation: false\n"
UNSET_POD = POD.replace(ESCALATION, "")


@pytest.mark.parametrize(
    ("text", "fixed"),
    [
        (POD.replace(ESCALATION, ""), UNSET_POD.replace("        readOnly", ESCALATION + "        readOnly")),
        (
            "apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - name: a\n    image: x:1 # kept\n",
            "apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - name: a\n    securityContext:\n"
            "      allowPrivilegeEscalation: false\n    image: x:1 # kept\n",
        ),
        (POD.replace("calation: false", "calation: true"), POD.replace("calation: false", "calation: true")),
        (
            POD.replace(ESCALATION, "        privileged: true\n"),
            POD.replace(ESCALATION, "        privileged: true\n"),
        ),
    ],
)  # fmt: skip
def test_a_container_may_not_gain_privileges(text, fixed):
    assert after_fix(text, "Kubernetes") == fixed
