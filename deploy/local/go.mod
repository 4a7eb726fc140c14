module kontor.internal/deploy/local

go 1.26.0

require (
	kontor.internal/gateway v0.0.0
	kontor.internal/libs v0.0.0
	kontor.internal/proto/gen/go v0.0.0
	kontor.internal/services/identity v0.0.0
	kontor.internal/services/licensing v0.0.0
	kontor.internal/services/tenancy v0.0.0
)

require (
	github.com/emersion/go-message v0.18.2 // indirect
	github.com/emersion/go-sasl v0.0.0-20241020182733-b788ff22d5a6 // indirect
	github.com/emersion/go-smtp v0.25.1 // indirect
)

replace (
	kontor.internal/gateway => ../../gateway
	kontor.internal/kits => ../../kits
	kontor.internal/libs => ../../libs
	kontor.internal/proto/gen/go => ../../proto/gen/go
	kontor.internal/services/backup => ../../services/backup
	kontor.internal/services/exchange => ../../services/exchange
	kontor.internal/services/identity => ../../services/identity
	kontor.internal/services/licensing => ../../services/licensing
	kontor.internal/services/notification => ../../services/notification
	kontor.internal/services/tenancy => ../../services/tenancy
)
