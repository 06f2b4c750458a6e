// OpenAI's own client for Node.

const { OpenAI } = require("openai");
const { run, ASK, ASK_TOOL, OPENAI_MODEL, OUTPUT_TOKENS, LOOK } = require("./told.cjs");

const tools = [{ type: "function", function: { name: "look", parameters: LOOK } }];
const call = { model: OPENAI_MODEL, max_completion_tokens: OUTPUT_TOKENS };
const messages = (text) => [{ role: "user", content: text }];

async function plain() {
  const answer = await new OpenAI().chat.completions.create({ ...call, messages: messages(ASK) });
  return { text: answer.choices[0].message.content };
}

async function stream() {
  const pieces = [];
  for await (const chunk of await new OpenAI().chat.completions.create({ ...call, messages: messages(ASK), stream: true })) {
    if (chunk.choices[0].delta.content) pieces.push(chunk.choices[0].delta.content);
  }
  return { text: pieces.join(""), pieces: pieces.length };
}

async function tool() {
  const answer = await new OpenAI().chat.completions.create({ ...call, messages: messages(ASK_TOOL), tools });
  const { name, arguments: given } = answer.choices[0].message.tool_calls[0].function;
  return { tool: name, arguments: JSON.parse(given) };
}

const response = { model: OPENAI_MODEL, max_output_tokens: OUTPUT_TOKENS };
const flatTools = [{ type: "function", name: "look", parameters: LOOK, strict: false }];

async function responsesPlain() {
  return { text: (await new OpenAI().responses.create({ ...response, input: ASK })).output_text };
}

async function responsesStream() {
  const pieces = [];
  for await (const event of await new OpenAI().responses.create({ ...response, input: ASK, stream: true })) {
    if (event.type === "response.output_text.delta") pieces.push(event.delta);
  }
  return { text: pieces.join(""), pieces: pieces.length };
}

async function responsesTool() {
  const { output } = await new OpenAI().responses.create({ ...response, input: ASK_TOOL, tools: flatTools });
  const { name, arguments: given } = output.find((item) => item.type === "function_call");
  return { tool: name, arguments: JSON.parse(given) };
}

run("openai", {
  plain,
  stream,
  tool,
  responses_plain: responsesPlain,
  responses_stream: responsesStream,
  responses_tool: responsesTool,
  refusal: plain,
  stream_refusal: stream,
  responses_refusal: responsesPlain,
});
