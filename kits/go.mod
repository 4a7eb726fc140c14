module kontor.internal/kits

go 1.26.0
