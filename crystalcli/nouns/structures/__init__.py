"""Reading and writing structures: one :class:`Entry` per crystal, whatever the file."""

from crystalcli.nouns.structures.entry import Entry

__all__ = ["Entry"]
