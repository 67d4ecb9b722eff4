"""One file for each command or group; imported when the shell asks for it (see `cli/lazy.py`)."""
