// Command identity is Kontor's service of accounts and sessions.
package main

import (
	"os"

	"kontor.internal/libs/service"
	"kontor.internal/services/identity"
)

func main() { os.Exit(service.Main("identity", identity.New)) }
