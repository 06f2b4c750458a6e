"""What a practice answer says, and how long it is."""

from dataclasses import dataclass
from hashlib import blake2b

from proxy.providers.model_request import ModelRequest

BYTES_PER_TOKEN = 4
TEXT = (
    "This is a practice answer from the sandbox. No provider was called and no money was spent, but the usage,"
    " the cost and the budget behave as they would with a live key. Change the key to awx_live_ when you are"
    " ready, and the same code talks to the real model."
)
WORDS = tuple(TEXT.split(" "))
CREATED_AT = 1_767_225_600  # a fixed moment: equal requests get equal answers


@dataclass(frozen=True, slots=True)
class Text:
    """The words of one answer and what they count as; cut: the output bound ended it."""

    id: str
    words: list[str]
    input_tokens: int
    output_tokens: int
    cut: bool


def text_of(request: ModelRequest, sent: bytes, cap: int) -> Text:
    """The answer to these bytes under an output bound; a word counts as one token."""
    digest = blake2b(sent, digest_size=12)
    words = WORDS[: max(0, cap)]
    return Text(
        id=digest.hexdigest(),
        words=[word if at == 0 else f" {word}" for at, word in enumerate(words)],
        input_tokens=(len(sent) - request.hidden.media_bytes) // BYTES_PER_TOKEN + 1,
        output_tokens=len(words),
        cut=len(words) < len(WORDS),
    )
