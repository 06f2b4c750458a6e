"""Counts are the provider's own: the same as tiktoken's and as those of another implementation."""

import json
import time
from pathlib import Path

import pytest
from tiktoken.model import encoding_name_for_model

from agents.pricebook import current_book
from proxy import tokenizers
from tests.fakes import counting

# Counted by bpe-openai 0.1.4, which shares no code with tiktoken.
COUNTED = Path(__file__).resolve().parents[1] / "data" / "token_counts.jsonl"
SAMPLES = [json.loads(line) for line in COUNTED.read_text().splitlines()]
ENCODINGS = ("o200k_base", "cl100k_base")
# tiktoken reads a fine-tuned gpt-4.1 as a gpt-4, by the start of its id, and does not know a fine-tuned o4-mini.
# The oldest base models, without chat, are not counted.
TIKTOKEN_ERRS = ("ft:gpt-4.1", "ft:o4-mini", "ft:davinci", "ft:babbage")


def count(encoding, *texts):
    return tokenizers.count(encoding, texts, is_over=lambda: False)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample["name"])
def test_another_implementation_counts_the_same(sample, encoding):
    assert count(encoding, sample["text"]) == sample[encoding]


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_texts_are_parted_as_tiktoken_parts_them(encoding):
    assert tokenizers._PATTERNS[encoding] == counting.encoding(encoding)._pat_str


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_the_name_of_a_special_token_is_ordinary_text(encoding):
    assert count(encoding, "<|endoftext|>") > 1


def test_equal_texts_count_each_time():
    assert count("o200k_base", "hello world", "hello world", "") == 4


def test_the_models_are_those_that_tiktoken_knows():
    chat = [model for model in current_book().models("openai") if model.startswith(("gpt-", "o", "chatgpt-", "ft:"))]
    assert len(chat) > 100
    for model in chat:
        try:
            theirs = encoding_name_for_model(model)
        except KeyError:
            theirs = None
        assert tokenizers.encoding_of("openai", model) == theirs or model.startswith(TIKTOKEN_ERRS), model


def test_every_current_family_has_its_encoding_and_gpt_6_has_none():
    for model in ("gpt-4o", "gpt-4o-mini", "gpt-4.1-nano", "gpt-5", "gpt-5.6-sol", "o1", "o3-mini", "o4-mini"):
        assert tokenizers.encoding_of("openai", model) == "o200k_base"
    for model in ("gpt-4", "gpt-4-turbo", "gpt-3.5-turbo-0125", "ft:gpt-3.5-turbo:acme::x"):
        assert tokenizers.encoding_of("openai", model) == "cl100k_base"
    for model in ("gpt-6-luna", "gpt-6.1-sol", "gpt-50", "gpt-40", "o5", "claude-opus-5-5", "chat-latest", "ft:", ""):
        assert tokenizers.encoding_of("openai", model) is None


def test_a_fine_tuned_model_reads_what_its_base_reads():
    assert tokenizers.encoding_of("openai", "ft:gpt-4.1-mini-2025-04-14:acme::x") == "o200k_base"


def test_only_openai_itself_is_known_to_use_its_tokenizers():
    assert tokenizers.encoding_of("anthropic", "gpt-4o") is None
    assert tokenizers.encoding_of("openrouter", "gpt-4o") is None


@pytest.mark.parametrize("text", ["word " * 30_000, "x" * 100_000, "漢字" * 40_000, "12345" * 20_000])
def test_a_text_in_pieces_counts_no_less_than_the_whole(text):
    pieces = len(text) // tokenizers.PIECE_CHARACTERS_MAX
    whole = len(counting.encoding("o200k_base").encode_ordinary(text))
    assert whole <= count("o200k_base", text) <= whole + (tokenizers.CUT_TOKENS + 2) * pieces


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("letter", [" ", "\t ", "a", "\n", "漢", "^", "aA", "\u0301"])
def test_a_million_bytes_of_anything_are_counted_in_time(letter, encoding):
    text = letter * (1_000_000 // len(letter.encode()))
    began = time.thread_time()
    assert count(encoding, text) > 0
    assert time.thread_time() - began < 5


def test_a_count_stops_between_pieces_once_its_time_is_over():
    asked = iter([False, True])
    with pytest.raises(tokenizers.TooSlow):
        tokenizers.count("o200k_base", ["x" * 3 * tokenizers.PIECE_CHARACTERS_MAX], is_over=lambda: next(asked))
