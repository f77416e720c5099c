"""What install.py does once it runs under Python 3.11. Standard library only."""
