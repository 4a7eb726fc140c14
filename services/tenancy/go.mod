module kontor.internal/services/tenancy

go 1.26.0
