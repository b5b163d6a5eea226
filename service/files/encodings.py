"""Whether a file is UTF-8, told while it streams by; and what it looks like where it is not."""

import codecs

from service.domain.errors import Refusal

_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class Utf8Check:
    """Takes a file's bytes in any pieces. Raises `Refusal` (not_utf8) that names the first bad byte."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._offset = 0
        self._only_ascii = True

    def feed(self, data: bytes, *, last: bool = False) -> None:
        """The next bytes; with `last`, none follow, and a character may not be cut off."""
        pending = self._decoder.getstate()[0]
        if not data.isascii() or pending:
            self._decode(data, self._offset - len(pending), last=last)
        self._offset += len(data)

    def finish(self) -> None:
        """The file has ended."""
        self.feed(b"", last=True)

    def _decode(self, data: bytes, start: int, *, last: bool) -> None:
        """`start` is the offset of the first byte that the decoder looks at: one it kept from the piece before."""
        try:
            text = self._decoder.decode(data, last)
        except UnicodeDecodeError as error:
            raise self._refusal(error.object, error.start, start + error.start) from None
        self._only_ascii = self._only_ascii and text.isascii()

    def _refusal(self, data: bytes, index: int, offset: int) -> Refusal:
        """The bad byte is `data[index]`, at `offset` in the file."""
        if offset == 0 and data.startswith(_UTF_16):
            guess = "utf_16"
        elif not (self._only_ascii and data[:index].isascii()):
            guess = "damaged"
        elif _is_windows_1252(data):
            guess = "windows_1252"
        else:
            guess = "unknown"
        return Refusal("not_utf8", guess, byte=data[index], offset=offset)


def _is_windows_1252(data: bytes) -> bool:
    try:
        data.decode("cp1252")
    except UnicodeDecodeError:
        return False
    return True
