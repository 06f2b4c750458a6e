// Anthropic's own client for Node.

const { Anthropic } = require("@anthropic-ai/sdk");
const { run, ASK, ASK_TOOL, ANTHROPIC_MODEL, OUTPUT_TOKENS, LOOK } = require("./told.cjs");

const tools = [{ name: "look", input_schema: LOOK }];
const call = { model: ANTHROPIC_MODEL, max_tokens: OUTPUT_TOKENS };
const messages = (text) => [{ role: "user", content: text }];
const textOf = (message) => message.content.filter((block) => block.type === "text").map((block) => block.text).join("");

async function plain() {
  return { text: textOf(await new Anthropic().messages.create({ ...call, messages: messages(ASK) })) };
}

async function stream() {
  const pieces = [];
  const running = new Anthropic().messages.stream({ ...call, messages: messages(ASK) });
  running.on("text", (piece) => pieces.push(piece));
  const message = await running.finalMessage();
  return { text: textOf(message), pieces: pieces.length, output_tokens: message.usage.output_tokens };
}

async function tool() {
  const message = await new Anthropic().messages.create({ ...call, messages: messages(ASK_TOOL), tools });
  const use = message.content.find((block) => block.type === "tool_use");
  return { tool: use.name, arguments: use.input };
}

run("@anthropic-ai/sdk", { plain, stream, tool, refusal: plain, stream_refusal: stream });
