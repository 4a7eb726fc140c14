module kontor.internal/client

go 1.26.0
