"""Hugging Face folders: config.json, safetensors shards with their index, and packed weights."""
