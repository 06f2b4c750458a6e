// What the corpus's programs share: small things to send, and how calls are driven whose answers nobody reads.

// One red pixel.
const PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==";
const ASK = "Say hello — in Norwegian, «hei», or with a wave 👋";
const WEATHER = {
  type: "object",
  properties: { place: { type: "string" }, unit: { enum: ["C", "F"] } },
  required: ["place", "unit"],
  additionalProperties: false,
};
const SCHEMA = {
  type: "object",
  properties: { place: { type: "string" }, degrees: { type: "number" } },
  required: ["place", "degrees"],
  additionalProperties: false,
};

async function drive(calls, clientOf) {
  for (const [name, call] of Object.entries(calls)) {
    console.log(name);
    try {
      const found = await call(clientOf(name));
      if (name.includes("stream")) for await (const _ of found);
    } catch {
      // The recorder's answers are no real ones: what a client makes of them is of no interest.
    }
  }
}

const recorder = (name) => `${process.env.RECORDER}/${name}`;

module.exports = { PIXEL, ASK, WEATHER, SCHEMA, drive, recorder };
