"""OpenAI's speech, by the models that are billed for the characters they read: the cost is known from the request."""

from collections.abc import Mapping

import orjson

from agents.pricing import Bound, Usage
from proxy.errors import Dialect, UnboundedCall, UnpricedFeature
from proxy.headers import check_betas
from proxy.providers.endpoints import Endpoint, Route
from proxy.providers.fingerprints import facts_of_prompt
from proxy.providers.metered import Basis, Metered, StreamMeter
from proxy.providers.model_request import ModelRequest
from proxy.providers.openai.fields import check_json, check_unknown
from proxy.providers.outgoing import Outgoing
from proxy.providers.parsing import parse_object, required_word
from proxy.providers.targets import Target

SPEECH = Endpoint("speech", Dialect.OPENAI, "POST", "/v1/audio/speech", "/audio/speech", kept=False)
ENDPOINTS = (SPEECH,)

BY_CHARACTERS = frozenset({"tts-1", "tts-1-1106", "tts-1-hd", "tts-1-hd-1106"})
KNOWN = frozenset({"input", "instructions", "model", "response_format", "speed", "stream_format", "voice"})


def read_request(route: Route, body: bytes, headers: Mapping[str, str]) -> ModelRequest:
    """Read and check a request for speech; raises the refusals of proxy.errors."""
    check_betas(headers, Dialect.OPENAI)
    check_json(headers)
    parsed, _ = parse_object(body)
    model, text = required_word(parsed, "model"), required_word(parsed, "input")
    check_unknown(parsed, KNOWN)
    if isinstance(parsed.get("voice"), dict):
        raise UnpricedFeature(feature="a voice of one's own", param="voice", hint="Name one of the built-in voices.")
    return ModelRequest(
        endpoint=route.endpoint,
        model=model,
        body=parsed,
        streams_any=True,
        output_cap=0,
        beside=Bound(0, 0, characters=len(text)),
        facts=facts_of_prompt(body),
    )


def prepare(request: ModelRequest, target: Target) -> Outgoing:
    """Serialise for a target: its model id. Raises UnboundedCall for a model that is billed otherwise."""
    if target.model not in BY_CHARACTERS:
        raise UnboundedCall(
            what=f"{target.model} is billed for how long it speaks, which no text bounds",
            param="model",
            hint="Use tts-1 or tts-1-hd, billed by the character.",
        )
    sent = orjson.dumps(request.body | {"model": target.model})
    return Outgoing(request=request, target=target, body=sent, input_tokens=0, cap_field="")


def read_answer(request: ModelRequest, body: bytes) -> Metered:
    """What was asked for is billed; the answer is sound and says nothing."""
    return _metered(request, finished=True)


def stream_meter(request: ModelRequest) -> StreamMeter:
    """A meter that only notes whether the sound came to its end."""
    return _SoundMeter(request)


class _SoundMeter:
    """Bytes pass as they came."""

    def __init__(self, request: ModelRequest) -> None:
        self._request = request
        self._ended = False

    def feed(self, chunk: bytes) -> bytes:
        """The chunk as it is."""
        return chunk

    def flush(self) -> bytes:
        """The provider's stream has ended; nothing is held back."""
        self._ended = True
        return b""

    def finish(self) -> Metered:
        """All characters, also of a sound that was cut."""
        return _metered(self._request, finished=self._ended)


def _metered(request: ModelRequest, *, finished: bool) -> Metered:
    return Metered(usage=Usage(characters=request.beside.characters), basis=Basis.USAGE, finished=finished)
