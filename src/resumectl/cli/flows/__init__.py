"""What each of the commands that run workflows does, step by step; one file a command."""
