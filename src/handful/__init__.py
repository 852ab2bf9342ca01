"""handful: builds, deploys and operates containerised apps on a handful of machines, over SSH."""

__version__ = "0.1.0"
