// Every kind of request that OpenAI's client for Node sends; RECORDER is where to, the first segment names each.

const { OpenAI } = require("openai");
const { PIXEL, ASK, WEATHER, SCHEMA, drive, recorder } = require("./corpus_parts.cjs");

const model = "gpt-4o-mini";
const messages = [{ role: "user", content: ASK }];
const tools = [{ type: "function", function: { name: "weather", parameters: WEATHER, strict: true } }];
const flatTools = [{ type: "function", name: "weather", parameters: WEATHER, strict: true }];
const picture = [
  { type: "text", text: "What is it?" },
  { type: "image_url", image_url: { url: `data:image/png;base64,${PIXEL}`, detail: "low" } },
];
const schema = { type: "json_schema", json_schema: { name: "weather", schema: SCHEMA, strict: true } };
const conversation = [
  { role: "system", content: "Be brief." },
  ...messages,
  {
    role: "assistant",
    content: null,
    tool_calls: [{ id: "call_1", type: "function", function: { name: "weather", arguments: '{"place": "Oslo"}' } }],
  },
  { role: "tool", tool_call_id: "call_1", content: '{"degrees": -3.5}' },
];

const chat = (fields) => (client) => client.chat.completions.create({ model, messages, ...fields });
const responses = (fields) => (client) => client.responses.create({ model, input: ASK, ...fields });
const embeddings = (fields) => (client) => client.embeddings.create({ model: "text-embedding-3-small", ...fields });

drive(
  {
    "chat-plain": chat({}),
    "chat-capped": chat({ max_completion_tokens: 50, temperature: 0.2, stop: ["END"], user: "user-7" }),
    "chat-stream": chat({ stream: true }),
    "chat-stream-usage": chat({ stream: true, stream_options: { include_usage: true } }),
    "chat-stream-helper": (client) => client.chat.completions.stream({ model, messages }),
    "chat-tools": chat({ tools, tool_choice: "required" }),
    "chat-conversation": chat({ messages: conversation, tools }),
    "chat-image": chat({ messages: [{ role: "user", content: picture }] }),
    "chat-structured": chat({ response_format: schema }),
    "chat-parsed": (client) => client.chat.completions.parse({ model, messages, response_format: schema }),
    "responses-plain": responses({}),
    "responses-stream": responses({ stream: true, max_output_tokens: 64 }),
    "responses-tools": responses({ tools: flatTools }),
    "embeddings-plain": embeddings({ input: ASK }),
    "embeddings-many": embeddings({ input: ["one", "two"], dimensions: 256 }),
  },
  (name) => new OpenAI({ baseURL: `${recorder(name)}/v1`, apiKey: "none", maxRetries: 0 }),
);
