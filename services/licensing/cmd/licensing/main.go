// Command licensing is Kontor's service of contracts, licences and seats.
package main

import (
	"os"

	"kontor.internal/libs/service"
	"kontor.internal/services/licensing"
)

func main() { os.Exit(service.Main("licensing", licensing.New)) }
