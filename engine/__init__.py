"""pgmwatch: watches Korean program trading and tells you what your rules say matters."""

__version__ = "0.1.0"
