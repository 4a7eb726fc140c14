module kontor.internal/services/licensing

go 1.26.0
