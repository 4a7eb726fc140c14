// Command tenancy runs the tenancy service.
package main

import (
	"os"

	"kontor.internal/libs/service"
	"kontor.internal/services/tenancy"
)

func main() { os.Exit(service.Main("tenancy", tenancy.New)) }
