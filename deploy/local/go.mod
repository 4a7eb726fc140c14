module kontor.internal/deploy/local

go 1.26.0
