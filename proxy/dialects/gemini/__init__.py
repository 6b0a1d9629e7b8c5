"""Gemini generateContent, as provider. https://ai.google.dev/api/generate-content"""
