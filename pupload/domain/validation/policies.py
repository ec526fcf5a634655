"""
Rules that the operator sets: what `pupload.domain.policy` does not allow.

The same policy is held against the settings of every container before it is made; here its author is told in time.
"""

from collections.abc import Iterator

from pupload.domain import duration, nodedef, references
from pupload.domain.policy import LARGEST_ID
from pupload.domain.policyfile import FORBIDDEN_NETWORKS, NETWORK
from pupload.domain.validation import images
from pupload.domain.validation.findings import Finding, found, pointer
from pupload.domain.validation.subject import FLOW, Subject, Use, shown


def image(subject: Subject) -> Iterator[Finding]:
    """The images that definitions name are allowed, and those that nodes choose."""
    for use in subject.uses.values():
        text = use.definition.image
        if text and references.flag_of(text) is None and (reason := subject.limits.policy.image_objection(text)):
            who = f"Definition {shown(use.definition.uses)}"
            yield found("POLICY_001", use.at("Image"), subject=who, image=shown(text), reason=reason)
    for place, node, text in images.chosen(subject):
        if not references.fault(text) and (reason := subject.limits.policy.image_objection(text)):
            yield found("POLICY_001", place, subject=f"Node {shown(node.id)}", image=shown(text), reason=reason)


def type_(subject: Subject) -> Iterator[Finding]:
    """The types that nodes use are allowed."""
    policy = subject.limits.policy
    used = {node.uses for node in subject.flow.nodes}
    denied = {uses: reason for uses in used if (reason := policy.type_objection(uses))}
    if denied:
        for path, node in subject.nodes:
            if node.uses in denied:
                facts = {"node": shown(node.id), "uses": shown(node.uses), "reason": denied[node.uses]}
                yield found("POLICY_010", pointer(path, "Uses"), **facts)


def network(subject: Subject) -> Iterator[Finding]:
    """A definition's network is allowed; what is no network at all is told elsewhere."""
    for use in subject.uses.values():
        name = use.definition.network
        if (
            NETWORK.fullmatch(name)
            and name.lower() not in FORBIDDEN_NETWORKS
            and (reason := subject.limits.policy.network_objection(name))
        ):
            yield _denied("POLICY_002", use, "Network", network=shown(name), reason=reason)


def transfer(subject: Subject) -> Iterator[Finding]:
    """A definition's way of transfer is allowed."""
    for use in subject.uses.values():
        name = use.definition.transfer
        if name in ("urls", "files") and (reason := subject.limits.policy.transfer_objection(name)):
            yield _denied("POLICY_003", use, "Transfer", transfer=name, reason=reason)


def user(subject: Subject) -> Iterator[Finding]:
    """A definition's user is allowed; what is no user at all is told elsewhere."""
    for use in subject.uses.values():
        text = use.definition.user
        is_user = all(part.isdecimal() and int(part) <= LARGEST_ID for part in text.split(":"))
        if is_user and (reason := subject.limits.policy.user_objection(text)):
            yield _denied("POLICY_004", use, "User", user=shown(text), reason=reason)


def tier(subject: Subject) -> Iterator[Finding]:
    """A definition's tier is allowed, by its name and its size."""
    for use in subject.uses.values():
        name = use.definition.tier or nodedef.DEFAULT_TIER
        wanted = subject.limits.tier(name)
        if wanted is not None and (reason := subject.limits.policy.tier_objection(wanted)):
            yield _denied("POLICY_005", use, "Tier", tier=shown(name), reason=reason)


def timeouts(subject: Subject) -> Iterator[Finding]:
    """Nothing may take longer than the operator lets it."""
    policy = subject.limits.policy
    for use in subject.uses.values():
        if reason := policy.node_timeout_objection(_seconds(use.definition.timeout)):
            who = f"Definition {shown(use.definition.uses)}"
            yield found("POLICY_006", use.at("Timeout"), subject=who, timeout=use.definition.timeout, reason=reason)
    for path, node in subject.nodes:
        if node.timeout and (reason := policy.node_timeout_objection(_seconds(node.timeout))):
            at, who = pointer(path, "Timeout"), f"Node {shown(node.id)}"
            yield found("POLICY_006", at, subject=who, timeout=node.timeout, reason=reason)
    if reason := policy.flow_timeout_objection(_seconds(subject.flow.timeout)):
        at = pointer(FLOW, "Timeout")
        yield found("POLICY_006", at, subject="The flow", timeout=subject.flow.timeout, reason=reason)


def capabilities(subject: Subject) -> Iterator[Finding]:
    """Every capability that a definition asks for is allowed."""
    for use in subject.uses.values():
        for index, name in enumerate(use.definition.capabilities):
            if reason := subject.limits.policy.capability_objection(name):
                yield _denied("POLICY_007", use, "Capabilities", index, capability=shown(name), reason=reason)


def devices(subject: Subject) -> Iterator[Finding]:
    """Every device that a definition asks for is allowed."""
    for use in subject.uses.values():
        for index, path in enumerate(use.definition.devices):
            if reason := subject.limits.policy.device_objection(path):
                yield _denied("POLICY_008", use, "Devices", index, device=shown(path), reason=reason)


def stores(subject: Subject) -> Iterator[Finding]:
    """Every endpoint of a store that a flow brings along is allowed."""
    for position, store in enumerate(subject.flow.stores):
        if store.type != "s3":
            continue
        for name, value in store.params.items():
            if name.lower() in ("endpoint", "publicendpoint") and isinstance(value, str) and value:
                reason = subject.limits.policy.store_objection(value)
                if reason:
                    at = pointer(FLOW, "Stores", position, "Params", name)
                    yield found("POLICY_009", at, store=shown(store.name), reason=reason)


RULES = (image, type_, network, transfer, user, tier, timeouts, capabilities, devices, stores)


def _denied(code: str, use: Use, *at: str | int, **facts: str) -> Finding:
    return found(code, use.at(*at), uses=shown(use.definition.uses), **facts)


def _seconds(text: str | None) -> float:
    """Of a duration; nothing where none is given, and where it is none, which another rule tells."""
    try:
        return duration.seconds(text) if text else 0.0
    except ValueError:
        return 0.0
