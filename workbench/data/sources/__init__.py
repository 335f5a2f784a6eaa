"""Where images come from: folders, record files, arrays, and sets that are built in."""
