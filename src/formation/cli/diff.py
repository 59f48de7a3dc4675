"""`formation diff`: what changed from one image to another."""

from argparse import Namespace

from formation.cli.compared import add_comparison_options, difference_of, snapshots
from formation.cli.context import Context
from formation.cli.parser import Subparsers, add_command


def register(subparsers: Subparsers) -> None:
    """Adds the command."""
    parser = add_command(
        subparsers,
        "diff",
        "tell what changed from one image or lock to another",
        """
        Compares two images from anywhere, or two locks: packages with their Debian changelogs and the CVEs that these
        name; files, users, groups, directories and modes; environment and configuration; commands in PATH; shared
        libraries and their symbol versions; size by package and by layer.

        A lock is a formation.lock, or the directory of a definition that has one; what its definition promises is
        compared too. An image against a lock is compared by packages.

        Changelogs are read in the image, else in the packages of its lock, which are downloaded where the store lacks
        them: one for each source package that changed.
        """,
        """
        formation diff formation/base:1.0.0 formation/base:1.0.1
        formation diff docker://registry.example.com/formation/base:1.0 formation/base:1.0.1 --markdown
        formation diff /tmp/main/docker/base docker/base --no-changelogs
        formation diff formation/base:1.0.0 docker/base --json | jq -r '.cves[]'
        """,
    )
    what = "an image of any source, a formation.lock, or a directory with one"
    parser.add_argument("old", metavar="OLD", help=what)
    parser.add_argument("new", metavar="NEW", help="the same")
    add_comparison_options(parser)
    parser.add_argument("--full", action="store_true", help="show whole changelogs and every file")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--markdown", action="store_true", help="print Markdown, for a pull request")
    form.add_argument("--json", action="store_true", help="print everything as JSON")


def run(arguments: Namespace, context: Context) -> int:
    """Runs the command."""
    from formation.cli.diff_output import as_data, as_markdown, as_text

    names = arguments.old, arguments.new
    with context.progress() as progress, snapshots(names, arguments, context, progress) as (old, new):
        difference = difference_of(old, new, arguments, context, progress)
    if arguments.json:
        context.write_json(as_data(difference))
    elif arguments.markdown:
        context.write(as_markdown(difference, full=arguments.full))
    else:
        colour = context.colour and context.stdout_is_terminal
        context.write(as_text(difference, full=arguments.full, colour=colour))
    return 0
