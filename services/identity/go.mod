module kontor.internal/services/identity

go 1.26.0
