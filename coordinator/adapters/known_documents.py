"""Documents whose signatures were looked at, or made, a moment ago: the same content need not be verified again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, NamedTuple

MOST_DOCUMENTS = 32
MOST_BYTES = 256 * 1024  # of one document: of larger ones there are few, and they would fill the memory


class KnownDocument(NamedTuple):
    """A document with our signature, in the words in which it was signed."""

    value: Any
    signature: Any  # what stands beside the value in the store
    key_id: str


class KnownDocuments:
    """By key, the one of each that was written or verified last. The longest unused one makes room.

    Only a document that is equal in all its fields is known, and then the one of here is used and not the one of the
    store: values that Python holds for equal, such as 1 and True, are exchanged by nobody.
    """

    def __init__(self) -> None:
        self._documents: OrderedDict[str, KnownDocument] = OrderedDict()

    def remember(self, key: str, document: KnownDocument, size: int) -> None:
        """`size` is the number of its bytes as JSON."""
        self._documents.pop(key, None)
        if size > MOST_BYTES:
            return
        self._documents[key] = document
        if len(self._documents) > MOST_DOCUMENTS:
            self._documents.popitem(last=False)

    def find(self, key: str, value: Mapping[str, Any], signature: Any) -> KnownDocument | None:
        """The document of this key, if it is the one that was read."""
        known = self._documents.get(key)
        if known is None or known.signature != signature or known.value != value:
            return None
        self._documents.move_to_end(key)
        return known
