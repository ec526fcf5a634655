"""
What is wrong with a flow: one finding per fault, and the table of all codes.

A finding points at the place in the request (`{"Flow": …, "NodeDefs": …}`) with a JSON pointer. Codes keep their
meaning for ever; `docs/reference/errors.md` is made of `CODES`. Codes up to STORE_004, NODE_008, EDGE_005, WELL_008,
FLOW_003, TYPE_002 and WARN_001 are those of the original, with its names and sentences; later numbers are ours.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """Whether a flow with this finding can run."""

    ERROR = "ValidationError"
    WARNING = "ValidationWarning"


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeInfo:
    """What a code means."""

    code: str
    name: str
    severity: Severity
    text: str
    """The finding's sentence, facts in braces."""
    meaning: str
    """When it is found, and why that is a fault."""
    remedy: str
    """What to do about it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One fault of a flow."""

    type: Severity
    code: str
    name: str
    description: str
    path: str
    """A JSON pointer (RFC 6901) into the request."""

    @property
    def is_error(self) -> bool:
        """Whether the flow cannot run because of it."""
        return self.type is Severity.ERROR


def found(code: str, path: str, **facts: object) -> Finding:
    """The finding of this code, with the facts that its sentence names."""
    info = CODES[code]
    return Finding(type=info.severity, code=code, name=info.name, description=info.text.format_map(facts), path=path)


def pointer(base: str, *tokens: str | int) -> str:
    """The JSON pointer `base` with more steps."""
    return base + "".join(f"/{str(token).replace('~', '~0').replace('/', '~1')}" for token in tokens)


