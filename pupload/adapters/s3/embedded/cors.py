"""
Which web pages may use a bucket: the CORS rules of S3, read from its XML, kept as JSON, and asked.

Pure. The first rule that fits decides, as on S3.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from fnmatch import translate

from pupload.adapters.s3.embedded import xml
from pupload.adapters.s3.embedded.refusals import Refusal

_METHODS = frozenset({"GET", "PUT", "POST", "DELETE", "HEAD"})
_MOST_RULES = 100


@dataclass(frozen=True, slots=True)
class Rule:
    """Which origins may do what."""

    origins: tuple[str, ...]
    methods: tuple[str, ...]
    headers: tuple[str, ...] = ()
    exposed: tuple[str, ...] = ()
    max_age: str = ""
    """Seconds."""
    id: str = ""


def parse(document: bytes) -> tuple[Rule, ...]:
    """From a `CORSConfiguration`. Raises `Refusal`."""
    root = xml.read(document, "CORSConfiguration")
    rules = tuple(_parse_rule(node) for node in root.all("CORSRule"))
    if not 1 <= len(rules) <= _MOST_RULES:
        raise Refusal("MalformedXML", f"There must be 1 to {_MOST_RULES} rules.")
    return rules


def describe(rules: Iterable[Rule]) -> list[xml.Element]:
    """The content of a `CORSConfiguration`."""
    elements: list[xml.Element] = []
    for rule in rules:
        fields: list[xml.Element] = [("ID", rule.id)] if rule.id else []
        fields += (("AllowedOrigin", origin) for origin in rule.origins)
        fields += (("AllowedMethod", method) for method in rule.methods)
        fields += (("AllowedHeader", header) for header in rule.headers)
        fields += (("ExposeHeader", header) for header in rule.exposed)
        if rule.max_age:
            fields.append(("MaxAgeSeconds", rule.max_age))
        elements.append(("CORSRule", fields))
    return elements


def dump(rules: Iterable[Rule]) -> str:
    """For the index."""
    return json.dumps([asdict(rule) for rule in rules])


def load(text: str) -> tuple[Rule, ...]:
    """From the index."""
    return tuple(_load_rule(**fields) for fields in json.loads(text)) if text else ()


def _load_rule(id: str, max_age: str, **lists: list[str]) -> Rule:  # noqa: A002 - the field's name
    return Rule(id=id, max_age=max_age, **{name: tuple(texts) for name, texts in lists.items()})


def allow(rules: Iterable[Rule], *, origin: str, method: str, headers: Iterable[str] = ()) -> Mapping[str, str] | None:
    """The headers that tell a browser it may; None when no rule lets it."""
    wanted = [header.strip().lower() for header in headers if header.strip()]
    for rule in rules:
        if (
            method in rule.methods
            and any(_fits(pattern, origin) for pattern in rule.origins)
            and all(any(_fits(pattern.lower(), header) for pattern in rule.headers) for header in wanted)
        ):
            return _answer(rule, origin, wanted)
    return None


def _answer(rule: Rule, origin: str, wanted: list[str]) -> dict[str, str]:
    anybody = "*" in rule.origins
    answer = {
        "Access-Control-Allow-Origin": "*" if anybody else origin,
        "Access-Control-Allow-Methods": ", ".join(rule.methods),
        "Vary": "Origin, Access-Control-Request-Headers, Access-Control-Request-Method",
    }
    if not anybody:
        answer["Access-Control-Allow-Credentials"] = "true"
    if wanted:
        answer["Access-Control-Allow-Headers"] = ", ".join(wanted)
    if rule.exposed:
        answer["Access-Control-Expose-Headers"] = ", ".join(rule.exposed)
    if rule.max_age:
        answer["Access-Control-Max-Age"] = rule.max_age
    return answer


def _fits(pattern: str, text: str) -> bool:
    # Only `*` is a wildcard here.
    return re.fullmatch(translate(pattern.replace("[", "[[]").replace("?", "[?]")), text) is not None


def _parse_rule(node: xml.Node) -> Rule:
    rule = Rule(
        origins=tuple(one.text for one in node.all("AllowedOrigin")),
        methods=tuple(one.text for one in node.all("AllowedMethod")),
        headers=tuple(one.text for one in node.all("AllowedHeader")),
        exposed=tuple(one.text for one in node.all("ExposeHeader")),
        max_age=node.get("MaxAgeSeconds") or "",
        id=node.get("ID") or "",
    )
    if not rule.origins or not rule.methods or (rule.max_age and not rule.max_age.isdecimal()):
        raise Refusal("MalformedXML")
    if unknown := set(rule.methods) - _METHODS:
        raise Refusal("InvalidRequest", f"Found unsupported HTTP method in CORS config: {min(unknown)}")
    texts = (*rule.origins, *rule.headers, *rule.exposed)
    if any(text.count("*") > 1 or not text.isprintable() for text in texts):
        raise Refusal("InvalidRequest", "A pattern may hold one * and must be printable.")
    return rule
