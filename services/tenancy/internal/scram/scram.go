// Package scram makes passwords of database logins, and what PostgreSQL keeps of them.
package scram

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
)

const (
	// iterations is PostgreSQL's own number.
	iterations = 4096
	saltBytes  = 16
)

// NewPassword is 130 random bits in letters and digits: SASLprep (RFC 4013) leaves such text as it is.
func NewPassword() string { return rand.Text() }

// Verifier is what PostgreSQL keeps of a password (SCRAM-SHA-256, RFC 7677, in the form of RFC 5803). Made here, so that
// the password itself is in no statement and thus in no log of the server.
func Verifier(password string) (string, error) {
	salt := make([]byte, saltBytes)
	if _, err := rand.Read(salt); err != nil {
		return "", err
	}
	return VerifierOf(password, salt, iterations)
}

// VerifierOf is Verifier with a given salt and number of iterations.
func VerifierOf(password string, salt []byte, iterations int) (string, error) {
	salted, err := pbkdf2.Key(sha256.New, password, salt, iterations, sha256.Size)
	if err != nil {
		return "", fmt.Errorf("make a password's verifier: %w", err)
	}
	stored := sha256.Sum256(keyed(salted, "Client Key"))
	encode := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("SCRAM-SHA-256$%d:%s$%s:%s", iterations, encode(salt), encode(stored[:]), encode(keyed(salted, "Server Key"))), nil
}

func keyed(key []byte, message string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(message))
	return mac.Sum(nil)
}
