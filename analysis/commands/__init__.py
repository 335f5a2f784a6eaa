"""The commands of analysis, one module each, imported when they are called."""
