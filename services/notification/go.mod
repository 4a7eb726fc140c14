module kontor.internal/services/notification

go 1.26.0
