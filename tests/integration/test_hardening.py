"""The base is hard to misuse, stays so when its packages are upgraded, and what people want of it still works."""

import pytest

from formation.debian.statoverrides import FILE, parse_statoverrides
from trees import image_tree

pytestmark = pytest.mark.network

PRIVILEGED = "find / -xdev -type f -perm /6000"
UPDATE = "apt-get update -qq && apt-get install -y -qq --no-install-recommends"
PING = ("--sysctl", "net.ipv4.ping_group_range=0 2147483647")
"""As Docker and most hosts have it by default, and Podman has not."""

AS_ANOTHER = """
echo 'formation ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/test
setpriv --reuid formation --regid formation --clear-groups sudo -n id -u
"""
LOG_IN = """
useradd --create-home --shell /bin/sh tester
install -d -m 0700 -o tester -g tester /home/tester/.ssh
ssh-keygen -q -t ed25519 -N '' -f /tmp/key
install -m 0600 -o tester -g tester /tmp/key.pub /home/tester/.ssh/authorized_keys
mkdir -p /run/sshd
/usr/sbin/sshd -o ListenAddress=127.0.0.1 -p 44322 -o PidFile=/tmp/sshd.pid
log_in='ssh -p 44322 -i /tmp/key -o StrictHostKeyChecking=no -o ConnectionAttempts=30 -o LogLevel=ERROR'
$log_in tester@127.0.0.1 'id -un'
kill "$(cat /tmp/sshd.pid)"
"""


@pytest.fixture
def shell(engine, base):
    """Runs a shell script in a new container of the base image and gives its stdout; it must succeed."""

    def shell(script, *options):
        return engine.run("run", "--rm", "--network", "host", *options, base, "sh", "-ec", script).stdout

    return shell


def test_no_program_gives_its_owners_rights_and_dpkg_agrees(shell):
    assert shell(PRIVILEGED) == ""
    overrides = set(shell("cat /var/lib/dpkg/statoverride").splitlines())
    assert "root root 755 /usr/bin/mount" in overrides
    script = "dpkg-statoverride --list | while read -r owner group mode path; do stat -c '%U %G %a %n' $path; done"
    assert set(shell(script).splitlines()) == overrides


def test_bits_stay_removed_when_packages_are_unpacked_again(shell):
    packages = "passwd mount util-linux login openssh-client libpam-modules-bin base-files"
    script = f"apt-get update -qq && apt-get install -y -qq --reinstall {packages} > /tmp/log 2>&1 && {PRIVILEGED}"
    assert shell(script) == ""


def test_sudo_and_sshd_work_for_those_who_install_them(shell):
    # What a person does with them is in one container: to install them takes longest.
    said = shell(f"{UPDATE} sudo openssh-server > /tmp/log 2>&1; stat -c %a /usr/bin/sudo; {AS_ANOTHER} {LOG_IN}")
    assert said.splitlines() == ["4755", "0", "tester"]


def test_a_service_pings_and_writes_its_logs_as_an_ordinary_user(engine, base):
    script = "ping -c 1 -q 127.0.0.1 | grep -o '1 received'; echo started > /var/log/formation/log; id -un"
    options = ("--network", "none", *PING, "--user", "formation", "--cap-drop", "all")
    said = engine.run("run", "--rm", *options, base, "sh", "-ec", script).stdout
    assert said.split("\n") == ["1 received", "formation", ""]


def test_accounts_of_debian_have_no_shell_and_no_password(shell):
    shells = dict(line.split(":")[::6] for line in shell("cat /etc/passwd").splitlines())
    assert {name for name, program in shells.items() if not program.endswith("/nologin")} == {"root"}
    passwords = {line.split(":")[1] for line in shell("cat /etc/shadow").splitlines()}
    assert passwords == {"*", "!"}


def test_apt_refuses_what_is_not_signed(shell):
    script = """
    echo 'deb [allow-insecure=no] file:/tmp/unsigned ./' > /etc/apt/sources.list.d/unsigned.list
    mkdir /tmp/unsigned && : > /tmp/unsigned/Packages
    apt-get update -o Dir::Etc::SourceParts=/dev/null -o Dir::Etc::SourceList=/etc/apt/sources.list.d/unsigned.list \
      2>&1 || echo "ended with $?"
    """
    said = shell(script)
    assert "is not signed" in said or "does not have a Release file" in said
    assert said.endswith("ended with 100\n")


def test_the_dev_variant_has_no_privileged_program_either(dev_image):
    tree = image_tree(dev_image.image)
    assert [path for path, record in tree.items() if record.type == "file" and record.mode & 0o6000] == []
    assert "/usr/bin/su" in {each.path for each in parse_statoverrides(tree[FILE].content)}
