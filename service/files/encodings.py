"""Check that a file is UTF-8 while it is read, and guess its encoding if it is not."""

import codecs

from service.domain.errors import Refusal

_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class Utf8Check:
    """Checks the bytes of one file, which may come in pieces of any size.

    Raises `Refusal` (not_utf8) at the first wrong byte, with its value and its offset in the file.
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._offset = 0
        self._only_ascii = True

    def feed(self, data: bytes, *, last: bool = False) -> None:
        """Check the next bytes. With `last`, they must not end in the middle of a character."""
        # The decoder keeps the bytes of a character that is cut off at the end of a piece.
        pending = self._decoder.getstate()[0]

        # Plain ASCII is UTF-8, and `isascii` is much faster than decoding.
        if not data.isascii() or pending:
            self._decode(data, self._offset - len(pending), last=last)
        self._offset += len(data)

    def finish(self) -> None:
        """Check that the file did not end in the middle of a character."""
        self.feed(b"", last=True)

    def _decode(self, data: bytes, start: int, *, last: bool) -> None:
        """Decode a piece. `start` is the offset in the file of the decoder's first byte.

        This is a byte of an earlier piece, if the decoder has kept some.
        """
        try:
            text = self._decoder.decode(data, last)
        except UnicodeDecodeError as error:
            raise self._refusal(error.object, error.start, start + error.start) from None
        self._only_ascii = self._only_ascii and text.isascii()

    def _refusal(self, data: bytes, index: int, offset: int) -> Refusal:
        """Make the refusal of the wrong byte `data[index]`, which is at `offset` in the file."""
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
