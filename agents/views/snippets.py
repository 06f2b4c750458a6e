"""Ready-to-paste beginnings: two lines change, the rest is what people have already."""

from dataclasses import dataclass

OPENAI_MODEL = "gpt-4o-mini"
ANTHROPIC_MODEL = "claude-haiku-4-5"
GEMINI_MODEL = "gemini-2.5-flash"
_MASK = "…"


@dataclass(frozen=True, slots=True)
class Snippet:
    """A text to copy, for one way of calling a model."""

    slug: str
    title: str
    text: str
    note: str = ""


def snippets(root: str, key: str) -> list[Snippet]:
    """Every snippet with its key and address filled in.

    root: the proxy's address; OpenAI's clients want /v1 after it, Anthropic's add it themselves, Google's want /gemini.
    """
    fill = {"root": root, "key": key, "openai": OPENAI_MODEL, "anthropic": ANTHROPIC_MODEL, "gemini": GEMINI_MODEL}
    return [Snippet(slug, title, text.format(**fill), note) for slug, title, text, note in _SNIPPETS]


def named_snippets(root: str, key: str) -> list[Snippet]:
    """Every snippet in which the call names its agent, for a key that is no agent's own; root, key: as above."""
    fill = {"root": root, "key": key, "openai": OPENAI_MODEL}
    return [Snippet(slug, title, text.format(**fill), note) for slug, title, text, note in _NAMED_SNIPPETS]


def placeholder(public_id: str | None) -> str:
    """What stands for a key that cannot be shown any more."""
    return f"awx_live_{public_id}{_MASK}" if public_id else "awx_live_YOUR_KEY"


def trial_curl(root: str, key: str) -> str:
    """One call by hand, to see whether the address and the key work at all."""
    return _CURL.format(root=root, key=key, openai=OPENAI_MODEL)


_ENVIRONMENT = """\
export OPENAI_BASE_URL={root}/v1
export OPENAI_API_KEY={key}

export ANTHROPIC_BASE_URL={root}
export ANTHROPIC_API_KEY={key}

export GOOGLE_GEMINI_BASE_URL={root}/gemini
export GEMINI_API_KEY={key}"""

_PYTHON_OPENAI = """\
from openai import OpenAI

client = OpenAI(
    base_url="{root}/v1",
    api_key="{key}",
)
answer = client.chat.completions.create(
    model="{openai}",
    messages=[{{"role": "user", "content": "Say hello."}}],
)
print(answer.choices[0].message.content)"""

_PYTHON_ANTHROPIC = """\
from anthropic import Anthropic

client = Anthropic(
    base_url="{root}",
    api_key="{key}",
)
answer = client.messages.create(
    model="{anthropic}",
    max_tokens=200,
    messages=[{{"role": "user", "content": "Say hello."}}],
)
print(answer.content[0].text)"""

_PYTHON_GEMINI = """\
from google import genai

client = genai.Client(
    api_key="{key}",
    http_options={{"base_url": "{root}/gemini"}},
)
answer = client.models.generate_content(
    model="{gemini}",
    contents="Say hello.",
)
print(answer.text)"""

_NODE = """\
import OpenAI from "openai";

const client = new OpenAI({{
  baseURL: "{root}/v1",
  apiKey: "{key}",
}});
const answer = await client.chat.completions.create({{
  model: "{openai}",
  messages: [{{ role: "user", content: "Say hello." }}],
}});
console.log(answer.choices[0].message.content);"""

_LANGCHAIN = """\
from langchain_openai import ChatOpenAI

model = ChatOpenAI(
    model="{openai}",
    base_url="{root}/v1",
    api_key="{key}",
)
print(model.invoke("Say hello.").content)"""

_LLAMA_INDEX = """\
from llama_index.llms.openai import OpenAI

model = OpenAI(
    model="{openai}",
    api_base="{root}/v1",
    api_key="{key}",
    max_retries=0,
)
print(model.complete("Say hello."))"""

_LITELLM = """\
import litellm

answer = litellm.completion(
    model="openai/{openai}",
    api_base="{root}/v1",
    api_key="{key}",
    messages=[{{"role": "user", "content": "Say hello."}}],
)
print(answer.choices[0].message.content)"""

_CREWAI = """\
from crewai import LLM, Agent

writer = Agent(
    role="Writer",
    goal="Say hello",
    backstory="You greet people.",
    max_retry_limit=0,
    llm=LLM(
        model="openai/{openai}",
        base_url="{root}/v1",
        api_key="{key}",
    ),
)
print(writer.kickoff("Say hello.").raw)"""

_CURL = """\
curl {root}/v1/chat/completions \\
  -H "Authorization: Bearer {key}" \\
  -H "Content-Type: application/json" \\
  -d '{{"model": "{openai}", "messages": [{{"role": "user", "content": "Say hello."}}]}}'"""

_NAMED_CREWAI = """\
from crewai import LLM, Agent


def budgeted(agent_id):
    return LLM(
        model="openai/{openai}",
        base_url="{root}/v1",
        api_key="{key}",
        extra_headers={{"X-AWX-Agent-ID": agent_id}},
    )


researcher = Agent(
    role="Researcher",
    goal="Find the facts",
    backstory="You look things up.",
    llm=budgeted("researcher"),
)
writer = Agent(
    role="Writer",
    goal="Write them down",
    backstory="You like short sentences.",
    llm=budgeted("writer"),
)"""

_NAMED_PYTHON = """\
from openai import OpenAI

client = OpenAI(
    base_url="{root}/v1",
    api_key="{key}",
    default_headers={{"X-AWX-Agent-ID": "researcher"}},
)
answer = client.chat.completions.create(
    model="{openai}",
    messages=[{{"role": "user", "content": "Say hello."}}],
)
print(answer.choices[0].message.content)"""

_NAMED_CURL = """\
curl {root}/v1/chat/completions \\
  -H "Authorization: Bearer {key}" \\
  -H "X-AWX-Agent-ID: researcher" \\
  -H "Content-Type: application/json" \\
  -d '{{"model": "{openai}", "messages": [{{"role": "user", "content": "Say hello."}}]}}'"""

_NAMED_SNIPPETS = (
    ("named-crewai", "CrewAI", _NAMED_CREWAI, "Each role has its own budget."),
    ("named-python", "Python (OpenAI)", _NAMED_PYTHON, ""),
    ("named-curl", "curl", _NAMED_CURL, ""),
)

_NOTE_LLAMA_INDEX = "Without max_retries=0 it waits for a spent budget to reset, and says nothing meanwhile."
_NOTE_CREWAI = "CrewAI asks three times before a refusal with status 429 is final to it; none of them costs a cent."

_SNIPPETS = (
    ("environment", "Environment", _ENVIRONMENT, "For most programs two of these are the whole change."),
    ("python-openai", "Python (OpenAI)", _PYTHON_OPENAI, ""),
    ("python-anthropic", "Python (Anthropic)", _PYTHON_ANTHROPIC, "Anthropic’s client adds /v1 by itself."),
    ("python-gemini", "Python (Gemini)", _PYTHON_GEMINI, "Google’s client adds the version by itself."),
    ("node", "Node", _NODE, ""),
    ("langchain", "LangChain", _LANGCHAIN, ""),
    ("llama-index", "LlamaIndex", _LLAMA_INDEX, _NOTE_LLAMA_INDEX),
    ("litellm", "LiteLLM", _LITELLM, ""),
    ("crewai", "CrewAI", _CREWAI, _NOTE_CREWAI),
    ("curl", "curl", _CURL, ""),
)
