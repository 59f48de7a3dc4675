"""Formation: the whole life of a container base image, from a definition to every service on a patched base."""

__version__ = "0.1.0"
