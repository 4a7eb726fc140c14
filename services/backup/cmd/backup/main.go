// Command backup is Kontor's service that keeps companies' books safe.
package main

import (
	"os"

	"kontor.internal/libs/service"
	"kontor.internal/services/backup"
)

func main() { os.Exit(service.Main("backup", backup.New)) }
