"""The real OpenAI client's images, speech, transcripts and translations."""

import time
from typing import Any

import httpx
import openai
import pytest

from tests.fakes import forms
from tests.fakes.speech_api import PIECE
from tests.proxy.providers.recordings import mp3, wav
from tests.proxy.stage import Stage, all_settled, settled
from tests.proxy.test_every_endpoint import PNG


def refused(call: Any) -> str:
    """The sentence of a refusal that reached the client as the SDK's own exception."""
    with pytest.raises(openai.BadRequestError) as caught:
        call()
    assert caught.value.response.headers["x-should-retry"] == "false"
    return str(caught.value.message)


def test_an_image_answers_and_is_billed_to_the_last_digit(on: Stage) -> None:
    worker = on.worker()
    answer = on.openai_client(worker.key).images.with_raw_response.generate(
        model="gpt-image-1.5", prompt="A dot [[thinking=90]]", n=2, size="1024x1024", quality="medium"
    )
    images = answer.parse()
    assert images.data is not None
    assert [image.b64_json for image in images.data] == ["iVBORw0KGgo="] * 2
    row = settled(answer.headers["x-awx-call-id"])
    assert (row.endpoint, row.output_tokens, row.pricing["image_output"]) == ("image_generations", 90, 2_112)
    assert worker.spent_pico == on.fake.billed_pico() > 0


def test_a_streamed_image_passes_event_by_event(on: Stage) -> None:
    worker = on.worker()
    stream = on.openai_client(worker.key).images.generate(
        model="gpt-image-1.5", prompt="A dot", partial_images=2, stream=True
    )
    kinds = ["image_generation.partial_image"] * 2 + ["image_generation.completed"]
    assert [event.type for event in stream] == kinds
    all_settled()
    assert worker.spent_pico == on.fake.billed_pico() > 0


def test_an_edit_sends_the_form_and_is_billed_for_what_it_shows(on: Stage) -> None:
    worker = on.worker()
    files = [("a.png", PNG, "image/png"), ("b.png", PNG, "image/png")]
    answer = on.openai_client(worker.key).images.with_raw_response.edit(
        model="openai/gpt-image-1.5", prompt="Redder", image=files, mask=("m.png", PNG), input_fidelity="high", n=1
    )
    assert answer.parse().data
    assert settled(answer.headers["x-awx-call-id"]).pricing["image_input"] == 3 * (194 + 4_160)
    assert worker.spent_pico == on.fake.billed_pico() > 0
    sent = on.fake.log()[-1]
    assert sent["headers"]["content-type"].startswith("multipart/form-data; boundary=awx-")
    assert 'name="model"\r\n\r\ngpt-image-1.5\r\n' in sent["body"]


def test_an_image_of_any_size_is_refused_with_the_models_that_have_one(on: Stage) -> None:
    client = on.openai_client(on.worker().key)
    assert "gpt-image-1.5" in refused(lambda: client.images.generate(model="gpt-image-2", prompt="A dot"))
    assert on.fake.stats()["requests"] == 0


def test_an_image_over_the_budget_is_refused_before_the_provider(on: Stage) -> None:
    worker = on.worker("0.01")
    worker.guard(clamp_output=True, tokens_per_minute=100_000)
    with pytest.raises(openai.RateLimitError):
        on.openai_client(worker.key).images.generate(model="gpt-image-1.5", prompt="A dot")
    assert on.fake.stats()["requests"] == 0


def test_a_guard_that_clamps_leaves_an_image_as_it_was_asked_for(on: Stage) -> None:
    worker = on.worker()
    worker.guard(clamp_output=True, tokens_per_minute=20_000, max_output_tokens=300)
    answer = on.openai_client(worker.key).images.with_raw_response.generate(model="gpt-image-1.5", prompt="A dot")
    assert "x-awx-max-output-tokens" not in answer.headers
    assert settled(answer.headers["x-awx-call-id"]).basis == "usage"


def test_speech_passes_byte_for_byte_and_costs_its_characters(on: Stage) -> None:
    worker = on.worker()
    answer = on.openai_client(worker.key).audio.speech.with_raw_response.create(
        model="tts-1-hd", input="Say häl[[chunks=7]]lo", voice="alloy"
    )
    assert answer.content == PIECE * 7
    assert answer.headers["content-type"] == "audio/mpeg"
    row = settled(answer.headers["x-awx-call-id"])
    assert (row.basis, row.cost_pico) == ("usage", 21 * 30_000_000)
    assert worker.spent_pico == on.fake.billed_pico()


