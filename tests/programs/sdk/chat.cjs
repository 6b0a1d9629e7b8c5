// The openai package: a streamed chat completion with a tool call, its result, and the final text.
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
const tools = [{ type: "function", function: { name: "weather", description: "The weather.", parameters } }];
const messages = [
  { role: "system", content: "Be brief." },
  { role: "user", content: "How is the weather in Oslo?" },
];

async function ask() {
  const stream = client.chat.completions.stream({
    model: process.env.HEADGATE_MODEL,
    messages,
    tools,
    stream_options: { include_usage: true },
  });
  const pieces = [];
  stream.on("content", (delta) => pieces.push(delta));
  const answer = await stream.finalChatCompletion();
  return { answer, pieces: pieces.length };
}

(async () => {
  const first = await ask();
  const message = first.answer.choices[0].message;
  const call = message.tool_calls[0];
  messages.push(message, { role: "tool", tool_call_id: call.id, content: "Rain, 4 degrees." });
  const second = await ask();
  console.log(
    JSON.stringify({
      call: { id: call.id, name: call.function.name, arguments: JSON.parse(call.function.arguments) },
      finishes: [first, second].map((turn) => turn.answer.choices[0].finish_reason),
      texts: [first, second].map((turn) => turn.answer.choices[0].message.content),
      pieces: [first.pieces, second.pieces],
      model: second.answer.model,
      tokens: [first, second].map(({ answer }) => [answer.usage.prompt_tokens, answer.usage.completion_tokens]),
    }),
  );
})();
