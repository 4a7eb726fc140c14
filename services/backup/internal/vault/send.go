package vault

import (
	"errors"
	"io"

	"kontor.internal/libs/failure"
)

// pieceBytes are handed out at once.
const pieceBytes = 256 << 10

// Part says how many bytes to hand out of a file from an offset on; a length of 0 asks for all the rest.
func Part(offset, length, size int64) (int64, error) {
	if offset > size {
		return 0, failure.Invalid("offset", "lies behind the end of the file")
	}
	if length == 0 {
		length = size
	}
	return min(length, size-offset), nil
}

// Send hands out so many bytes in pieces.
func Send(from io.Reader, length int64, put func(piece []byte) error) error {
	left := io.LimitReader(from, length)
	for piece := make([]byte, pieceBytes); ; {
		n, err := io.ReadFull(left, piece)
		if n > 0 {
			if err := put(piece[:n]); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return nil
		case err != nil:
			return err
		}
	}
}
