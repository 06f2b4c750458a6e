"""Money: whole pico-dollars (1 USD = 10**12 p$), rounded up, and its written forms."""

import re

PICO_PER_USD = 10**12
AMOUNT_MAX_USD = 9_000_000  # a bigint holds 9.22 million dollars in pico-dollars

_AMOUNT = re.compile(r"([0-9]*)(?:\.([0-9]*))?", re.ASCII)
_PLACES = 12
_EXACT_PLACES_MIN = 6
_DISPLAY_PLACES_MIN = 2
_NO_PLACES = "0" * _EXACT_PLACES_MIN


class InvalidAmount(ValueError):
    """A text that is not an amount of dollars we can hold; `reason` is a sentence for its writer."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def divide_up(numerator: int, denominator: int) -> int:
    """Divide and round towards plus infinity; the denominator must be positive."""
    return -(-numerator // denominator)


def parse_usd(text: str) -> int:
    """Read a plain decimal number of dollars ("5", "0.000001", "$12.50") as pico-dollars."""
    digits = text.strip().removeprefix("$")
    if digits.startswith("-"):
        raise InvalidAmount("The amount must not be negative.")
    match = _AMOUNT.fullmatch(digits)
    if match is None or not any(match.groups()):
        raise InvalidAmount("Write the amount as a plain number of dollars, such as 5 or 12.50.")
    whole, fraction = match[1].lstrip("0"), match[2] or ""
    if len(fraction) > _PLACES:
        raise InvalidAmount("The amount has more than 12 decimal places.")
    if len(whole) > len(str(AMOUNT_MAX_USD)):
        raise _too_large()
    pico = int(whole or "0") * PICO_PER_USD + int(fraction.ljust(_PLACES, "0"))
    if pico > AMOUNT_MAX_USD * PICO_PER_USD:
        raise _too_large()
    return pico


def usd_exact(pico: int) -> str:
    """Write pico-dollars as dollars without losing a digit, with at least six places: "0.003500"."""
    sign = "-" if pico < 0 else ""
    whole, rest = divmod(abs(pico), PICO_PER_USD)
    if not rest:
        return f"{sign}{whole}.{_NO_PLACES}"
    digits = str(rest).zfill(_PLACES)
    return f"{sign}{whole}.{digits[:_EXACT_PLACES_MIN]}{digits[_EXACT_PLACES_MIN:].rstrip('0')}"


def usd_display(pico: int) -> str:
    """Write pico-dollars for people: "$12.30", "$0.0042"; never "$0.00" for an amount that is not zero."""
    sign = "-" if pico < 0 else ""
    rounded = _rounded(abs(pico))
    whole, rest = divmod(rounded, PICO_PER_USD)
    digits = str(rest).zfill(_PLACES)
    shown = digits.rstrip("0").ljust(_DISPLAY_PLACES_MIN, "0")
    return f"{sign}${whole:,}.{shown}"


def usd_full(pico: int) -> str:
    """Write pico-dollars with every digit and at least two places: "$0.125", "$3.00", "$1,500.00"."""
    sign = "-" if pico < 0 else ""
    whole, _, places = usd_exact(abs(pico)).partition(".")
    return f"{sign}${int(whole):,}.{places.rstrip('0').ljust(_DISPLAY_PLACES_MIN, '0')}"


def _too_large() -> InvalidAmount:
    return InvalidAmount(f"The amount is larger than {AMOUNT_MAX_USD:,} dollars.")


def _rounded(pico: int) -> int:
    """Round half up to the cent, or to two significant digits below ten cents."""
    places_cut = _PLACES - _DISPLAY_PLACES_MIN
    unit: int = 10 ** max(0, min(places_cut, len(str(pico)) - 2))
    return (pico + unit // 2) // unit * unit
