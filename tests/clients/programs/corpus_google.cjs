// Every kind of request that Google's client for Node sends; RECORDER is where to, the first segment names each.

const { GoogleGenAI } = require("@google/genai");
const { PIXEL, ASK, WEATHER, SCHEMA, drive, recorder } = require("./corpus_parts.cjs");

const model = "gemini-2.5-flash";
const tools = [{ functionDeclarations: [{ name: "weather", description: "Tells it", parametersJsonSchema: WEATHER }] }];
const picture = [{ inlineData: { mimeType: "image/png", data: PIXEL } }, { text: "What is it?" }];
const conversation = [
  { role: "user", parts: [{ text: "Weather?" }] },
  { role: "model", parts: [{ functionCall: { name: "weather", args: { place: "Oslo" } } }] },
  { role: "user", parts: [{ functionResponse: { name: "weather", response: { degrees: -3.5 } } }] },
];

const generate = (contents, config) => (client) => client.models.generateContent({ model, contents, config });

drive(
  {
    "generate-plain": generate(ASK),
    "generate-capped": generate(ASK, { maxOutputTokens: 64, temperature: 0.2, systemInstruction: "Be brief." }),
    "generate-tools": generate(ASK, { tools }),
    "generate-conversation": generate(conversation, { tools }),
    "generate-image": generate(picture),
    "generate-structured": generate(ASK, { responseMimeType: "application/json", responseJsonSchema: SCHEMA }),
    "generate-stream": (client) => client.models.generateContentStream({ model, contents: ASK }),
    "generate_count-plain": (client) => client.models.countTokens({ model, contents: ASK }),
    "embed-plain": (client) => client.models.embedContent({ model: "gemini-embedding-001", contents: ASK }),
  },
  (name) => new GoogleGenAI({ apiKey: "none", httpOptions: { baseUrl: recorder(name) } }),
);
