module kontor.internal/gateway

go 1.26.0
