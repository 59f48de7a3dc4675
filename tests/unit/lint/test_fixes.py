"""What `--fix` makes of a file: the repair, and every other character as it was."""

import pytest

from linting import COMPOSE, POD, SERVICE, after_fix


@pytest.mark.parametrize(
    ("line", "fixed"),
    [
        ("ADD --chown=a:b conf /etc/", "COPY --chown=a:b conf /etc/"),
        ("  add conf /etc/", "  COPY conf /etc/"),
        ("ADD https://x/y /y", "ADD https://x/y /y"),
        ("ADD a.tar.gz /a", "ADD a.tar.gz /a"),
        ("ADD conf* /etc/", "ADD conf* /etc/"),
        ("ADD --checksum=sha256:x conf /etc/", "ADD --checksum=sha256:x conf /etc/"),
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
def test_an_instruction_is_repaired_where_that_is_safe(line, fixed):
    text = SERVICE.replace("\nUSER", f"\n{line}\nUSER")
    assert after_fix(text) == SERVICE.replace("\nUSER", f"\n{fixed}\nUSER")


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


def test_lines_keep_their_ends():
    text = SERVICE.replace("\nUSER", "\nADD a /a\nRUN apt-get update\nUSER").replace("\n", "\r\n")
    fixed = after_fix(text)
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
