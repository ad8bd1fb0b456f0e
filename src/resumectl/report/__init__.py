"""Render rows as text: tables for people, JSON for scripts. Opens and decides nothing."""
