"""Anthropic Messages, as client and as provider. https://docs.anthropic.com/en/api/messages"""
