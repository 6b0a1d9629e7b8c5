// The openai package: a streamed response with a function call, its output, and the final text.
const OpenAI = require("openai").default;

const client = new OpenAI({
  baseURL: `${process.env.HEADGATE_URL}/v1`,
  apiKey: process.env.HEADGATE_KEY,
  maxRetries: 0,
});
const parameters = {
  type: "object",
  properties: { city: { type: "string" } },
  required: ["city"],
  additionalProperties: false,
};
const tools = [{ type: "function", name: "weather", description: "The weather.", parameters, strict: true }];
const input = [{ role: "user", content: "How is the weather in Oslo?" }];

async function ask() {
  const stream = client.responses.stream({
    model: process.env.HEADGATE_MODEL,
    instructions: "Be brief.",
    input,
    tools,
    store: false,
  });
  let pieces = 0;
  stream.on("response.output_text.delta", () => (pieces += 1));
  const answer = await stream.finalResponse();
  return { answer, pieces };
}

(async () => {
  const first = await ask();
  const call = first.answer.output.find((item) => item.type === "function_call");
  input.push({ type: "function_call", call_id: call.call_id, name: call.name, arguments: call.arguments });
  input.push({ type: "function_call_output", call_id: call.call_id, output: "Rain, 4 degrees." });
  const second = await ask();
  console.log(
    JSON.stringify({
      call: { id: call.call_id, name: call.name, arguments: JSON.parse(call.arguments) },
      finishes: [first, second].map(({ answer }) => answer.status),
      texts: [first, second].map(({ answer }) => answer.output_text),
      pieces: [first.pieces, second.pieces],
      model: second.answer.model,
      tokens: [first, second].map(({ answer }) => [answer.usage.input_tokens, answer.usage.output_tokens]),
    }),
  );
})();
