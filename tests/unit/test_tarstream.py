"""Our tar writer and reader against the standard library's, and the reader against broken archives."""

import io
import tarfile

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from formation.entry import Entry, decode_path, encode_path
from formation.errors import MalformedError
from formation.oci.tar import END_OF_ARCHIVE, header
from formation.tarstream import BLOCK, padding, read_tar, sum_of_bytes
from hostile import hostile

_names = st.binary(min_size=1, max_size=120).filter(lambda name: name.strip(b".") and not {0, ord("/")} & set(name))
_paths = st.lists(_names, min_size=1, max_size=5).map(lambda names: decode_path(b"/".join(names)))
_contents = st.binary(max_size=2000)
_TYPES = {
    "file": tarfile.REGTYPE,
    "directory": tarfile.DIRTYPE,
    "symlink": tarfile.SYMTYPE,
    "hardlink": tarfile.LNKTYPE,
    "character": tarfile.CHRTYPE,
    "block": tarfile.BLKTYPE,
    "fifo": tarfile.FIFOTYPE,
}


@st.composite
def _entries(draw: st.DrawFn) -> tuple[Entry, bytes]:
    type_ = draw(st.sampled_from(list(_TYPES)))
    content = draw(_contents) if type_ == "file" else b""
    xattrs = draw(
        st.dictionaries(st.sampled_from(["user.a", "security.capability"]), st.binary(max_size=30), max_size=2)
    )
    number = st.integers(0, 255)
    entry = Entry(
        path=draw(_paths),
        type=type_,
        mode=draw(st.integers(0, 0o7777)),
        uid=draw(st.integers(0, 2**32 - 2)),
        gid=draw(st.integers(0, 2**32 - 2)),
        mtime=draw(st.integers(-(2**36), 2**36)),
        size=len(content),
        target=draw(_paths) if type_ in ("symlink", "hardlink") else "",
        xattrs=tuple(sorted(xattrs.items())),
        device=draw(st.tuples(number, number)) if type_ in ("character", "block") else (0, 0),
    )
    return entry, content


def written(entries: list[tuple[Entry, bytes]]) -> bytes:
    parts = [header(entry) + content + bytes(padding(entry.size)) for entry, content in entries]
    return b"".join(parts) + END_OF_ARCHIVE


@given(st.lists(_entries(), max_size=6))
def test_the_standard_library_reads_what_we_write(entries: list[tuple[Entry, bytes]]) -> None:
    with tarfile.open(fileobj=io.BytesIO(written(entries)), encoding="utf-8", errors="surrogateescape") as archive:
        members = archive.getmembers()
        assert len(members) == len(entries)
        for member, (entry, content) in zip(members, entries, strict=True):
            assert encode_path(member.name) == encode_path(entry.path)
            assert (member.type, member.mode) == (_TYPES[entry.type], entry.mode)
            assert (member.uid, member.gid, member.mtime) == (entry.uid, entry.gid, entry.mtime)
            assert (member.uname, member.gname) == ("", "")
            assert encode_path(member.linkname) == encode_path(entry.target)
            assert (member.devmajor, member.devminor) == entry.device
            if entry.type == "file":
                assert archive.extractfile(member).read() == content


@pytest.mark.parametrize("tar_format", [tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_the_names_of_owners_are_read_beside_their_numbers(tar_format: int) -> None:
    info = tarfile.TarInfo("a")
    info.uname, info.gname, info.uid = "u" * 32, "", 7
    data = info.tobuf(tar_format) + bytes(1024)
    ((entry, _),) = read_tar([data], "it")
    assert (entry.names, entry.uid) == (("u" * 32, ""), 7)
    # In the format before ustar nothing is there.
    old = bytearray(data)
    old[257:265] = bytes(8)
    old[148:156] = b"%06o\0 " % (sum(old[:148]) + sum(old[156:512]) + 8 * 32)
    ((entry, _),) = read_tar([bytes(old)], "it")
    assert entry.names == ("", "")


@given(st.lists(_entries(), max_size=6), st.integers(1, 3000))
def test_we_read_what_we_write_however_it_is_cut_into_chunks(entries: list[tuple[Entry, bytes]], step: int) -> None:
    data = written(entries)
    chunks = (data[start : start + step] for start in range(0, len(data), step))
    assert [(entry, b"".join(content)) for entry, content in read_tar(chunks, "it")] == entries


@given(st.lists(_entries(), max_size=4), st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]))
def test_we_read_what_the_standard_library_writes(entries: list[tuple[Entry, bytes]], tar_format: int) -> None:
    buffer = io.BytesIO()
    with tarfile.open(
        fileobj=buffer, mode="w", format=tar_format, encoding="utf-8", errors="surrogateescape"
    ) as archive:
        for entry, content in entries:
            info = tarfile.TarInfo(entry.path)
            info.type, info.mode, info.uid, info.gid = _TYPES[entry.type], entry.mode, entry.uid, entry.gid
            info.mtime, info.size, info.linkname = entry.mtime, entry.size, entry.target
            info.devmajor, info.devminor = entry.device
            archive.addfile(info, io.BytesIO(content))
    found = [(entry, b"".join(content)) for entry, content in read_tar([buffer.getvalue()], "it")]
    assert [_plain(entry) for entry, _ in found] == [_plain(entry) for entry, _ in entries]
    assert [content for _, content in found] == [content for _, content in entries]


