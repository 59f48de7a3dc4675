"""The dev image builds what the runtime image runs: every library of the base, with both compilers and protoc."""

import pytest

pytestmark = [pytest.mark.network, pytest.mark.xdist_group("podman")]

PACKAGES = (
    "dbus-1 fuse3 libbpf libnetfilter_queue libnl-3.0 libnl-route-3.0 libseccomp libssl liburing libudev sqlite3 zlib"
)
"""What pkg-config calls the libraries of the base image, besides protobuf."""

PROGRAM = r"""
#define FUSE_USE_VERSION 31
#include <netinet/in.h>
#include <bpf/libbpf.h>
#include <dbus/dbus.h>
#include <fuse.h>
#include <libnetfilter_queue/libnetfilter_queue.h>
#include <liburing.h>
#include <libudev.h>
#include <linux/netfilter.h>
#include <netlink/netlink.h>
#include <netlink/route/link.h>
#include <openssl/ssl.h>
#include <seccomp.h>
#include <sqlite3.h>
#include <stdio.h>
#include <zlib.h>

int main(void)
{
    int dbus[3];
    sqlite3 *database;
    sqlite3_stmt *statement;
    dbus_get_version(&dbus[0], &dbus[1], &dbus[2]);
    if (sqlite3_open(":memory:", &database) != SQLITE_OK
        || sqlite3_prepare_v2(database, "select 6 * 7", -1, &statement, NULL) != SQLITE_OK
        || sqlite3_step(statement) != SQLITE_ROW || sqlite3_column_int(statement, 0) != 42)
        return 1;
    if (!SSL_CTX_new(TLS_client_method()) || !seccomp_init(SCMP_ACT_ALLOW) || !udev_new())
        return 2;
    if (!nl_socket_alloc() || !rtnl_link_alloc() || crc32(0, (const Bytef *)"a", 1) != 0xe8b7be43)
        return 3;
    if (fuse_version() < 300 || libbpf_major_version() < 1 || io_uring_major_version() < 2 || dbus[0] != 1)
        return 4;
    printf("nfq at %s\n", nfq_errno == 0 ? "rest" : "work");
    return 0;
}
"""

SCHEMA = 'syntax = "proto3"; message Flow { string peer = 1; uint32 port = 2; }'

SERVICE = r"""
#include "flow.pb.h"
#include <iostream>

int main()
{
    Flow flow, read;
    flow.set_peer("dns");
    flow.set_port(53);
    std::cout << (read.ParseFromString(flow.SerializeAsString()) ? read.peer() : "?") << read.port() << std::endl;
}
"""


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A directory with the sources, which containers see as /work."""
    directory = tmp_path_factory.mktemp("work")
    # The container's users must reach it.
    directory.chmod(0o755)
    for name, text in {"program.c": PROGRAM, "flow.proto": SCHEMA, "service.cc": SERVICE}.items():
        (directory / name).write_text(text)
    return directory


@pytest.fixture(scope="module")
def run(podman, work):
    """Runs a shell script in /work of a new container of an image."""

    def run(image, script, *options):
        words = ("run", "--rm", "--volume", f"{work}:/work", "--workdir", "/work", *options, image, "sh", "-ec", script)
        return podman.run(*words).stdout

    return run


@pytest.fixture(scope="module")
def runtime(podman, base_image):
    """The reference of the runtime image in Podman."""
    return base_image.load(podman)


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_a_program_of_every_library_is_compiled_and_runs_on_the_runtime_image(run, dev, runtime, compiler):
    run(dev, f"{compiler} -Wall -Werror -o {compiler}-program program.c $(pkg-config --cflags --libs {PACKAGES})")
    assert run(runtime, f"./{compiler}-program", "--user", "formation") == "nfq at rest\n"


def test_protobuf_is_generated_compiled_and_runs_on_the_runtime_image(run, dev, runtime):
    run(
        dev,
        "protoc --cpp_out=. flow.proto; g++ -o service service.cc flow.pb.cc $(pkg-config --cflags --libs protobuf)",
    )
    assert run(runtime, "./service", "--user", "formation") == "dns53\n"


def test_the_dev_image_has_the_tools_of_a_builder(run, dev):
    run(
        dev,
        "make --version; llvm-config --version; clang++ --version; dpkg-buildpackage --version; pkg-config --version",
    )
    assert run(dev, "dpkg --audit; apt-get check > /dev/null") == ""
    assert "builder" not in run(dev, "getent passwd")


def test_bpf_programs_are_compiled(run, dev):
    source = '#include <linux/bpf.h>\n#include <bpf/bpf_helpers.h>\nSEC("xdp") int pass(void *c) { return XDP_PASS; }\n'
    script = f"printf '%s' '{source}' > pass.c; clang -O2 -target bpf -I/usr/include/x86_64-linux-gnu -c pass.c"
    assert "xdp" in run(dev, f"{script}; llvm-objdump --section-headers pass.o")


def test_the_runtime_image_has_no_compiler_and_no_headers(run, runtime):
    found = run(
        runtime, "command -v gcc cc clang ld as make protoc pkg-config || true; find /usr/include -name stdio.h"
    )
    assert found == ""
