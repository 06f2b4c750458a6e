// Runs the steps that are named on the command line and prints what each saw: one JSON object on a line of its own.
// A program knows nothing of Shredder: addresses and keys come from the two variables that its SDK reads itself.

const fs = require("node:fs");
const path = require("node:path");

const ASK = "Say hello [[tokens_out=20]]";
const ASK_TOOL = "Look at one [[tool_calls=1]]";
const OPENAI_MODEL = "gpt-4o-mini";
const ANTHROPIC_MODEL = "claude-haiku-4-5";
const GEMINI_MODEL = "gemini-2.5-flash";
const OUTPUT_TOKENS = 100;
const LOOK = {
  type: "object",
  properties: { at: { type: "integer", description: "What to look at" } },
  required: ["at"],
};

async function run(packageName, steps) {
  const seen = { version: versionOf(packageName) };
  for (const name of process.argv.slice(2)) {
    try {
      seen[name] = await steps[name]();
    } catch (error) {
      seen[name] = failure(error);
    }
  }
  console.log("\n" + JSON.stringify(seen));
}

function versionOf(packageName) {
  const file = path.join(process.env.NODE_PATH, packageName, "package.json");
  return JSON.parse(fs.readFileSync(file, "utf8")).version;
}

function failure(error) {
  const classes = [];
  for (let one = Object.getPrototypeOf(error); one && one.constructor !== Object; one = Object.getPrototypeOf(one)) {
    classes.push(one.constructor.name);
  }
  return { error: error.constructor.name, classes, message: String(error.message), status: error.status ?? null };
}

module.exports = { run, ASK, ASK_TOOL, OPENAI_MODEL, ANTHROPIC_MODEL, GEMINI_MODEL, OUTPUT_TOKENS, LOOK };
