"""
Whether a flow can run: every rule it breaks, all at once.

One module holds the rules about one idea, one function is one rule: it looks at the `subject` and yields findings.
`findings` has the codes, `limits` what the operator decides.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from pupload.domain.flow import Flow
from pupload.domain.nodedef import NodeDef
from pupload.domain.validation import callbacks as callback_rules
from pupload.domain.validation import collections as collection_rules
from pupload.domain.validation import (
    conditions,
    edges,
    flows,
    images,
    nodes,
    params,
    policies,
    secrets,
    stores,
    subject,
    types,
    wells,
)
from pupload.domain.validation import definitions as definition_rules
from pupload.domain.validation import handlers as handler_rules
from pupload.domain.validation.findings import Finding, in_order
from pupload.domain.validation.limits import Limits
from pupload.domain.validation.secrets import names_secrets

__all__ = ["Finding", "Limits", "RULES", "names_secrets", "validate"]

MOST_FINDINGS = 10_000
"""More errors than that are not looked for, and more warnings not told: a large flow could have millions."""

RULES = (
    *flows.RULES,
    *params.RULES,
    *stores.RULES,
    *wells.RULES,
    *nodes.RULES,
    *edges.RULES,
    *collection_rules.RULES,
    *conditions.RULES,
    *handler_rules.RULES,
    *definition_rules.RULES,
    *images.RULES,
    *types.RULES,
    *secrets.RULES,
    *policies.RULES,
    *callback_rules.RULES,
)


def validate(
    flow: Flow,
    definitions: Sequence[NodeDef],
    *,
    limits: Limits | None = None,
    pointers: Sequence[str] | None = None,
    given: Mapping[str, str] | None = None,
) -> tuple[Finding, ...]:
    """
    Everything wrong with the flow, in the order of the document; empty when nothing is.

    `definitions` are the request's and, behind them, the catalogue's; `pointers` says where each of them stands, by
    default in the request's NodeDefs. `given` are the parameters that a run is asked for with, and None where none is
    asked for; the flow is filled with their values already (`pupload.domain.params`). The flow can run when no finding
    is an error. Ends at `MOST_FINDINGS` errors.
    """
    judged = subject.make(flow, definitions, limits or Limits(), pointers, given)
    return in_order(_enough(finding for rule in RULES for finding in rule(judged)))


def _enough(findings: Iterable[Finding]) -> Iterator[Finding]:
    """The findings up to a bound: so many warnings, for errors may follow them, and so many errors."""
    errors = warnings = 0
    for finding in findings:
        if finding.is_error:
            errors += 1
            yield finding
            if errors == MOST_FINDINGS:
                return
        elif warnings < MOST_FINDINGS:
            warnings += 1
            yield finding
