"""Texts that are nearly Dockerfiles, for property tests."""

from hypothesis import strategies as st

_PIECES = (
    ["FROM ", "a:1", " AS x", "\n", "\\\n", "# c\n", "RUN ", "<<EOF", "<<-'E'", "EOF", "E", "$A", "${A:-", "}",
     "ARG A=",
     "'", '"', "`", "# escape=`\n", "ONBUILD ", "COPY ", "ADD ", "--from=", "[", "]", '"a",', "\t", "\r\n", " ", "&&",
     ";", "USER ", "ENV ", "a=b", "apt-get update", "apt-get install ", "x=1 ", "\udcff", "\x00", "\ufeff", "\u2028",
     "\x85", "é", "VOLUME ", "WORKDIR ", "CMD ", "ENTRYPOINT ", "chmod 1 /a", "{", "(",
     "# formation-lint ignore=FL010\n"]
)  # fmt: skip
LIKE_DOCKERFILES = st.lists(st.sampled_from(_PIECES), max_size=40).map("".join)
