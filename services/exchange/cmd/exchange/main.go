// Command exchange is Kontor's service of connections and the documents that travel in them.
package main

import (
	"os"

	"kontor.internal/libs/service"
	"kontor.internal/services/exchange"
)

func main() { os.Exit(service.Main("exchange", exchange.New)) }
