package telemetry_test

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"kontor.internal/libs/telemetry"
)

type login struct {
	Name     string
	Password string
	Again    *login
}

func TestSecretsDoNotReachTheLog(t *testing.T) {
	const secret = "s3cret-value"
	jwt := "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"
	self := &login{Name: "Ieva", Password: secret}
	self.Again = self
	for name, attribute := range map[string]any{
		"password":        secret,
		"access_token":    secret,
		"clientSecret":    secret,
		"code":            secret,
		"login-code":      secret,
		"Authorization":   secret,
		"x-api-key":       secret,
		"set_cookie":      secret,
		"pin":             []string{secret},
		"credentials":     map[string]string{"a": secret},
		"header":          http.Header{"Authorization": {"Bearer " + secret}, "Cookie": {secret}},
		"group":           slog.GroupValue(slog.String("token", secret)),
		"pointer":         self,
		"struct":          login{Password: secret},
		"list":            []login{{Password: secret}},
		"error":           errors.New("dial postgres://kontor:" + secret + "@db:5432/x"),
		"text":            "sent Bearer " + secret,
		"message":         wrapperspb.String(secret),
		"bytes":           []byte(secret),
		"token.signature": secret,
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			logger := slog.New(telemetry.NewRedactor(slog.NewTextHandler(&log, nil)))
			logger.Info("said", name, attribute)
			logger.With(name, attribute).Info("said")
			require.NotContains(t, log.String(), secret)
			require.Contains(t, log.String(), "msg=said")
		})
	}
	var log bytes.Buffer
	logger := slog.New(telemetry.NewRedactor(slog.NewTextHandler(&log, nil)))
	logger.Info("got "+jwt, "a", jwt)
	logger.WithGroup("secrets").Info("in", "a", secret)
	require.NotContains(t, log.String(), "eyJ")
	require.NotContains(t, log.String(), secret)
}

func TestWhatIsNoSecretStays(t *testing.T) {
	var log bytes.Buffer
	slog.New(telemetry.NewRedactor(slog.NewTextHandler(&log, nil))).Info("done: 100 %", "status_code", 200, "grpc.code", "NotFound",
		"subscriber_code", "CL-1234567", "token_id", "018f", "encoded", "yes", "monkey", "no", "address", "http://host:80/a@b",
		"user", login{Name: "Ieva"}, "currency_code", "EUR", "none", nil, "empty", (*login)(nil), "list", []string{"a", "b"})
	for _, part := range []string{
		"status_code=200", "grpc.code=NotFound", "subscriber_code=CL-1234567", "token_id=018f", "encoded=yes", "monkey=no",
		"address=http://host:80/a@b", "user.Name=Ieva", "currency_code=EUR", "none=<nil>", "empty=<nil>", `list="[a b]"`,
	} {
		require.Contains(t, log.String(), part)
	}
}
