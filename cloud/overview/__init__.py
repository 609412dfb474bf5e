"""What an operator sees first: where the records are, what goes on, what needs a hand."""