def test_speech_arrives_piece_by_piece_and_not_in_one_burst(on: Stage) -> None:
    headers = {"authorization": f"Bearer {on.worker().key}"}
    body = {"model": "tts-1", "input": "[[chunks=6 chunk_ms=60]]", "voice": "alloy"}
    arrivals = []
    with httpx.stream("POST", f"{on.server.openai_base_url}/audio/speech", json=body, headers=headers) as response:
        arrivals.extend(time.monotonic() for _ in response.iter_raw())
    assert arrivals[-1] - arrivals[0] > 0.15


def test_speech_that_breaks_off_is_not_taken_for_whole_and_is_charged(on: Stage) -> None:
    worker = on.worker()
    body = {"model": "tts-1", "input": "[[cut_after=2]]", "voice": "alloy"}
    with pytest.raises(httpx.RemoteProtocolError):
        on.post(worker.key, "/v1/audio/speech", json=body)
    all_settled()
    (row,) = worker.calls()
    assert (row.reason, row.failed, row.cost_pico) == ("provider_cut_off", True, on.fake.billed_pico())


def test_speech_that_is_billed_by_its_length_is_refused(on: Stage) -> None:
    client = on.openai_client(on.worker().key)
    sentence = refused(lambda: client.audio.speech.create(model="gpt-4o-mini-tts", input="hi", voice="alloy"))
    assert "tts-1" in sentence
    assert on.fake.stats()["requests"] == 0


@pytest.mark.parametrize("form", ["json", "verbose_json", "text", "srt", "vtt"])
def test_a_minute_costs_sixty_times_the_rate_whatever_form_the_transcript_has(on: Stage, form: Any) -> None:
    """Scenario B11: the bill of a file of 60 seconds is 60 seconds, by the provider's word or by what was measured."""
    worker = on.worker()
    answer = on.openai_client(worker.key).audio.transcriptions.with_raw_response.create(
        model="whisper-1", file=("minute.wav", wav(60)), response_format=form, timestamp_granularities=["word"]
    )
    assert "word" in answer.text
    row = settled(answer.headers["x-awx-call-id"])
    assert (row.basis, row.cost_pico) == ("usage" if "json" in form else "estimated", 6 * 10**9)
    assert worker.spent_pico == on.fake.billed_pico()
    sent = on.fake.log()[-1]
    named = forms.read(sent["body"].encode(), sent["headers"]["content-type"])
    assert (named["timestamp_granularities[]"], named["response_format"]) == ("word", form)


def test_a_translation_without_a_bill_is_charged_what_was_measured(on: Stage) -> None:
    worker = on.worker()
    answer = on.openai_client(worker.key).audio.translations.with_raw_response.create(
        model="whisper-1", file=("a.wav", wav(2.5)), prompt="[[no_usage=1]]"
    )
    row = settled(answer.headers["x-awx-call-id"])
    assert (row.endpoint, row.basis, row.cost_pico) == ("translations", "estimated", 3 * 10**8)
    assert worker.spent_pico == on.fake.billed_pico()


def test_recordings_and_models_that_cannot_be_measured_are_refused_with_what_can(on: Stage) -> None:
    client = on.openai_client(on.worker().key)
    transcribe = client.audio.transcriptions.create
    assert "MP3" in refused(lambda: transcribe(model="whisper-1", file=("a.ogg", b"OggS" + bytes(99))))
    assert "whisper-1" in refused(lambda: transcribe(model="gpt-4o-transcribe", file=("a.wav", wav(1))))
    assert "between its frames" in refused(lambda: transcribe(model="whisper-1", file=("a.mp3", mp3(3) + b"junk")))
    assert on.fake.stats()["requests"] == 0


def test_a_form_where_json_is_taken_and_json_where_a_form_is_say_so(on: Stage) -> None:
    worker = on.worker()
    form = on.post(worker.key, "/v1/audio/speech", files={"input": ("a", b"hi")})
    json = on.post(worker.key, "/v1/audio/transcriptions", json={"model": "whisper-1"})
    assert (form.status_code, json.status_code) == (400, 400)
    assert "takes JSON" in form.json()["error"]["message"]
    assert "multipart/form-data" in json.json()["error"]["message"]
    assert on.fake.stats()["requests"] == 0
