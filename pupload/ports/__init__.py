"""
What pupload asks of the world.

Each class here is a promise that an adapter makes and the engine relies on; the contract is in the docstrings, and
one contract suite (`tests/contracts/`) proves it for every adapter, the in-memory ones included. Nothing in this
package does anything.
"""

from pupload.ports.accounts import Accounts, Passwords, UserPage
from pupload.ports.artifacts import ArtifactIndex, Kept
from pupload.ports.batches import Batches, BatchPage, TaskPage
from pupload.ports.callbacks import Outbox, Outlook, Poster
from pupload.ports.containers import Capacity, ContainerOrder, Executor, Exit, LiveContainer, Report
from pupload.ports.contents import Content, Inspected, Inspector, TableFile, Tables, TypeTeller
from pupload.ports.credentials import CredentialPage, Credentials, Fetched, Fetcher
from pupload.ports.drawings import DrawingLine, DrawingPage, Drawings
from pupload.ports.episodes import Episodes
from pupload.ports.feed import Feed, News, NewsPage
from pupload.ports.flows import Catalogue, FlowStore, Project, SavedFlows, SavedPage
from pupload.ports.following import Following
from pupload.ports.knowledge import FactPage, Knowledge
from pupload.ports.memory import Memo
from pupload.ports.objects import (
    Audience,
    Disks,
    Given,
    GivesMany,
    Lends,
    MultipartUpload,
    ObjectStat,
    ObjectStore,
    Part,
    ProbeLine,
    Sealed,
    SealsAtOnce,
    Stores,
    TakesMany,
    Wanted,
)
from pupload.ports.overview import Overview
from pupload.ports.ownership import Controller, Letter, Nudge, Ownership, Posted, Share
from pupload.ports.runs import (
    Entry,
    Journal,
    LogLine,
    LogRecord,
    Retention,
    RunPage,
    RunStore,
    RunSummary,
    Subscription,
)
from pupload.ports.secrets import Sealer, SecretInfo, SecretStore
from pupload.ports.sources import SourceReader
from pupload.ports.threads import Said, ThreadPage, Threads
from pupload.ports.time import Clock, Hands, Ids, Pulse

__all__ = [
    "Accounts",
    "Passwords",
    "UserPage",
    "ArtifactIndex",
    "Audience",
    "BatchPage",
    "Episodes",
    "FactPage",
    "Knowledge",
    "Batches",
    "TaskPage",
    "Capacity",
    "Catalogue",
    "Clock",
    "ContainerOrder",
    "Content",
    "Controller",
    "CredentialPage",
    "Credentials",
    "Disks",
    "DrawingLine",
    "DrawingPage",
    "Drawings",
    "Entry",
    "Executor",
    "Exit",
    "Feed",
    "Fetched",
    "Fetcher",
    "FlowStore",
    "Following",
    "Given",
    "GivesMany",
    "Hands",
    "Ids",
    "Inspected",
    "Inspector",
    "Journal",
    "Kept",
    "Lends",
    "Letter",
    "LiveContainer",
    "LogLine",
    "LogRecord",
    "Memo",
    "MultipartUpload",
    "News",
    "NewsPage",
    "Nudge",
    "ObjectStat",
    "ObjectStore",
    "Outbox",
    "Outlook",
    "Overview",
    "Ownership",
    "Part",
    "Posted",
    "Poster",
    "ProbeLine",
    "Project",
    "Pulse",
    "Report",
    "Retention",
    "RunPage",
    "RunStore",
    "RunSummary",
    "Said",
    "SavedFlows",
    "SavedPage",
    "Sealed",
    "Sealer",
    "SealsAtOnce",
    "SecretInfo",
    "SecretStore",
    "Share",
    "SourceReader",
    "Stores",
    "Subscription",
    "TableFile",
    "Tables",
    "TakesMany",
    "ThreadPage",
    "Threads",
    "TypeTeller",
    "Wanted",
]
