module kontor.internal/services/backup

go 1.26.0
