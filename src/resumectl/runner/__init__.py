"""Run trials and sweeps: fork servers, sandboxes, baseline runs, stored trials."""
