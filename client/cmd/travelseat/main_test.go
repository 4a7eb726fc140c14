package main

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func TestItSaysWhetherASeatIsGood(t *testing.T) {
	const vectors = "../../travelseat/testdata/"
	now := time.Unix(1795100000, 0)
	for name, c := range map[string]struct {
		args []string
		code int
		says string
	}{
		"a good one":           {[]string{"verify", "--keys", vectors + "keys.json", "--device", "laptop-7", vectors + "good.seat"}, 0, "2026-11-21T11:06:40Z"},
		"one that is over":     {[]string{"verify", "--keys", vectors + "keys.json", "--device", "laptop-7", vectors + "over.seat"}, 1, "time is over"},
		"one of another":       {[]string{"verify", "--keys", vectors + "keys.json", "--device", "desk", vectors + "good.seat"}, 1, "another device"},
		"one that was changed": {[]string{"verify", "--keys", vectors + "keys.json", "--device", "laptop-7", vectors + "changed.seat"}, 1, "signature"},
		"a clock turned back":  {[]string{"verify", "--keys", vectors + "keys.json", "--device", "laptop-7", "--last-seen", "2026-11-20T00:00:00Z", vectors + "good.seat"}, 1, "turned back"},
		"shown unchecked":      {[]string{"show", vectors + "over.seat"}, 0, "laptop-7"},
		"no device":            {[]string{"verify", "--keys", vectors + "keys.json", vectors + "good.seat"}, 2, "travelseat verify"},
		"no file":              {[]string{"show", vectors + "none"}, 2, "no such file"},
		"nothing":              {nil, 2, "travelseat show"},
	} {
		var out bytes.Buffer
		if code := run(c.args, now, &out, &out); code != c.code || !strings.Contains(out.String(), c.says) {
			t.Errorf("%s: %d\n%s", name, code, out.String())
		}
	}
}
