"""Raw access to the databases of trials, for the target process and for the runner."""
