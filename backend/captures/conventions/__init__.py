"""The conventions that poses come in, and how they are told apart."""
