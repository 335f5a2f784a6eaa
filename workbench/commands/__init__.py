"""The commands of the engine, one file a topic; `cli.py` imports them when they are called."""
