"""Rows to text: rich tables for people, JSON for scripts. Opens and decides nothing."""
