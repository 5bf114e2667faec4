"""What every step stands on: settings, step directories, tables, estimates, the machine. Knows no fact and no model."""
