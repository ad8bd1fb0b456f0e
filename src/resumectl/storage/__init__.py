"""Connect to the databases of trials and read them, for the target process and for the runner."""
