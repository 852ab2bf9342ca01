"""Secrets: files in the SOPS format, other sources, and how they reach an app without being seen."""
