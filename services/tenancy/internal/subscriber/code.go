package subscriber

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
)

const (
	// codes is how many codes there are: seven digits.
	codes = 10_000_000
	// half is the width of one half of the network, in bits; two halves hold more than all codes.
	half = 12
	// rounds are twice what makes a Feistel network a strong permutation (Luby and Rackoff, 1988).
	rounds = 8
	// minCodeKey is the least length of the key, in bytes.
	minCodeKey = 32
)

// Codes turns the places of subscribers into their codes: a permutation of the seven-digit numbers that nobody can
// foresee without the key. Every place has its own code, so none is given twice as long as no place is.
type Codes struct{ key []byte }

// NewCodes returns Codes by a key, which must stay the same for ever.
func NewCodes(key []byte) (*Codes, error) {
	if len(key) < minCodeKey {
		return nil, fmt.Errorf("subscriber: a code key of %d bytes; %d or more are needed", len(key), minCodeKey)
	}
	return &Codes{key: key}, nil
}

// Code is the code of a place, 0 to 9,999,999.
func (c *Codes) Code(place int64) (string, error) {
	if place < 0 || place >= codes {
		return "", errors.New("subscriber: all codes are given")
	}
	// The network permutes 2^24 numbers. Walking on until one is a code permutes the codes among themselves.
	number := c.permute(uint32(place))
	for number >= codes {
		number = c.permute(number)
	}
	return fmt.Sprintf("CL-%07d", number), nil
}

func (c *Codes) permute(number uint32) uint32 {
	const mask = 1<<half - 1
	left, right := number>>half, number&mask
	for round := range byte(rounds) {
		left, right = right, left^(c.mix(round, right)&mask)
	}
	return left<<half | right
}

func (c *Codes) mix(round byte, value uint32) uint32 {
	mac := hmac.New(sha256.New, c.key)
	_, _ = mac.Write([]byte("kontor subscriber code\x00")) // A hash never fails.
	_, _ = mac.Write(binary.BigEndian.AppendUint32([]byte{round}, value))
	return binary.BigEndian.Uint32(mac.Sum(nil))
}
