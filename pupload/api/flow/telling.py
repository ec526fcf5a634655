"""The callbacks of a run, in the words of the wire."""

from collections.abc import Iterable

from pupload.api.flow import masks, models
from pupload.domain import delivery


def write_deliveries(found: Iterable[delivery.Delivery]) -> models.DeliveryList:
    """All of them."""
    return models.DeliveryList(Deliveries=[write_delivery(each) for each in found])


def write_delivery(this: delivery.Delivery) -> models.Delivery:
    """One of them, its URL without what lets in."""
    return models.Delivery(
        ID=this.id,
        URL=masks.url(this.url),
        Type=this.kind,
        State=this.state.value,
        CreatedAt=this.created_at,
        NextTryAt=this.due_at,
        Tries=[models.CallbackTry(At=each.at, Status=each.status, Error=each.error) for each in this.tries],
    )
