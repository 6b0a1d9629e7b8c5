"""OpenAI Responses, as client and as provider. https://platform.openai.com/docs/api-reference/responses"""
