"""What runs on the server around pypiserver: one small module for each reason."""
