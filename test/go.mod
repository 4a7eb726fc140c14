module kontor.internal/test

go 1.26.0
