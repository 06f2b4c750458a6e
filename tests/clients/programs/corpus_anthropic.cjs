// Every kind of request that Anthropic's client for Node sends; RECORDER is where to, the first segment names each.

const { Anthropic } = require("@anthropic-ai/sdk");
const { PIXEL, ASK, WEATHER, SCHEMA, drive, recorder } = require("./corpus_parts.cjs");

const common = { model: "claude-haiku-4-5", max_tokens: 64, messages: [{ role: "user", content: ASK }] };
const tools = [{ name: "weather", description: "Tells it", input_schema: WEATHER }];
const picture = [
  { type: "image", source: { type: "base64", media_type: "image/png", data: PIXEL } },
  { type: "text", text: "What is it?" },
];
const conversation = [
  ...common.messages,
  { role: "assistant", content: [{ type: "tool_use", id: "toolu_1", name: "weather", input: { place: "Oslo" } }] },
  { role: "user", content: [{ type: "tool_result", tool_use_id: "toolu_1", content: [{ type: "text", text: "-3.5" }] }] },
];

const create = (fields) => (client) => client.messages.create({ ...common, ...fields });

drive(
  {
    "messages-plain": create({}),
    "messages-stream": create({ stream: true }),
    "messages-stream-helper": (client) => client.messages.stream(common),
    "messages-tools": create({ tools, tool_choice: { type: "any" } }),
    "messages-conversation": create({ messages: conversation, tools }),
    "messages-image": create({ messages: [{ role: "user", content: picture }] }),
    "messages-system": create({ system: [{ type: "text", text: "Be brief.", cache_control: { type: "ephemeral" } }] }),
    "messages-structured": create({ output_config: { format: { type: "json_schema", schema: SCHEMA } } }),
    "messages-knobs": create({ temperature: 0.2, stop_sequences: ["END"], metadata: { user_id: "user-7" } }),
    "count_tokens-plain": (client) =>
      client.messages.countTokens({ model: common.model, messages: common.messages, tools }),
  },
  (name) => new Anthropic({ baseURL: recorder(name), apiKey: "none", maxRetries: 0 }),
);
