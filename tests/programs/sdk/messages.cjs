// The @anthropic-ai/sdk package: a streamed message with a tool use, its result, and the final text.
const Anthropic = require("@anthropic-ai/sdk").default;

const client = new Anthropic({
  baseURL: process.env.HEADGATE_URL,
  apiKey: process.env.HEADGATE_KEY,
  maxRetries: 0,
});
const input_schema = {
  type: "object",
  properties: { city: { type: "string" } },
  required: ["city"],
};
const tools = [{ name: "weather", description: "The weather.", input_schema }];
const messages = [{ role: "user", content: "How is the weather in Oslo?" }];

async function ask() {
  const stream = client.messages.stream({
    model: process.env.HEADGATE_MODEL,
    max_tokens: 1024,
    system: "Be brief.",
    messages,
    tools,
  });
  let pieces = 0;
  stream.on("text", () => (pieces += 1));
  const answer = await stream.finalMessage();
  return { answer, pieces };
}

const text = ({ answer }) => answer.content.filter((block) => block.type === "text").map((block) => block.text).join("");
const tokens = ({ answer: { usage } }) => [usage.input_tokens + (usage.cache_read_input_tokens ?? 0), usage.output_tokens];

(async () => {
  const first = await ask();
  const call = first.answer.content.find((block) => block.type === "tool_use");
  const result = { type: "tool_result", tool_use_id: call.id, content: "Rain, 4 degrees." };
  messages.push({ role: "assistant", content: first.answer.content }, { role: "user", content: [result] });
  const second = await ask();
  console.log(
    JSON.stringify({
      call: { id: call.id, name: call.name, arguments: call.input },
      finishes: [first, second].map(({ answer }) => answer.stop_reason),
      texts: [first, second].map(text),
      pieces: [first.pieces, second.pieces],
      model: second.answer.model,
      tokens: [first, second].map(tokens),
    }),
  );
})();
