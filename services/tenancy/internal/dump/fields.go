package dump

import (
	"bytes"
	"fmt"
)

// escapes are the letters pg_dump writes after a backslash.
var escapes = map[byte]byte{'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t', 'v': '\v', '\\': '\\'}

// Fields takes a row apart; nil is NULL.
func Fields(row []byte) ([]*string, error) {
	parts := bytes.Split(row, []byte("\t"))
	fields := make([]*string, len(parts))
	for i, part := range parts {
		if string(part) == `\N` {
			continue
		}
		value, err := unescape(part)
		if err != nil {
			return nil, err
		}
		fields[i] = &value
	}
	return fields, nil
}

func unescape(part []byte) (string, error) {
	out := make([]byte, 0, len(part))
	for i := 0; i < len(part); i++ {
		if part[i] != '\\' {
			out = append(out, part[i])
			continue
		}
		i++
		if i == len(part) {
			return "", fmt.Errorf("%w: a row ends in a backslash", ErrScript)
		}
		letter, known := escapes[part[i]]
		if !known {
			return "", fmt.Errorf("%w: an unknown escape in a row", ErrScript)
		}
		out = append(out, letter)
	}
	return string(out), nil
}
