"""The publisher's tables and DBOS's, read and written without dbos: inspecting stays fast."""
