package postgres

import (
	"context"
	"errors"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"kontor.internal/libs/failure"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
)

// Constraints says which rule of the contract each named constraint stands for.
type Constraints map[string]commonv1.Reason

// Translate turns an error of the database into a typed one. A violated constraint becomes its reason, with the values
// of the reason's text as key and value in turn. Typed errors and nil stay as they are. What nobody named becomes
// UNAVAILABLE, DEADLINE_EXCEEDED, CONFLICT or INTERNAL; the driver's text is kept for the log only.
func (c Constraints) Translate(err error, pairs ...string) error {
	if err == nil {
		return nil
	}
	var typed *failure.Error
	if errors.As(err, &typed) {
		return err
	}
	var fault *pgconn.PgError
	if errors.As(err, &fault) {
		if reason, known := c[fault.ConstraintName]; known && fault.ConstraintName != "" {
			return failure.New(reason, pairs...).Wrap(err)
		}
		return byCode(fault.Code, err)
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return failure.From(err)
	}
	var lost *pgconn.ConnectError
	if errors.As(err, &lost) || pgconn.SafeToRetry(err) || pgconn.Timeout(err) {
		return unavailable(err)
	}
	return failure.From(err)
}

// byCode reads SQLSTATE (PostgreSQL's manual, appendix A).
func byCode(code string, err error) error {
	switch {
	case code == "40001", code == "40P01", code == "55P03":
		return failure.New(commonv1.Reason_REASON_CONFLICT).Wrap(err)
	case code == "57014": // Statement timeout; a cancelled context doesn't come here.
		return failure.New(commonv1.Reason_REASON_DEADLINE_EXCEEDED).Wrap(err)
	case strings.HasPrefix(code, "57P"), strings.HasPrefix(code, "08"), code == "53300", code == "25006":
		return unavailable(err)
	default:
		return failure.New(commonv1.Reason_REASON_INTERNAL).Wrap(err)
	}
}

func unavailable(err error) error {
	return failure.New(commonv1.Reason_REASON_UNAVAILABLE, "part", "database").Wrap(err)
}

// NotFound turns the absence of a row into NOT_FOUND for a resource name, and every other error of the database into
// a typed one.
func NotFound(err error, resource string) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return failure.NotFound(resource).Wrap(err)
	}
	return Constraints(nil).Translate(err)
}
