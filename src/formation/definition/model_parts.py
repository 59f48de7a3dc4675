"""What the models of formation.yaml are made of: types of single values, and the mapping that takes no unknown key."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, WithJsonSchema

from formation.definition import grammar, path_grammar


def text_like(pattern: str, *, numbers: bool = False) -> WithJsonSchema:
    """What editors check a text by; `numbers` tells that a whole number will do as well."""
    text: dict[str, Any] = {"type": "string", "pattern": pattern}
    return WithJsonSchema({"anyOf": [text, {"type": "integer", "minimum": 0}]} if numbers else text)


AccountName = Annotated[str, AfterValidator(grammar.account_name), text_like(grammar.ACCOUNT)]
AccountId = Annotated[
    int,
    AfterValidator(grammar.account_id),
    WithJsonSchema({"type": "integer", "minimum": 1, "maximum": grammar.HIGHEST_ID}),
]
Owner = Annotated[str, BeforeValidator(grammar.owner), text_like(grammar.OWNER, numbers=True)]
ImagePath = Annotated[str, AfterValidator(path_grammar.path), text_like(path_grammar.PATH)]
Home = Annotated[str, AfterValidator(path_grammar.home), text_like(path_grammar.PATH)]
Shell = Annotated[str, AfterValidator(path_grammar.shell), text_like(path_grammar.PATH)]
Mode = Annotated[int, BeforeValidator(grammar.mode), text_like(grammar.MODE, numbers=True)]
Request = Annotated[str, AfterValidator(grammar.request), text_like(rf"{grammar.REQUEST}|{grammar.LEFT_OUT}")]
PackageName = Annotated[str, AfterValidator(grammar.package_name), text_like(grammar.PACKAGE_NAME)]
ArchiveWord = Annotated[str, AfterValidator(grammar.archive_word), text_like(grammar.ARCHIVE_WORD)]
Glob = Annotated[str, AfterValidator(grammar.glob), text_like(grammar.GLOB)]
Name = Annotated[str, AfterValidator(grammar.file_stem), text_like(grammar.FILE_STEM)]
VariantName = Annotated[str, AfterValidator(grammar.variant_name), text_like(grammar.VARIANT)]
EnvironmentName = Annotated[str, AfterValidator(grammar.environment_name), text_like(grammar.ENVIRONMENT)]
LabelName = Annotated[str, AfterValidator(grammar.label_name)]
TextValue = Annotated[
    str, BeforeValidator(grammar.text_value), WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "integer"}]})
]
Command = Annotated[
    list[str],
    BeforeValidator(grammar.command),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]
Architecture = Literal["amd64", "arm64", "armhf", "i386", "ppc64el", "riscv64", "s390x"]


class Entry(BaseModel):
    """A mapping in a definition. Nothing is converted: text stays text, and an unknown key is an error."""

    # Only whole definitions are validated; building the validators of the rest by themselves doubles the start time.
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, defer_build=True)
