module kontor.internal/services/licensing

go 1.26.0

require (
	kontor.internal/libs v0.0.0
	kontor.internal/proto/gen/go v0.0.0
)

require (
	codeberg.org/go-pdf/fpdf v0.12.0 // indirect
	golang.org/x/image v0.47.0 // indirect
)

replace (
	kontor.internal/libs => ../../libs
	kontor.internal/proto/gen/go => ../../proto/gen/go
)