def in_order(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Sorted by their place in the document, then by code."""
    return tuple(sorted(findings, key=lambda one: (_place(one.path), one.code, one.description)))


def errors(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Those for which the flow cannot run."""
    return tuple(one for one in findings if one.is_error)


_FIELDS = (
    *("Flow", "NodeDefs", "Publisher", "Name", "ID", "Uses", "Image", "Timeout"),
    *("Stores", "DefaultDataWell", "DataWells", "Nodes", "Edge", "Store", "Source", "Key", "Lifetime"),
    *("Type", "Params", "Inputs", "Outputs", "Flags", "Value", "Default", "Choices", "Min", "Max", "Command", "Exec"),
    *("Tier", "MaxAttempts", "Retry", "User", "Network", "Capabilities", "Devices", "Transfer", "Progress"),
    *("Callbacks", "URL", "On", "Secrets"),
    *("MaxBytes", "MaxPixels", "MaxDuration", "MaxRatio", "MaxPages"),
    *("ForEach", "Concurrency", "MaxItems", "PartialFailure", "When", "Runs"),
)
"""In the order in which the reference shows them."""

_RANKS = {field: rank for rank, field in enumerate(_FIELDS)}


def _place(path: str) -> tuple[tuple[int, str], ...]:
    """What to sort by: numbers as numbers, fields in the reference's order, others behind them by name."""
    return tuple(
        (int(token), "") if token.isdecimal() else (_RANKS.get(token, len(_FIELDS)), token)
        for token in path.split("/")[1:]
    )


def _error(code: str, name: str, text: str, meaning: str, remedy: str) -> CodeInfo:
    return CodeInfo(code=code, name=name, severity=Severity.ERROR, text=text, meaning=meaning, remedy=remedy)


def _warning(code: str, name: str, text: str, meaning: str, remedy: str) -> CodeInfo:
    return CodeInfo(code=code, name=name, severity=Severity.WARNING, text=text, meaning=meaning, remedy=remedy)


_STORES = (
    _error(
        "STORE_001",
        "StoreNotFound",
        "Store {store} not found ({where})",
        "DefaultDataWell names a store that the flow does not bring along.",
        "Add the store to Stores, or name `default`, the server's own.",
    ),
    _error(
        "STORE_002",
        "StoreInvalidType",
        "Store {store} has invalid type",
        "Type is not `s3` or `local`.",
        "Use `s3` for any S3-compatible store, `local` for the embedded one.",
    ),
    _error(
        "STORE_003",
        "StoreInvalidParams",
        "Store {store} has invalid params: {reason}",
        "A key of Params is unknown, missing or of the wrong type, so that the store could never be used.",
        "Give at least Endpoint and BucketName; see the reference for the other keys.",
    ),
    _warning(
        "STORE_004",
        "StoreUnused",
        "Store {store} is not used by any datawell",
        "No well and no DefaultDataWell names the store.",
        "Remove it, or name it in a well: a typo in a well's Store is the usual reason.",
    ),
    _error(
        "STORE_005",
        "StoreDuplicateName",
        "Store name {store} is used more than once",
        "Two stores of the flow have one name, so that a well could mean either.",
        "Rename one of them.",
    ),
    _error(
        "STORE_006",
        "StoreInvalidName",
        "Store name {store} cannot be used: {reason}",
        "The name is empty, too long, not printable, or `default`, which is the server's own store.",
        "Choose another name of at most 128 printable characters.",
    ),
)

_NODES = (
    _error(
        "NODE_001",
        "NodeDefNotFound",
        "Definition {uses} not found (node {node})",
        "Neither NodeDefs nor the server's catalogue has a definition of that Publisher/Name.",
        "Send the definition along, or correct Uses.",
    ),
    _error(
        "NODE_002",
        "NodeMissingInput",
        "Node {node} missing required input {port}",
        "The definition requires an input that the node does not bind to an edge.",
        "Bind the input to an edge.",
    ),
    _error(
        "NODE_003",
        "NodeMissingOutput",
        "Node {node} missing required output {port}",
        "The definition requires an output (`Required: true`) that the node does not bind to an edge.",
        "Bind the output to an edge; one that nobody consumes is kept as a result.",
    ),
    _error(
        "NODE_004",
        "NodeInvalidTier",
        "Node {node} uses invalid tier {tier}",
        "The definition's Tier is neither in the table nor one of the operator's.",
        "Choose a tier of the table, such as c-small.",
    ),
    _error(
        "NODE_005",
        "NodeMissingFlag",
        "Node {node} missing required flag {flag}",
        "The definition requires a flag that has no default, and the node does not set it.",
        "Set the flag.",
    ),
    _error(
        "NODE_006",
        "NodeUnknownFlag",
        "Node {node} has unknown flag {flag}",
        "The definition declares flags, but not this one.",
        "Correct the name; definitions that declare no flags take any.",
    ),
    _error(
        "NODE_007",
        "NodeDuplicateID",
        "Node ID {node} is used more than once",
        "Two nodes have one ID, so that their states could not be told apart.",
        "Give each node an ID of its own.",
    ),
    _error("NODE_008", "NodeMissingID", "Node missing ID", "A node has no ID.", "Give it one."),
    _error(
        "NODE_009",
        "NodeUnknownInput",
        "Node {node} has unknown input {port}",
        "The definition declares inputs, but not this one.",
        "Correct the name; definitions that declare no inputs take any.",
    ),
    _error(
        "NODE_010",
        "NodeUnknownOutput",
        "Node {node} has unknown output {port}",
        "The definition declares outputs, but not this one: nothing would ever be written to it.",
        "Correct the name; definitions that declare no outputs take any.",
    ),
    _error(
        "NODE_011",
        "NodeInvalidID",
        "Node ID {node} cannot be used: take letters, digits, '.', '_' and '-', at most 128, a letter or digit first",
        "The ID becomes part of the names of containers, directories and labels, which hold no other characters.",
        "Choose another ID.",
    ),
    _error(
        "NODE_012",
        "NodeDefDuplicate",
        "Definition {uses} is given more than once",
        "Two definitions have one Publisher/Name, so that a node could mean either.",
        "Remove one of them.",
    ),
    _error(
        "NODE_013",
        "NodeInvalidImage",
        "Definition {uses} has invalid image {image}: {reason}",
        "Image is not a reference that a container engine understands, nor `${flag.NAME}` of a flag that always has a "
        "value.",
        "Write it as [registry/]name[:tag][@digest], the name in lower case; or let a flag with a Default choose.",
    ),
    _error(
        "NODE_014",
        "NodeTierUnsatisfiable",
        "Node {node} can never run here: tier {tier} needs {lacking}",
        "No machine of the deployment is large enough for the tier, so that the node would wait for ever.",
        "Choose a smaller tier, or add a larger machine.",
    ),
    _error(
        "NODE_015",
        "NodeInvalidFlagValue",
        "Flag {flag} of node {node} has invalid value {value}: {reason}",
        "The value is not of the flag's type, not one of its choices, outside its bounds, too long, or no text.",
        "Correct the value.",
    ),
    _error(
        "NODE_016",
        "NodeInvalidTimeout",
        '{subject} timeout "{timeout}" is not a valid duration: {reason}',
        "Timeout of a node or definition is no duration above zero.",
        "Write numbers with units, such as 90s or 1h30m.",
    ),
    _error(
        "NODE_017",
        "NodeInvalidRetry",
        "Definition {uses} has invalid retry: {reason}",
        "A pause is no duration, an exit code is not within 0 to 255, a code is both tried again and never, or there "
        "are more than 100 attempts.",
        "Correct Retry or MaxAttempts.",
    ),
    _error(
        "NODE_018",
        "NodeInvalidNetwork",
        "Definition {uses} has invalid network {network}: {reason}",
        "Network is no name that an engine's network can have.",
        "Leave Network out for none.",
    ),
    _error(
        "NODE_019",
        "NodeInvalidTransfer",
        "Definition {uses} has invalid transfer {transfer}: {reason}",
        "Transfer is not `files` or `urls`, or the container has no network for it.",
        "Leave Transfer out: the container then sees files.",
    ),
    _error(
        "NODE_020",
        "NodeInvalidCommand",
        "Definition {uses} has an invalid command: {reason}",
        "Command.Exec cannot be split into arguments, or holds what no argument can.",
        "Close the quotation mark, or write Exec as a list.",
    ),
    _error(
        "NODE_021",
        "NodeUnknownVariable",
        "Command of definition {uses} names unknown variable ${{{variable}}}",
        "The definition declares inputs, outputs and flags, and none of them has that name.",
        "Correct the name; write $${…} for a dollar sign that is meant as such.",
    ),
    _error(
        "NODE_022",
        "NodeDuplicateBinding",
        "Node {node} sets {kind} {name} more than once",
        "A node binds a port to two edges or gives a flag two values; only one could hold.",
        "Remove one of them.",
    ),
    _error(
        "NODE_023",
        "NodeInvalidName",
        "{subject} has {kind} with invalid name {name}: letters, digits, '.', '_' and '-' are possible, 128 in all",
        "Names of ports and flags become file names and environment variables.",
        "Choose another name; it begins with a letter, a digit or '_'.",
    ),
    _error(
        "NODE_024",
        "NodeDefInvalidFlag",
        "Flag {flag} of definition {uses} is invalid: {reason}",
        "Default does not keep to the flag's own type, choices or bounds, or the bounds exclude each other.",
        "Correct the flag's definition.",
    ),
    _error(
        "NODE_025",
        "NodeDefDuplicateName",
        "Definition {uses} has {kind}s {name} and {other}, which cannot be told apart",
        "Two ports or flags have one name, one file name or one environment variable.",
        "Rename one of them.",
    ),
    _error(
        "NODE_026",
        "NodeInvalidUser",
        "Definition {uses} has invalid user {user}: write uid or uid:gid in numbers",
        "User is not a number or two, so that it would mean something else in every image.",
        "Write numbers, such as 1000:1000, or leave User out.",
    ),
    _warning(
        "NODE_027",
        "NodeUnknownProgress",
        "Definition {uses} names unknown progress parser {progress}",
        "There is no built-in parser of that name: progress will not be read.",
        "Use `ffmpeg`, or write progress as JSON lines.",
    ),
    _error(
        "NODE_028",
        "NodeDefManyByUrl",
        "Port {port} of definition {uses} has Many, and Transfer is urls: a URL is for one file",
        "A collection is a directory of files. A definition that moves its bytes by URLs has none.",
        "Leave Transfer out, or have the node pack its files into one.",
    ),
    _error(
        "NODE_029",
        "NodeForEachInput",
        "Node {node} cannot run for each item of {port}: it binds no input of that name",
        "ForEach names no input that the node binds; Concurrency, MaxItems and PartialFailure are nothing without it.",
        "Write the name of an input, as in the node's Inputs.",
    ),
    _error(
        "NODE_030",
        "NodeForEachSetting",
        "Node {node} has {field} {value}, which cannot be: {reason}",
        "What the node says about how it runs for each item has no meaning, or is more than the server takes.",
        "Follow the sentence, or leave the field out.",
    ),
    _error(
        "NODE_031",
        "NodeForEachMany",
        "Node {node} runs for each item, and its output {output} is a collection for each of them",
        "What a node makes for each item is one file: there are no collections of collections.",
        "Let the node type write one file, such as an archive, or do not bind the output.",
    ),
)

_EDGES = (
    _error(
        "EDGE_001",
        "EdgeNoProducer",
        "Edge {edge} not bound to any output",
        "A well without Source says where the edge is kept, but no node produces it: its consumers would wait for "
        "ever. An edge without any well and without a producer is an upload, and no fault.",
        "Bind an output to the edge, or give the well a Source.",
    ),
    _warning(
        "EDGE_002",
        "EdgeNoConsumer",
        "Edge {edge} not bound to any input",
        "No longer found: what nobody consumes is a result, kept in the store of its well, of DefaultDataWell or in "
        "`default`.",
        "Nothing to do.",
    ),
    _error(
        "EDGE_003",
        "EdgeTypeMismatch",
        "Type mismatch on edge {edge}: {left} and {right} have no media type in common",
        "What one port gives another can never take, or two consumers of an upload cannot both take it.",
        "Correct the types, or put a node between that converts.",
    ),
    _error(
        "EDGE_004",
        "EdgeNoDatawell",
        "Edge {edge} has no datawell, and there is no default store",
        "The operator runs the server without a store of its own, and neither a well nor DefaultDataWell says where "
        "the edge's object is kept.",
        "Add a well for the edge, or a DefaultDataWell for everything that nodes produce.",
    ),
    _error(
        "EDGE_005",
        "EdgeInvalidName",
        "Edge name {edge} cannot be used: {reason}",
        "The name of an edge is part of URLs and keys.",
        "Choose 1 to 128 printable characters without '/'.",
    ),
    _error(
        "EDGE_006",
        "EdgeDuplicateProducer",
        "Edge {edge} has more than one producer: {first} and {second}",
        "Two outputs, or an output and a well with a Source, lie on one edge: which object is meant cannot be told.",
        "Give one of them an edge of its own.",
    ),
    _error(
        "EDGE_007",
        "EdgeCollection",
        "Edge {edge} carries a collection, and input {port} of node {node} takes one file",
        "The edge's producer has Many on its output, or runs for each item, so that there are many files; an input "
        "takes them where it has Many, or one by one where the node's ForEach names it.",
        "Set ForEach to the input's name, or put a node between that packs the files into one.",
    ),
    _error(
        "EDGE_008",
        "EdgeItemName",
        "{kind} {name} is called as an item of {whole} would be",
        "What belongs to an item of a collection is called as the collection is, with a dot and a number behind it.",
        "Choose another name.",
    ),
)

_WELLS = (
    _error(
        "WELL_001",
        "DatawellInvalidSource",
        "Source {source} is not a valid datawell source (datawell with edge {edge})",
        "Source is not upload, static, webhook, approval, run or facts.",
        "Use one of these, or leave Source out to say where a node's output is kept.",
    ),
    _error(
        "WELL_002",
        "DatawellEdgeNotFound",
        "datawell has edge {edge}, but edge is not used in nodes",
        "No node is bound to the well's edge.",
        "Correct the name, or remove the well.",
    ),
    _error(
        "WELL_003",
        "DatawellDuplicateEdge",
        "Datawell edge {edge} is used more than once",
        "Two wells describe one edge.",
        "Remove one of them.",
    ),
    _error(
        "WELL_004",
        "DatawellStoreNotFound",
        "Datawell references nonexistant store {store}",
        "The well names a store that the flow does not bring along.",
        "Add the store to Stores, or name `default`, the server's own.",
    ),
    _error(
        "WELL_005",
        "DatawellInvalidKeyTemplate",
        "Unknown variable ${{{variable}}} in key template for edge {edge}",
        "The key names a variable that does not exist.",
        "Use RUN_ID, FLOW_NAME, EDGE, NODE_ID, TIMESTAMP, DATE, YEAR, MONTH, DAY, UUID or param.<name>; `$$` is a "
        "dollar sign.",
    ),
    _error(
        "WELL_006",
        "DatawellStaticMissingKey",
        "Datawell on edge {edge} set to static, but no key is provided",
        "A static well names an object that exists, and this one does not say which.",
        "Give Key.",
    ),
    _error(
        "WELL_007",
        "DatawellStaticHasDynamicKey",
        'Datawell with source "static" on edge {edge} uses key variable {variable}',
        "The key of a static well is taken as it is.",
        "Write the key out, or use another Source.",
    ),
    _error(
        "WELL_008",
        "DatawellDynamicHasStaticKey",
        'Datawell with source "{source}" on edge {edge} has static key "{key}" - '
        "all runs will overwrite the same object",
        "No variable in the key differs from run to run.",
        "Put ${RUN_ID} into the key, or leave Key out.",
    ),
    _error(
        "WELL_009",
        "DatawellOutputHasStaticKey",
        'Datawell for the output on edge {edge} has static key "{key}" - all runs will overwrite the same object',
        "No variable in the key differs from run to run.",
        "Put ${RUN_ID} into the key, or leave Key out.",
    ),
    _error(
        "WELL_010",
        "DatawellInvalidLifetime",
        'Lifetime "{lifetime}" of the datawell on edge {edge} is not a valid duration: {reason}',
        "Lifetime is no duration above zero.",
        "Write numbers with units, such as 24h.",
    ),
    _error(
        "WELL_011",
        "DatawellInvalidKey",
        "Key of the datawell on edge {edge} cannot be used: {reason}",
        "The key is empty, leaves its place (`..`), begins with a slash, holds control characters, or is too long.",
        "Choose a plain relative key of at most 1024 bytes.",
    ),
    _warning(
        "WELL_012",
        "DatawellFieldIgnored",
        "{field} of DefaultDataWell is not used: {reason}",
        "DefaultDataWell is for whatever nodes produce: Edge and Source say nothing there, and a Key only when it "
        "tells edges apart.",
        "Remove the field, or put ${EDGE} into the key.",
    ),
    _error(
        "WELL_013",
        "DatawellSameKey",
        'Datawells on edges {first} and {second} have the same key "{key}" in store {store}',
        "Two edges of one run would be kept in one object.",
        "Put ${EDGE} into the keys, or leave Key out.",
    ),
    _error(
        "WELL_014",
        "DatawellRunHasNoFlow",
        "Datawell on edge {edge} waits for a run, and cannot say of which flow: {reason}",
        "A well with the source run says which saved flow the run is of, by its name or its id.",
        "Give Flow, such as team/summarise.",
    ),
    _error(
        "WELL_015",
        "DatawellFieldOfRun",
        "{field} of the datawell on edge {edge} is for wells with the source run",
        "Only a well that waits for a run says which flow that is of, and what it is given.",
        "Remove the field, or set Source to run.",
    ),
    _error(
        "WELL_016",
        "DatawellRunInput",
        "Input {input} of the datawell on edge {edge} cannot be given to a run: {reason}",
        "A run of another flow is given one file, which is there before its result is.",
        "Name an edge that a node of this flow makes one file on, or that waits for an upload.",
    ),
)

_FLOWS = (
    _error(
        "FLOW_001",
        "FlowCycle",
        "Flow has a cycle, which would cause infinite execution: {cycle}",
        "Nodes wait for each other, so that none could ever start.",
        "Cut the cycle at one of the edges between the nodes named.",
    ),
    _error("FLOW_002", "FlowEmpty", "Flow has no nodes, nothing to execute", "Nodes is empty.", "Add a node."),
    _error(
        "FLOW_003",
        "FlowInvalidTimeout",
        "{sentence}",
        "Timeout of the flow is no duration above zero.",
        "Write numbers with units, such as 90s or 1h30m.",
    ),
    _error(
        "FLOW_004",
        "FlowTooManyNodes",
        "Flow has {count} nodes, more than the limit of {limit}",
        "The operator limits how large a flow may be.",
        "Split the flow, or ask the operator.",
    ),
    _error(
        "FLOW_005",
        "FlowInvalidName",
        "Flow name cannot be used: {reason}",
        "The name is longer than 256 bytes or holds what cannot be printed. It may be empty.",
        "Choose another name.",
    ),
    _error(
        "FLOW_006",
        "FlowInvalidOnError",
        "OnError names no flow that can be: {reason}",
        "OnError is the name or the id of a saved flow.",
        "Write namespace/name, such as team/tell-us.",
    ),
)

_TYPES = (
    _error(
        "TYPE_001",
        "TypeInvalidMime",
        "{kind} {port} of definition {uses} has invalid media type {type}",
        "The type is not of the form major/minor, and no wildcard (`image/*`, `*/*`).",
        "Write a media type such as image/png.",
    ),
    _error(
        "TYPE_002",
        "TypeEmptySet",
        "{kind} {port} of definition {uses} has types, but all of them are empty",
        "Every entry of Type is blank, so that nothing could ever match. A port without Type takes anything.",
        "Remove the blank entries.",
    ),
    _error(
        "TYPE_003",
        "TypeInvalidLimit",
        "{kind} {port} of definition {uses} has invalid {limit}: {reason}",
        "A limit of the port is zero, negative, too large to mean anything, or no duration.",
        "Write a number above zero, for MaxDuration a duration such as 10m; leave it out for no limit.",
    ),
)

_CALLBACKS = (
    _error(
        "CALL_001",
        "CallbackInvalidURL",
        "URL of the callback cannot be used: {reason}",
        "The URL cannot be read, is not of http or https, holds a password, or leads where flows may not send the "
        "server.",
        "Name the receiver as https://host/path. Which hosts may be named, and whether plain http may, the operator "
        "decides (`callback_private_endpoints`, `callback_http`).",
    ),
    _error(
        "CALL_002",
        "CallbackUnknownMoment",
        "Callback names {moment} in On, which is no way for a run to end",
        "On names how a run must have ended for the callback to be sent.",
        "Use complete, error and stopped, or leave On out for all of them.",
    ),
    _error(
        "CALL_003",
        "CallbackTooMany",
        "Flow has {count} callbacks, more than the limit of {limit}",
        "Every run of the flow would be told to so many receivers.",
        "Let one receiver tell the others.",
    ),
    _error(
        "CALL_004",
        "CallbackInvalidSecret",
        "Secrets of the callback cannot be used: {reason}",
        "A secret is too short or too long, is not base64 behind `whsec_`, or there are more than two of them.",
        "Write `whsec_` and 24 to 64 random bytes in base64, a text of 16 bytes or more, or `${secret.NAME}`.",
    ),
    _warning(
        "CALL_005",
        "CallbackUnsigned",
        "Callback has no Secrets: its receiver cannot tell who sent a message",
        "Whoever knows the receiver's URL could tell it anything.",
        "Give Secrets, and let the receiver check the signature.",
    ),
)

_ASK = "ask the operator, whose policy file says so."

_SECRETS = (
    _error(
        "SECRET_001",
        "SecretNotFound",
        "Secret {secret} not found ({where})",
        "The flow or a definition names a secret that the server does not have.",
        "Set it with `pup secret set NAME`, or correct the name.",
    ),
    _error(
        "SECRET_002",
        "SecretMisplaced",
        "A secret cannot be used so ({where}): {reason}",
        "`${secret.NAME}` is taken as a whole value, in keys of stores, in Secret and Secrets, and in flags. As a part "
        "of a longer value, or where values are shown, it would not stay secret.",
        "Write `${secret.NAME}` and nothing else, where a secret may be.",
    ),
    _error(
        "SECRET_003",
        "CredentialNotFound",
        "Credential {credential} not found, or it has no {key} to give ({where})",
        "The flow names a value of a credential that is not there, that another account has, that is empty, or too "
        "short to be masked in logs.",
        "See `pup credential list`; correct the name, the number or the key, or save the value.",
    ),
)

_POLICY = (
    _error(
        "POLICY_001",
        "PolicyImage",
        "{subject} names image {image}, which the operator's policy does not allow: {reason}",
        "The operator allows images by name, or by digest only, and this one is not among them.",
        f"Use an image that is allowed, or {_ASK}",
    ),
    _error(
        "POLICY_002",
        "PolicyNetwork",
        "Definition {uses} asks for network {network}, which the operator's policy does not allow: {reason}",
        "Nodes have no network, unless the operator allows one by name.",
        f"Leave Network out, or {_ASK}",
    ),
    _error(
        "POLICY_003",
        "PolicyTransfer",
        "Definition {uses} asks for transfer {transfer}, which the operator's policy does not allow: {reason}",
        "Presigned URLs in a container can be read by everybody who may inspect it.",
        f"Leave Transfer out: the container then sees files. Or {_ASK}",
    ),
    _error(
        "POLICY_004",
        "PolicyUser",
        "Definition {uses} asks for user {user}, which the operator's policy does not allow: {reason}",
        "The user or its group is not among those that nodes may run as. Root is not, unless the operator says so.",
        f"Leave User out, or {_ASK}",
    ),
    _error(
        "POLICY_005",
        "PolicyTier",
        "Definition {uses} asks for tier {tier}, which the operator's policy does not allow: {reason}",
        "The tier is not among those that may be used, or is larger than a node may be.",
        f"Choose a tier that is allowed, or {_ASK}",
    ),
    _error(
        "POLICY_006",
        "PolicyTimeout",
        "{subject} asks for timeout {timeout}, which the operator's policy does not allow: {reason}",
        "Nothing may take longer than the operator lets it.",
        f"Choose a shorter Timeout, or {_ASK}",
    ),
    _error(
        "POLICY_007",
        "PolicyCapability",
        "Definition {uses} asks for capability {capability}, which the operator's policy does not allow: {reason}",
        "Nodes have no capabilities, unless the operator lets definitions add them back by name.",
        f"Leave Capabilities out, or {_ASK}",
    ),
    _error(
        "POLICY_008",
        "PolicyDevice",
        "Definition {uses} asks for device {device}, which the operator's policy does not allow: {reason}",
        "Nodes have no devices, unless the operator lets definitions ask for them by path.",
        f"Leave Devices out, or {_ASK}",
    ),
    _error(
        "POLICY_009",
        "PolicyStore",
        "Store {store} is at an endpoint that the operator's policy does not allow: {reason}",
        "The operator says which hosts the stores that flows bring along may be at.",
        f"Use a store that is allowed, or `default`, the server's own. Or {_ASK}",
    ),
    _error(
        "POLICY_010",
        "PolicyType",
        "Node {node} uses {uses}, which the operator's policy does not allow: {reason}",
        "The operator says which node types may be used. `pupload/run` may not, unless the policy says so "
        "(`Types: {Deny: []}`).",
        "Use another node type, or ask the operator, whose policy file can allow it.",
    ),
)

_CONDITIONS = (
    _error(
        "WHEN_001",
        "ConditionUnreadable",
        "When of node {node} cannot be read, at character {place}: {reason}",
        "When is no condition: something is missing, not closed, or not known there.",
        "Follow the sentence; docs/reference/flow-format.md has the whole language.",
    ),
    _error(
        "WHEN_002",
        "ConditionUnknownName",
        "When of node {node} names {name}, at character {place}, which there is not: {reason}",
        "A condition asks about the node's inputs and flags, the flow's parameters, and nodes upstream; and only what "
        "may be shown.",
        "Correct the name, or bind what it names.",
    ),
    _error(
        "WHEN_003",
        "ConditionWrongType",
        "When of node {node} cannot be worked out, at character {place}: {reason}",
        "The condition compares what is never alike, or takes for true or false what is neither.",
        "Compare numbers with numbers and texts with texts.",
    ),
)

_HANDLERS = (
    _error(
        "RUNS_001",
        "HandlerUnknownMoment",
        "Node {node} has Runs {runs}, and there are OnFailure and Finally",
        "Runs says when a handler runs.",
        "Write OnFailure or Finally, or leave Runs out.",
    ),
    _error(
        "RUNS_002",
        "HandlerFeedsFlow",
        "Node {node} takes edge {edge} of {handler}, which runs only after it (Runs: {runs})",
        "Handlers run when all other nodes have ended, those of Finally after those of OnFailure.",
        "Let it take something else, or make it a handler that runs with the other one or later.",
    ),
    _error(
        "RUNS_003",
        "HandlerWithoutFlow",
        "Flow has handlers only, and nothing that they could wait for",
        "Handlers run when all other nodes have ended, and there are none.",
        "Add a node without Runs.",
    ),
    _error(
        "RUNS_004",
        "HandlerAwaitsUpload",
        "Handler {node} takes edge {edge}, which comes from outside and which no node of the flow takes",
        "Nothing is awaited for handlers: they run as soon as the flow has ended.",
        "Let a node of the flow take the edge too, or let the handler take what a node makes.",
    ),
    _error(
        "RUNS_005",
        "HandlerTooMany",
        "Flow has {count} handlers, more than the limit of {limit}",
        "Each is looked at when a run is about to end.",
        "Let one handler do the work of several.",
    ),
    _error(
        "RUNS_006",
        "HandlerForEach",
        "Handler {node} has ForEach: handlers run once",
        "A node that runs for each item of a collection cannot be a handler.",
        "Take the whole collection with an input that has Many, or let a node of the flow do it.",
    ),
)

_PARAMS = (
    _error(
        "PARAM_001",
        "ParamInvalid",
        "Param {param} of the flow cannot be so: {reason}",
        "A parameter has a name of its own, one of the types string, integer, number and boolean, and a default that "
        "fits them.",
        "Follow the sentence.",
    ),
    _error(
        "PARAM_002",
        "ParamUnknown",
        "{where} names parameter {param}, which there is not",
        "A flag's value or a well's key has `${param.NAME}`, and the flow's Params do not declare it; nor, where it "
        "declares none, was it given.",
        "Declare it in the flow's Params, or correct the name.",
    ),
    _error(
        "PARAM_003",
        "ParamNotTaken",
        "The flow takes no parameter {param}; it takes: {known}",
        "The request gives a parameter that the flow does not declare.",
        "Correct the name, or declare it in the flow's Params.",
    ),
    _error(
        "PARAM_004",
        "ParamMissing",
        "Parameter {param} must be given",
        "The flow requires the parameter, and it has no default.",
        "Give it in the request's Params.",
    ),
    _error(
        "PARAM_005",
        "ParamRefused",
        "Parameter {param} cannot be {value}: {reason}",
        "The value does not fit what the flow's Params say.",
        "Follow the sentence.",
    ),
)

_WARNINGS = (
    _warning(
        "WARN_001",
        "WarnDeprecatedField",
        "{field} is deprecated: {instead}",
        "The field still works, or does nothing, but has a successor.",
        "Follow the sentence.",
    ),
    _warning(
        "WARN_002",
        "WarnUnknownField",
        "Unknown field {field} is ignored",
        "The request has a field that the format does not know: often a typo.",
        "Correct or remove it.",
    ),
    _warning(
        "WARN_003",
        "WarnTierClamped",
        "Node {node} asks for tier {tier}, which is larger than this machine, and gets what there is: {lacking}",
        "The server was told to make tiers fit the machine (as `pup dev` does).",
        "Nothing, or choose a smaller tier.",
    ),
    _warning(
        "WARN_004",
        "WarnIdleLimit",
        "{kind} {port} of definition {uses} has {limit}, which no file of its types can exceed: {types}",
        "A limit is on something that files of the port's types do not have, such as the pages of a video.",
        "Remove the limit, or correct Type.",
    ),
)

CODES: Mapping[str, CodeInfo] = {
    info.code: info
    for info in (
        *_STORES,
        *_NODES,
        *_EDGES,
        *_WELLS,
        *_FLOWS,
        *_CONDITIONS,
        *_HANDLERS,
        *_PARAMS,
        *_TYPES,
        *_SECRETS,
        *_POLICY,
        *_CALLBACKS,
        *_WARNINGS,
    )
}
"""All codes, in the order of the reference."""
