"""Price books that priced calls, as they were then: kept in the database, since the file goes on."""

import orjson

from agents.models import PriceBookVersion
from agents.pricebook import PriceBook, current_book
from agents.pricing.dated import dated_row


def kept_book(version: str) -> PriceBook | None:
    """Return the price book of a version, the present one or one that was kept; None where it was not."""
    if version == current_book().version:
        return current_book()
    kept = PriceBookVersion.objects.filter(version=version).first()
    if kept is None:
        return None
    return PriceBook((dated_row(row) for row in orjson.loads(kept.content)["rows"]), version=version)
