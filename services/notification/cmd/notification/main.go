// Command notification is Kontor's service that tells people.
package main

import (
	"os"

	"kontor.internal/libs/service"
	"kontor.internal/services/notification"
)

func main() { os.Exit(service.Main("notification", notification.New)) }
