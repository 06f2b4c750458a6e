"""The built-in provider of test keys: believable text, usage and streams, made here, at list price."""

from collections.abc import Callable
from dataclasses import dataclass

from proxy.providers.model_request import ModelRequest
from proxy.providers.sandbox import (
    chat,
    completions,
    contents,
    embeddings,
    images,
    messages,
    moderations,
    responses,
    speech,
    transcriptions,
)
from proxy.providers.targets import Target

__all__ = ["SandboxAnswer", "answer"]

type Writer = Callable[[ModelRequest, Target, bytes], list[bytes]]

# A new surface is one more line here.
_WRITERS: dict[str, Writer] = {
    "chat": chat.chunks_of,
    "completions": completions.chunks_of,
    "embeddings": embeddings.chunks_of,
    "moderations": moderations.chunks_of,
    "image_generations": images.chunks_of,
    "image_edits": images.chunks_of,
    "speech": speech.chunks_of,
    "transcriptions": transcriptions.chunks_of,
    "translations": transcriptions.chunks_of,
    "messages": messages.chunks_of,
    "count_tokens": messages.chunks_of,
    "responses": responses.chunks_of,
    "input_tokens": responses.chunks_of,
    "generate_content": contents.chunks_of,
    "stream_generate_content": contents.chunks_of,
    "count_content_tokens": contents.count_of,
    "embed_content": contents.embeddings_of,
    "batch_embed_contents": contents.embeddings_of,
}
# What answers with something else than JSON or events.
_TYPES: dict[str, Callable[[ModelRequest], str]] = {
    "speech": speech.content_type,
    "transcriptions": transcriptions.content_type,
    "translations": transcriptions.content_type,
}


@dataclass(frozen=True, slots=True)
class SandboxAnswer:
    """What a provider would have sent; chunks are the body in the pieces of a stream, or one piece."""

    status: int
    headers: list[tuple[str, str]]
    chunks: list[bytes]


def answer(request: ModelRequest, target: Target, sent: bytes) -> SandboxAnswer:
    """Answer a request as its provider would. sent: the bytes that would have been forwarded."""
    content_type = f"{request.stream_type}; charset=utf-8" if request.stream else "application/json"
    if type_of := _TYPES.get(request.endpoint.name):
        content_type = type_of(request)
    chunks = _WRITERS[request.endpoint.name](request, target, sent)
    return SandboxAnswer(200, [("content-type", content_type)], chunks)
