"""Commands to terminals: asked for, given, and what the terminals say of them."""
