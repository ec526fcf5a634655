"""
What is not shown of a flow: keys and secrets read `***`, and come back so they would be lost.

A reference such as `${secret.NAME}` is shown: it tells nothing.
"""

from collections.abc import Iterable, Sequence

from pupload.api.flow import models, reading
from pupload.domain import secret

# ── Writing ──────────────────────────────────────────────────────────────────────────────────────────────────────


def value(given: str) -> str:
    """What is shown of a secret."""
    return models.MASK if secret.named(given) is None else given


def param(name: str, given: str | bool) -> str | bool:
    """What is shown of a store's param; of one that we do not know, nothing."""
    hidden = name not in models.STORE_PARAMS or name in models.SECRET_PARAMS
    return models.MASK if hidden and secret.named(given) is None and given != "" else given


def url(given: str) -> str:
    """Without its query, which may let in whoever reads it."""
    bare, query, _ = given.partition("?")
    return f"{bare}?{models.MASK}" if query else given


# ── Reading ──────────────────────────────────────────────────────────────────────────────────────────────────────


def left_in(flow: models.Flow, place: str) -> Iterable[reading.Wrong]:
    """Where a flow was shown and comes back with what was not."""
    yield from stores(flow.Stores, f"{place}/Stores")
    for index, well in enumerate(flow.DataWells):
        if well.Secret == models.MASK:
            yield _wrong(f"{place}/DataWells/{index}/Secret")
    yield from _callbacks(flow.Callbacks, f"{place}/Callbacks")


def stores(given: Sequence[models.Store], place: str) -> Iterable[reading.Wrong]:
    """The same for stores alone."""
    for index, store in enumerate(given):
        for name in sorted(models.SECRET_PARAMS & store.Params.keys()):
            if store.Params[name] == models.MASK:
                yield _wrong(f"{place}/{index}/Params/{name}")


def _callbacks(given: Sequence[models.Callback], place: str) -> Iterable[reading.Wrong]:
    for index, callback in enumerate(given):
        if callback.URL.endswith(f"?{models.MASK}"):
            where = f"{place}/{index}/URL"
            yield reading.Wrong(where, f"{where} is masked: give all of it")
        for position, each in enumerate(callback.Secrets):
            if each == models.MASK:
                yield _wrong(f"{place}/{index}/Secrets/{position}")


def _wrong(where: str) -> reading.Wrong:
    return reading.Wrong(where, f"{where} is masked: give the secret itself, or ${{secret.NAME}}")
