"""OpenAI chat completions, as client and as provider. https://platform.openai.com/docs/api-reference/chat"""