def _plain(entry: Entry) -> tuple[object, ...]:
    return entry.path, entry.type, entry.mode, entry.uid, entry.gid, entry.mtime, entry.size, entry.target, entry.device


@hostile
@given(st.binary(max_size=3000))
def test_no_bytes_make_the_reader_do_anything_but_refuse(data: bytes) -> None:
    with pytest.raises(MalformedError):
        list(read_tar([data + b"\1"], "it"))


@hostile
@given(st.lists(_entries(), min_size=1, max_size=3), st.data())
def test_one_changed_byte_gives_entries_or_a_refusal(entries: list[tuple[Entry, bytes]], data: st.DataObject) -> None:
    whole = bytearray(written(entries))
    whole[data.draw(st.integers(0, len(whole) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        for entry, content in read_tar([bytes(whole)], "it"):
            assert ".." not in entry.path.split("/")
            assert sum(map(len, content)) == entry.size
    except MalformedError:
        pass


@given(st.binary(min_size=512, max_size=512))
@example(b"\xff" * 512)
@example(bytes(512))
def test_the_bytes_of_a_header_are_added_up(block: bytes) -> None:
    assert sum_of_bytes(block) == sum(block)


def test_a_plain_entry_takes_one_block_of_ustar() -> None:
    block = header(Entry("usr/bin/a", "file", 0o755, size=3))
    assert len(block) == BLOCK
    assert block[257:265] == b"ustar\x0000"


def test_a_long_path_is_split_where_ustar_can() -> None:
    assert len(header(Entry("d" * 120 + "/" + "f" * 90, "file", 0o644))) == BLOCK
    assert len(header(Entry("f" * 101, "file", 0o644))) == 3 * BLOCK


def test_sizes_beyond_ustar_are_in_the_pax_header() -> None:
    large = Entry("a", "file", 0o644, size=8 << 30)
    with tarfile.open(fileobj=io.BytesIO(header(large)), mode="r|", ignore_zeros=True) as archive:
        assert archive.next().size == 8 << 30


def test_the_order_of_xattrs_does_not_matter() -> None:
    one = Entry("a", "file", 0o644, xattrs=(("user.b", b"2"), ("user.a", b"1")))
    other = Entry("a", "file", 0o644, xattrs=(("user.a", b"1"), ("user.b", b"2")))
    assert header(one) == header(other)


def test_a_global_pax_header_that_sets_fields_is_refused() -> None:
    buffer = io.BytesIO()
    with tarfile.open(
        fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT, pax_headers={"path": "etc/passwd"}
    ) as archive:
        archive.addfile(tarfile.TarInfo("a"))
    with pytest.raises(MalformedError, match="global"):
        list(read_tar([buffer.getvalue()], "it"))


@pytest.mark.parametrize("field", [{"uid": 2**32}, {"gid": 2**63}, {"mtime": 2**50}, {"mtime": -(2**50)}])
def test_numbers_that_no_system_call_takes_are_refused(field: dict[str, int]) -> None:
    data = header(Entry("a", "file", 0o644, **field)) + END_OF_ARCHIVE
    with pytest.raises(MalformedError, match="no file has"):
        list(read_tar([data], "it"))


@pytest.mark.parametrize(
    "record", [b"", b"x", b"12", b"5 a=b", b"99 path=b\n", b"0 path=b\n", b"-1 path=b\n", b"9 path b\n", b"4 a=b\n"]
)
def test_malformed_pax_records_are_refused(record: bytes) -> None:
    info = tarfile.TarInfo("pax")
    info.type, info.size = tarfile.XHDTYPE, len(record) + 4
    extended = info.tobuf(tarfile.USTAR_FORMAT) + (record + b"4 a=").ljust(BLOCK, b"\0")
    with pytest.raises(MalformedError, match="malformed record"):
        list(read_tar([extended + header(Entry("a", "file", 0o644)) + END_OF_ARCHIVE], "it"))


def test_memory_stays_bounded_for_a_huge_declared_size() -> None:
    huge = header(Entry("a", "file", 0o644, size=1 << 40))
    with pytest.raises(MalformedError, match="cut off"):
        for _, content in read_tar([huge, b"x" * 1000], "it"):
            list(content)


@pytest.mark.parametrize(
    ("change", "heard"),
    [
        ({"name": "../out"}, "leads out"),
        ({"name": "/abs"}, "not a relative path"),
        ({"type": b"Q"}, "unknown tar type"),
        ({"pax_headers": {"GNU.sparse.major": "1"}}, "sparse"),
    ],
)
def test_a_judge_hears_what_is_odd_and_the_reader_goes_on(change: dict[str, object], heard: str) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for attributes in (change, {"name": "last"}):
            member = tarfile.TarInfo("odd")
            member.size = 3
            for name, value in attributes.items():
                setattr(member, name, value)
            archive.addfile(member, io.BytesIO(b"abc"))
    messages: list[str] = []
    found = [(entry.path, b"".join(content)) for entry, content in read_tar([buffer.getvalue()], "it", messages.append)]
    assert len(messages) == 1 and heard in messages[0]
    assert found[-1] == ("last", b"abc") and not found[0][0].startswith(("/", ".."))
    with pytest.raises(MalformedError, match=heard):
        list(read_tar([buffer.getvalue()], "it"))
