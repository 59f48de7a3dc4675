"""Verifying an image: is it sound, and does it keep its contract? All findings at once, without running it."""

from collections import Counter

from formation.contents.image import ImageContents
from formation.contract.base_layers import check_base, check_unnamed_base
from formation.contract.checks import Runner, check_definition
from formation.contract.database import check_database, check_unowned
from formation.contract.facts import Facts, facts_of
from formation.contract.findings import Finding, Topic, sort_findings
from formation.contract.from_image import annotated_contract
from formation.contract.image_rules import check_image
from formation.contract.kept_promises import broken_promises
from formation.contract.linking import check_linking
from formation.contract.promise import Contract
from formation.dataclass import dataclass
from formation.definition.image_checks import Checks
from formation.oci.image import BlobSource, Image


@dataclass(frozen=True, slots=True)
class Report:
    """What a verification found."""

    facts: Facts
    contract: str
    """Whose promises were looked at."""
    promises: int
    """How many that were."""
    findings: tuple[Finding, ...]
    """By topic, errors first."""

    @property
    def ok(self) -> bool:
        """Whether no promise is broken; warnings may be there."""
        return all(finding.severity != "error" for finding in self.findings)

    @property
    def counts(self) -> Counter[Topic]:
        """How many findings there are about each topic."""
        return Counter(finding.topic for finding in self.findings)


def verify(
    contents: ImageContents,
    name: str,
    contract: Contract | None,
    *,
    checks: Checks | None = None,
    derived: bool = False,
    stands_on: tuple[str, Image | None] | None = None,
    bases: tuple[BlobSource, ...] = (),
    runner: Runner | None = None,
) -> Report:
    """Everything that is wrong with the image `name`.

    Without a `contract` it is held to what it says of itself, beside what every sound image keeps. `derived`: it stands
    on the image that makes the contract; `stands_on` is that one's name, and it, or None when it is not at hand.
    `bases` are where the base that the image names may be found.
    """
    facts = facts_of(contents)
    contract = annotated_contract(facts, name) if contract is None else contract
    checks = checks or Checks()
    promised = frozenset(file.path for file in contract.files)
    findings = [
        *check_image(facts),
        *check_base(facts.image, (facts.image.source, *bases), contract.base_digest),
        *(check_unnamed_base(facts.image, stands_on[1], stands_on[0]) if stands_on is not None else ()),
        *broken_promises(contract, facts, derived=derived),
        *check_database(facts),
        *check_unowned(facts, promised, contract.trees),
        *check_linking(facts),
        *check_definition(checks, facts, runner),
    ]
    return Report(facts, contract.source, _count(contract, checks), sort_findings(findings))


def _count(contract: Contract, checks: Checks) -> int:
    """How many things `contract` and `checks` promise."""
    many = (
        contract.packages,
        contract.forbidden,
        contract.users,
        contract.groups,
        contract.directories,
        contract.files,
        contract.environment,
        contract.volumes,
        contract.ports,
        contract.labels,
        contract.commands,
        contract.sonames,
        checks.files,
        checks.commands,
        checks.environment,
        checks.labels,
    )
    single = (
        contract.user,
        contract.working_directory,
        contract.entrypoint,
        contract.command,
        contract.stop_signal,
        contract.base_digest,
    )
    return sum(map(len, many)) + sum(each is not None for each in single)
