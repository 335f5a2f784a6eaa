"""Several devices and processes in one training: settings, strategies, collectives and stopping together."""
