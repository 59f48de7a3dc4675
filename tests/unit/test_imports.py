"""The packages of Formation import downward only, and siblings that are blind to each other stay so (STYLE.md)."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "formation"

# Lowest first. A package imports from its own floor's own package and from the floors below; packages on one floor are
# blind to each other, except on the ground floor, whose modules are the vocabulary and plumbing of all.
FLOORS: tuple[frozenset[str], ...] = (
    frozenset(
        {
            "formation",
            "errors",
            "dataclass",
            "digest",
            "files",
            "progress",
            "network",
            "entry",
            "garbage",
            "logins",
            "sarif",
            "tarstream",
        }
    ),
    frozenset({"debian", "oci"}),
    frozenset({"engines"}),
    frozenset({"store"}),
    frozenset({"contents"}),
    frozenset({"registry"}),
    frozenset({"definition"}),
    frozenset({"lock"}),
    frozenset({"install"}),
    frozenset({"build"}),
    frozenset({"contract"}),
    frozenset({"security", "lint"}),
    frozenset({"release"}),
    frozenset({"fleet"}),
    frozenset({"cli"}),
    frozenset({"__main__"}),
)

# Consumers of an Image take it from any source and never know how it was made.
FORBIDDEN = frozenset(
    (consumer, maker)
    for consumer in ("contents", "registry", "contract", "security", "lint")
    for maker in ("install", "build")
)


def floor_of(package: str) -> int | None:
    return next((number for number, packages in enumerate(FLOORS) if package in packages), None)


def package_of(module: str) -> str:
    """`debian` for `formation.debian.version`; `formation` for the root package itself."""
    return module.split(".")[1] if "." in module else "formation"


def imported_modules(tree: ast.AST, package: str) -> Iterator[tuple[int, str]]:
    """Line and absolute name of each module of ours that a module of the dotted `package` imports anywhere in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names if alias.name.split(".")[0] == "formation")
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*parents, base] if base else parents)
            if base == "formation":
                yield from ((node.lineno, f"formation.{alias.name}") for alias in node.names)
            elif base.startswith("formation."):
                yield node.lineno, base


def wrong_arrow(importer: str, imported: str) -> str | None:
    """Why the package `importer` may not import the package `imported`, or None when it may."""
    below, above = floor_of(imported), floor_of(importer)
    for package, floor in ((importer, above), (imported, below)):
        if floor is None:
            return f"{package} has no floor yet: give it one in FLOORS of tests/unit/test_imports.py"
    assert below is not None and above is not None
    if importer == imported or (above == below == 0):
        return None
    if above == below:
        return f"{importer} → {imported}: these are blind to each other"
    if below > above:
        return f"{importer} → {imported}: points upward"
    if (importer, imported) in FORBIDDEN:
        return f"{importer} → {imported}: a consumer of images does not know how they are made"
    return None


def wrong_arrows(source: Path) -> list[str]:
    """`FILE:LINE: arrow` for each import under `source`, the directory of the package, that must not be."""
    found = []
    for file in sorted(source.rglob("*.py")):
        inside = file.relative_to(source)
        importer = (
            inside.parts[0].removesuffix(".py") if inside.name != "__init__.py" or inside.parts[1:] else "formation"
        )
        package = ".".join(["formation", *inside.parts[:-1]])
        for line, module in imported_modules(ast.parse(file.read_bytes()), package):
            name = package_of(module)
            # `from formation import __version__` names something in the root package, not a module of it.
            is_module = (source / name).is_dir() or (source / f"{name}.py").exists()
            if reason := wrong_arrow(importer, name if is_module else "formation"):
                found.append(f"src/formation/{inside}:{line}: {reason}")
    return found


def test_every_import_points_downward() -> None:
    found = wrong_arrows(SOURCE)
    assert not found, "\n".join(["imports that must not be:", *found])


@pytest.mark.parametrize(
    ("file", "text", "arrow"),
    [
        ("debian/version.py", "from formation.oci.layer import Layer", "debian → oci: these are blind to each other"),
        ("store/store.py", "import formation.lock.model", "store → lock: points upward"),
        ("debian/version.py", "def f():\n    from formation.cli import main", "debian → cli: points upward"),
        ("store/store.py", "from ..build import plan", "store → build: points upward"),
        ("store/store.py", "from formation import build", "store → build: points upward"),
        ("digest.py", "from formation.debian import version", "digest → debian: points upward"),
        ("contract/verify.py", "from formation.build import plan", "contract → build: a consumer of images"),
        ("magic/spell.py", "from formation.errors import UsageError", "magic has no floor yet"),
    ],
)
def test_a_wrong_arrow_is_named(tmp_path: Path, file: str, text: str, arrow: str) -> None:
    for name in ("build", "cli", "lock", "oci", "debian", "contract", "store"):
        (tmp_path / name).mkdir()
    (tmp_path / "errors.py").touch()
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text(text)
    line = text.count("\n") + 1
    (found,) = wrong_arrows(tmp_path)
    assert found.startswith(f"src/formation/{file}:{line}: {arrow}")


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("lock/resolve.py", "from formation.debian.version import Version"),
        ("debian/deb.py", "from .version import Version\nfrom ..errors import MalformedError"),
        ("cli/main.py", "from formation import __version__\nfrom formation.build.plan import Plan"),
        ("files.py", "from formation.errors import FormationError"),
    ],
)
def test_an_arrow_downward_is_allowed(tmp_path: Path, file: str, text: str) -> None:
    for name in ("build", "cli", "lock", "debian"):
        (tmp_path / name).mkdir()
    (tmp_path / "errors.py").touch()
    (tmp_path / file).write_text(text)
    assert wrong_arrows(tmp_path) == []
