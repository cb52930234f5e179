"""One item -> one outcome: build its request, and have it settled."""

from collections.abc import Callable

from airflow_async_rest.core.errors import ItemError, let_go
from airflow_async_rest.core.models import NO_VALUES, Delivered, Item, Outcome, Request
from airflow_async_rest.core.sending.attempts import Exchange


class Delivery:
    """Delivers items one at a time; any number of workers share it.

    :param build: item -> request; raises :class:`ItemError` when there is none.
    """

    def __init__(self, build: Callable[[Item], Request], exchange: Exchange) -> None:
        self._build = build
        self._exchange = exchange

    async def deliver(self, item: Item) -> Outcome:
        """Deliver one item, or say why it could not be delivered.

        :raises QuotaExhaustedError: when the API asks for a longer pause than we honour.
        """
        try:
            request = self._build(item)
        except ItemError as error:
            let_go(error)
            return self._exchange.unsent(item, error.reason, str(error))
        # They need not be kept until the answer is there: the request has them.
        item.row = NO_VALUES
        item.payload = None
        settled = await self._exchange.settle(request, uncertain=item.uncertain)
        if settled.delivered:
            return Delivered(item.index, settled.attempts, settled.already_there)
        return self._exchange.dead_letter(item, request, settled)
