module kontor.internal/services/exchange

go 1.26.0
