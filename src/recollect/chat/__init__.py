"""Chat data: conversations, the readers of the shapes they are published in, and a model's own template around them."""
