"""One customer's basket: the demand that both the model and the dataset hand to the stream.

What must stay true: a basket is demand only. Everything that is made around it (priority, amendments, supply) is added
by the stream, so that the same making works on invented and on real baskets.
"""

import msgspec


class Basket(msgspec.Struct, frozen=True):
    """What one customer asks for at once.

    Attributes:
        at: when the order was accepted (µs, UTC).
        basket_id: unique within its stream; becomes the order id.
        customer_id: the household.
        channel: the store or sales channel.
        lines: (SKU, quantity >= 1), no SKU twice.
    """

    at: int
    basket_id: str
    customer_id: str
    channel: str
    lines: tuple[tuple[str, int], ...]
