// Google's own client for Node. API_VERSION is which form it speaks, where not its own.

const { GoogleGenAI } = require("@google/genai");
const { run, ASK, ASK_TOOL, GEMINI_MODEL, OUTPUT_TOKENS, LOOK } = require("./told.cjs");

const config = { maxOutputTokens: OUTPUT_TOKENS };
const tools = [{ functionDeclarations: [{ name: "look", description: "Looks", parametersJsonSchema: LOOK }] }];
const options = { apiKey: process.env.GEMINI_API_KEY, apiVersion: process.env.API_VERSION };
const models = () => new GoogleGenAI(options).models;

async function plain() {
  return { text: (await models().generateContent({ model: GEMINI_MODEL, contents: ASK, config })).text };
}

async function stream() {
  const pieces = [];
  for await (const chunk of await models().generateContentStream({ model: GEMINI_MODEL, contents: ASK, config })) {
    if (chunk.text) pieces.push(chunk.text);
  }
  return { text: pieces.join(""), pieces: pieces.length };
}

async function tool() {
  const answer = await models().generateContent({ model: GEMINI_MODEL, contents: ASK_TOOL, config: { ...config, tools } });
  const { name, args } = answer.functionCalls[0];
  return { tool: name, arguments: args };
}

run("@google/genai", { plain, stream, tool, refusal: plain, stream_refusal: stream });
