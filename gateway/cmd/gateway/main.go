// Command gateway is Kontor's only door.
package main

import (
	"os"

	"kontor.internal/gateway"
	"kontor.internal/libs/service"
)

func main() { os.Exit(service.Main("gateway", gateway.New)) }
