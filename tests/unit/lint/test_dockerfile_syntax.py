"""Reading Dockerfiles as BuildKit does, whatever they are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockerfile_pieces import LIKE_DOCKERFILES
from formation.lint.dockerfile import paths_of, read_dockerfile
from formation.lint.dockerfile_syntax import Instruction, Syntax, parse_syntax
from formation.lint.shell import commands_of
from formation.lint.text import Text, decode
from formation.lint.variables import expanded
from hostile import hostile


def parsed(text: str) -> Syntax:
    return parse_syntax(Text("Dockerfile", text))


def only(text: str) -> Instruction:
    (instruction,) = parsed(text).instructions
    return instruction


def values(text: str) -> list[tuple[str, str]]:
    return [(each.keyword, each.value.text) for each in parsed(text).instructions]


def test_continued_lines_are_joined_without_the_comments_between_them():
    text = "# first\nrun a \\\n  # second\n\n  b\\\n c\n  # third\nUSER x"
    assert values(text) == [("RUN", "a   b c"), ("USER", "x")]
    assert [(each.line, each.text) for each in parsed(text).comments] == [
        (1, "# first"),
        (3, "# second"),
        (7, "# third"),
    ]
    run = parsed(text).instructions[0]
    assert (run.line, run.end_line) == (2, 6)


def test_every_character_of_a_joined_instruction_knows_its_place():
    text = "RUN --mount=type=cache,target=/x a \\\n # why\n   b \\\n c"
    value = only(text).value
    for index, character in enumerate(value.text):
        assert text[value.offset(index)] == character


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("RUN a \\ \t\nb", "a b"),
        ("RUN a \\\\\nRUN b", "a \\\\"),
        ("RUN a \\\r\n b\r\n", "a  b"),
        ("RUN \\\n\\\nb", "b"),
        ("# escape=`\nRUN C:\\ `\nb", "C:\\ b"),
        ("#Escape = `\n# syntax=x\nRUN a\\\n", "a\\"),
        ("# a comment\n# escape=`\nRUN a\\\nb", "ab"),
        ("RUN a \\", "a "),
    ],
)
def test_lines_end_where_buildkit_ends_them(text, value):
    assert parsed(text).instructions[0].value.text == value


def test_a_wrong_escape_directive_is_told():
    assert parsed("# escape=x\nRUN a").problems == ((0, "the escape character is ` or \\"),)


def test_flags_are_not_part_of_the_value():
    instruction = only('COPY --from=build --chown=a:b --link --exclude="a b" x --y /z')
    assert [(each.name, each.value) for each in instruction.flags] == [
        ("from", "build"), ("chown", "a:b"), ("link", ""), ("exclude", "a b"),
    ]  # fmt: skip
    assert instruction.value.text == "x --y /z"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ('["a", "b c"]', ("a", "b c")),
        ("[]", ()),
        ('[ "a" ]', ("a",)),
        ('["a", 1]', None),
        ("['a']", None),
        ('["a"] b', None),
        ("[" * 100_000, None),
        ("a", None),
    ],
)
def test_the_json_form_is_what_json_says(value, words):
    assert only(f"CMD {value}").words == words


@pytest.mark.parametrize(
    ("text", "bodies"),
    [
        ("RUN <<EOF\na\n# no comment\nEOF\nUSER x", ["a\n# no comment\n"]),
        ("RUN <<-'EOF' cat\n\ta\n\tEOF\n", ["\ta\n"]),
        ("COPY <<a <<b /\nA\na\nB\nb\n", ["A\n", "B\n"]),
        ("RUN cat <<EOF \\\n && x\na\nEOF", ["a\n"]),
        ("RUN echo \"<<EOF\" '<<X'", []),
        ("RUN cat <<<EOF", []),
        ("RUN echo $((1<<2))\nUSER x", []),
        ("CMD <<EOF", []),
        ("RUN <<EOF\r\na\r\nEOF\r\nUSER x", ["a\r\n"]),
        ("ONBUILD RUN <<EOF\na\nEOF\nUSER x", ["a\n"]),
    ],
)
def test_heredocs_end_at_their_name(text, bodies):
    syntax = parsed(text)
    assert [heredoc.body.text for heredoc in syntax.instructions[0].heredocs] == bodies
    if "USER" in text:
        assert syntax.instructions[-1].keyword == "USER"
    assert syntax.problems == ()


def test_onbuild_is_the_instruction_that_it_triggers():
    instruction = only("ONBUILD  copy --chown=a x /y")
    assert (instruction.keyword, instruction.value.text, instruction.onbuild) == ("COPY", "x /y", True)
    assert [reason for _, reason in parsed("ONBUILD ONBUILD RUN x").problems] != []


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("$A", "a"),
        ("${A}x", "ax"),
        ("\\$A", "$A"),
        ("'$A'", "$A"),
        ('"$A"', "a"),
        ("${B:-x$A}", "xa"),
        ("${B-${C:-c}}", "c"),
        ("${EMPTY:-x}", "x"),
        ("${EMPTY-x}", ""),
        ("${A:+b}", "b"),
        ("${B:+b}", ""),
        ("${A:?no}", "a"),
        ("$B", None),
        ("${B:?no}", None),
        ("${A%x}", None),
        ("${A", None),
        ("$", None),
        ("${" * 5000, None),
    ],
)
def test_variables_are_expanded_as_docker_does(word, value):
    assert expanded(word, {"A": "a", "B": None, "EMPTY": ""}) == value


def test_variables_that_double_each_other_do_not_fill_the_memory():
    lines = ["ARG A0=xxxxxxxx", *(f"ARG A{number + 1}=$A{number}$A{number}" for number in range(64))]
    file = read_dockerfile(parsed("\n".join([*lines, "FROM $A64"])))
    assert file.stages[0].image is None
    assert read_dockerfile(parsed("\n".join([*lines, "FROM $A3"]))).stages[0].image == "x" * 64


def test_stages_stand_on_each_other():
    text = "ARG V=1\nFROM a:$V AS One\nARG V\nENV U=$V\nFROM b\nFROM --platform=$BUILDPLATFORM one\nUSER $U"
    file = read_dockerfile(parsed(text))
    assert [(stage.name, stage.image, stage.parent) for stage in file.stages] == [
        ("one", "a:1", None), ("", "b", None), ("", "one", 0),
    ]  # fmt: skip
    assert [file.stages.index(stage) for stage in file.shipped] == [0, 2]
    assert file.shipped[-1].variables["U"] == "1"


def test_a_stage_s_name_means_the_stage_before_and_else_an_image():
    (stage,) = read_dockerfile(parsed("FROM x AS x")).stages
    assert stage.parent is None


@pytest.mark.parametrize(
    ("run", "commands"),
    [
        ("a b && c; d | e || f & g", ["a", "c", "d", "e", "f", "g"]),
        ("if a; then b; else c; fi", ["a", "b", "c", "fi"]),
        ("X=1 /usr/bin/env Y=2 sudo a 'b; c' \"d && e\" $(f; g)", ["a"]),
        ("set -eux; \\\n    a; \\\n    b", ["set", "a", "b"]),
        ("(a; { b; })", ["a", "b"]),
        ("a # b; c", ["a"]),
        ("a {b,c} ${d}", ["a"]),
        ('["a", "b; c"]', ["a"]),
        ('["/bin/sh", "-c", "a; b"]', ["a", "b"]),
        ("<<EOF\na\nb; c\nEOF", ["a", "b", "c"]),
        ("a 'unfinished; b", ["a", "b"]),
    ],
)
def test_a_script_is_its_commands(run, commands):
    assert [command.program for command in commands_of(only(f"RUN {run}"))] == commands


def test_words_of_a_command_know_their_place():
    text = "RUN a && \\\n  apt-get \\\n # x\n 'install' curl"
    (_, command) = commands_of(only(text))
    assert [text[word.start : word.end] for word in command.arguments] == ["'install'", "curl"]


def test_paths_of_a_copy():
    assert paths_of(only("COPY a 'b c' /d/")) == (("a", "b c"), "/d/")
    assert paths_of(only('COPY ["a", "b c", "/d"]')) == (("a", "b c"), "/d")
    assert paths_of(only("COPY <<X a /d\nX")) == (("a",), "/d")
    assert paths_of(only("COPY 'a")) == ((), "")


@hostile
@given(st.one_of(LIKE_DOCKERFILES, st.binary(max_size=300).map(lambda data: data.decode(errors="surrogateescape"))))
def test_whatever_a_dockerfile_is_each_character_is_found_where_it_is(content):
    text = Text("Dockerfile", content)
    syntax = parse_syntax(text)
    read_dockerfile(syntax)
    for instruction in syntax.instructions:
        assert 1 <= instruction.line <= instruction.end_line <= len(text.starts)
        for part in (instruction.value, *(heredoc.body for heredoc in instruction.heredocs)):
            assert part.text == "".join(content[part.offset(index)] for index in range(len(part.text)))
        if instruction.keyword == "RUN":
            for command in commands_of(instruction):
                assert all(0 <= word.start <= word.end <= len(content) for word in command.arguments)


@hostile
@given(st.binary(max_size=200))
def test_bytes_that_are_not_utf_8_survive(data):
    assert decode("x", data).content.encode("utf-8", "surrogateescape") == data
