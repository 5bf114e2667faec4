"""What several chapters show: scores of the base and of trained models, averaged over seeds; and the papers."""
